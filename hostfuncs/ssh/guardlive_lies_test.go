package ssh_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// chunk is one as a target sends it.
func chunk(nonce, stream string, at int, text string) string {
	return fmt.Sprintf("%s-live %s %d %d\n%s", nonce, stream, at, len(text), text)
}

// What is told does not depend on how it comes in parts, and what is no chunk, or no
// news, is passed on.
func TestChunks(t *testing.T) {
	t.Parallel()
	const n = "opsconductor-0123456789abcdef"
	for name, tc := range map[string]struct {
		keep           int
		sent           string
		stdout, stderr string
		rest           string
	}{
		"two streams":      {99, "noise" + chunk(n, "out", 0, "a\n") + chunk(n, "err", 0, "b\n") + chunk(n, "out", 2, "c\n") + "more", "ac", "b", "noisemore"},
		"its own mark":     {99, chunk(n, "out", 0, n+" ended 0,, 0 0 0 0\n") + chunk(n, "err", 0, n+"-live out 0 9\n"), n + " ended 0,, 0 0 0 0", n + "-live out 0 9", ""},
		"the report":       {999, chunk(n, "out", 0, "a\n") + n + " ended 0,, 2 2 0 0\n" + chunk(n, "out", 2, "b\n") + "opscon", "a", "", n + " ended 0,, 2 2 0 0\n" + chunk(n, "out", 2, "b\n") + "opscon"},
		"twice":            {99, chunk(n, "out", 0, "abcd\n") + chunk(n, "out", 0, "abcd\n"), "abcd", "", "abcd\n"},
		"overlap":          {99, chunk(n, "out", 0, "abcd") + chunk(n, "out", 2, "cdef\n"), "abcdef", "", "cd"},
		"a gap":            {99, chunk(n, "out", 7, "x\n") + chunk(n, "out", 0, "a\n"), "a", "", "x\n"},
		"beyond the bound": {4, chunk(n, "out", 0, "a\nb\nc\nd\n") + chunk(n, "out", 5, "e\n"), "ab", "", "c\nd\n" + n + "-live out 5 2\ne\n"},
		"gigabytes":        {99, n + "-live out 0 4294967296\nx" + chunk(n, "out", 0, "a\n"), "a", "", n + "-live out 0 4294967296\nx"},
		"no number":        {99, n + "-live out 99999999999999999999 1\nx", "", "", n + "-live out 99999999999999999999 1\nx"},
		"negative":         {99, n + "-live out -1 5\nhell" + n + "-live err 0 -5\nhell", "", "", n + "-live out -1 5\nhell" + n + "-live err 0 -5\nhell"},
		"another stream":   {99, n + "-live all 0 1\nx", "", "", n + "-live all 0 1\nx"},
		"more words":       {99, n + "-live out 0 1 2\nx", "", "", n + "-live out 0 1 2\nx"},
		"another nonce":    {99, chunk("opsconductor-00", "out", 0, "x\n"), "", "", chunk("opsconductor-00", "out", 0, "x\n")},
		"no end of line":   {99, n + "-live " + strings.Repeat("1", 400) + chunk(n, "out", 0, "a\n"), "a", "", n + "-live " + strings.Repeat("1", 400)},
		"never ends":       {99, n + "-live out 0 60000\na\nb", "ab", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for size := 1; size < len(tc.sent)+7; size += 1 + size/9 {
				var h heard
				c := ssh.NewChunks(*h.live(), n, tc.keep)
				for part := range slices.Chunk([]byte(tc.sent), size) {
					b := bytes.Clone(part)
					c.Write(b)
					clear(b) // the caller uses it again
					if c.Held() > 300 {
						t.Fatalf("%d bytes are held", c.Held())
					}
				}
				rest := string(c.End())
				if out, err := strings.Join(h.of("stdout"), ""), strings.Join(h.of("stderr"), ""); out != tc.stdout || err != tc.stderr || rest != tc.rest {
					t.Fatalf("in parts of %d: told %q and %q, beside it %q; want %q, %q, %q", size, out, err, rest, tc.stdout, tc.stderr, tc.rest)
				}
			}
		})
	}
}

// FuzzChunks: whatever a target sends, what is told is bounded, what is held is short,
// and how it comes in parts does not matter.
func FuzzChunks(f *testing.F) {
	const n = "opsconductor-01"
	f.Add([]byte("x"+chunk(n, "out", 0, "abc\n")+chunk(n, "err", 0, "d")+n+" ended"), 3, 9)
	f.Add([]byte(n+"-live out 0 70000\n"+n+n+"-live"+chunk(n, "out", 1, n)), 1, 50)
	f.Fuzz(func(t *testing.T, sent []byte, size, keep int) {
		size, keep = 1+(size&0xff), keep&0xffff
		play := func(size int) (told [2]int64, rest []byte) {
			c := ssh.NewChunks(ssh.Live{Line: func(string, string) {}}, n, keep)
			for part := range slices.Chunk(sent, size) {
				c.Write(part)
				if c.Held() > 300 {
					t.Fatalf("%d bytes are held", c.Held())
				}
			}
			told = c.Told()
			return told, c.End()
		}
		told, rest := play(size)
		if told[0] > int64(keep) || told[1] > int64(keep) || len(rest)+int(told[0]+told[1]) > len(sent) {
			t.Errorf("%d bytes sent, %d kept: told %d, passed on %d", len(sent), keep, told, len(rest))
		}
		if again, _ := play(len(sent) + 1); again != told {
			t.Errorf("in parts of %d told %d, at once %d", size, told, again)
		}
	})
}

// liar is a server that does not run what it is asked to: it says what a script writes,
// in which $n is the nonce of what follows the command.
func liar(t *testing.T, script string) ssh.Endpoint {
	t.Helper()
	dir := openToAll(t)
	file := filepath.Join(dir, "liar")
	// The session's own nonce is the one that a number follows, as a line on standard error.
	text := `#!/bin/bash
s=$(printf %s "$SSH_ORIGINAL_COMMAND" | grep -o 'count=[0-9]*' | head -n 1 | cut -d = -f 2)
text=$SSH_ORIGINAL_COMMAND
[ -z "$s" ] || text=$(head -c "$s")
for m in $(printf %s "$text" | grep -o 'opsconductor-[0-9a-f]\{32\}' | sort -u); do
	if printf %s "$text" | grep -q "echo \"$m "; then echo "$m $$ $$ $$ shell=liar" >&2; else n=$m; fi
done
` + script + "\n"
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	return endpoint(server(t, sshtest.Config{Options: []string{"ForceCommand " + file}}))
}

// A target that lies in chunks harms neither the result nor the host.
func TestGuardedLiveLies(t *testing.T) { //nolint:paralleltest // it measures the process's memory
	const truth = `printf '%s ended 3,, 5 5 2 2\ntrue\nok' "$n"`
	for name, tc := range map[string]struct{ lies, told string }{
		"none":           {``, "true"},
		"wrong":          {`printf '%s-live out 0 4\nlie\n' "$n" >&2; printf '%s-live out 999 4\nlie\n' "$n" >&2`, "lie"},
		"gigabytes":      {`printf '%s-live out 0 9999999999\nlie\n' "$n" >&2`, "true"},
		"others":         {`printf 'opsconductor-00-live out 0 4\nlie\n' >&2; printf '%s-live' "$n" >&2`, "true"},
		"it never ends":  {`printf '%s-live err 0 65536\nlie\n' "$n" >&2`, "true"},
		"all that there": {`for i in $(seq 0 1023); do printf '%s-live out %s 65536\n' "$n" $((i*65536)); head -c 65536 /dev/zero; done >&2`, ""},
		"again":          {`for i in $(seq 0 500); do printf '%s-live out 0 65536\n' "$n"; head -c 65536 /dev/zero; done >&2`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := guardedBy(t)
			e := liar(t, tc.lies+"\n"+truth)
			var h heard
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := pool(t, o).ExecGuarded(t.Context(), e, ssh.Command{Argv: []string{"true"}, Live: h.live()}, ssh.Guard{Token: newToken()})
			runtime.ReadMemStats(&after)
			if err != nil || code(r) != 3 || string(r.Stdout.Bytes) != "true\n" || string(r.Stderr.Bytes) != "ok" {
				t.Errorf("%v: code %d, stdout %q, stderr %q; want 3, true, ok", err, code(r), r.Stdout.Bytes, r.Stderr.Bytes)
			}
			if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 24<<20 { //nolint:gosec // far smaller
				t.Errorf("%d bytes more in use", grown)
			}
			told := 0
			for _, l := range h.all() {
				told += len(l)
			}
			if told > 400<<10 || tc.told != "" && (len(h.of("stdout")) == 0 || h.of("stdout")[0] != tc.told) {
				t.Errorf("told %d bytes, %.200q; want %q first", told, h.all(), tc.told)
			}
		})
	}
}

// Lies without an end are the end of the call.
func TestGuardedLiveLiesWithoutEnd(t *testing.T) {
	t.Parallel()
	o, _ := guardedBy(t)
	o.Discard = 8 << 20
	e := liar(t, `while :; do printf '%s-live out 0 65536\n' "$n"; head -c 65536 /dev/zero; done >&2`)
	c := ssh.Command{Argv: []string{"true"}, Live: &ssh.Live{Line: func(string, string) {}}, Timeout: 40 * time.Second}
	_, err := pool(t, o).ExecGuarded(t.Context(), e, c, ssh.Guard{Token: newToken()})
	wantError(t, err, hostfuncs.OutputLimit, hostfuncs.After, "wrote more than")
}

// A report that is cut off is asked for again: the server may say that what follows the
// command has ended before it has sent all of it.
func TestGuardedShortReport(t *testing.T) {
	t.Parallel()
	o, _ := guardedBy(t)
	once := filepath.Join(t.TempDir(), "once")
	e := liar(t, `said=true; mkdir `+once+` && said=tr; printf '%s ended 3,, 5 5 0 0\n%s' "$n" $said; [ $said = tr ] || echo`)
	r, err := pool(t, o).ExecGuarded(t.Context(), e, ssh.Command{Argv: []string{"true"}}, ssh.Guard{Token: newToken()})
	if err != nil || code(r) != 3 || string(r.Stdout.Bytes) != "true\n" {
		t.Errorf("%v: code %d, stdout %q; want 3, true", err, code(r), r.Stdout.Bytes)
	}
}
