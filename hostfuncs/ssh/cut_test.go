package ssh_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// count is how often something is done: as the environment says, or a few times.
func count(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

// TestCutOutput cuts the connection after n bytes from the server, for n over all that
// it sends once a command was asked for: there is an error, or all of the output, or an
// output that is marked. Much of it comes after the word of how the command ended. By
// hand with OC_CUTS=1, the bytes between two cuts.
func TestCutOutput(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"MaxStartups 200"}})
	step := int64(count("OC_CUTS", 23))
	part := strings.Repeat("0123456789abcde\n", 12)
	out, stderr := part+"more\n"+part, part+"less\n"
	const text = `printf %s "$1"; printf %s "$1" >&2; (sleep 0.1; echo more; echo less >&2; printf %s "$1") & :`
	argv := []string{"sh", "-c", text, "sh", part}
	for name, c := range map[string]ssh.Command{"plain": {Argv: argv}, "environment": {Argv: argv, Env: map[string]string{"A": "b"}}, "terminal": {Argv: argv, PTY: &ssh.Terminal{}}} {
		wantOut, wantErr := out, stderr
		if c.PTY != nil {
			c.Argv = []string{"sh", "-c", `trap "" HUP; sleep 0.05; printf %s "$1"; printf %s "$1"; (sleep 0.1; echo more; printf %s "$1") & :`, "sh", part}
			wantOut, wantErr = part+part+"more\n"+part, ""
		}
		px, e := through(t, srv)
		from := int64(0)
		c.Begin = func(context.Context, string) error { from = px.Passed(sshtest.FromServer); return nil }
		r := run(t, pool(t, ssh.Options{}), e, c)
		if string(r.Stdout.Bytes) != wantOut && c.PTY == nil || r.Cut {
			t.Fatalf("%s: %q, %q, cut %t; want all of it", name, r.Stdout.Bytes, r.Stderr.Bytes, r.Cut)
		}
		if c.PTY != nil { // the end of a terminal's first process may end what it has left behind
			wantOut = string(r.Stdout.Bytes)
		}
		c.Begin = nil
		seen := cutOutputs{srv: srv, c: c, out: wantOut, err: wantErr}
		var wg sync.WaitGroup
		room := make(chan struct{}, 24) // each cut is waited for half a second
		for n := from + 1; n <= px.Passed(sshtest.FromServer)+step; n += step {
			room <- struct{}{}
			wg.Go(func() { seen.cut(t, n); <-room })
		}
		wg.Wait()
		t.Logf("%s: %d errors, %d marked, %d whole", name, seen.failed.Load(), seen.marked.Load(), seen.whole.Load())
		if seen.failed.Load() == 0 || seen.marked.Load() == 0 && c.PTY == nil { // little comes after the end of a terminal
			t.Errorf("%s: want some of the cuts in the command, and some after it", name)
		}
	}
}

// cutOutputs counts what became of commands of which this is all of the output.
type cutOutputs struct {
	srv      *sshtest.Server
	c        ssh.Command
	out, err string

	failed, whole, marked atomic.Int64
}

func (seen *cutOutputs) cut(t *testing.T, n int64) {
	t.Helper()
	px, e := through(t, seen.srv)
	px.CutAfter(sshtest.Cut{Way: sshtest.FromServer, After: n})
	r, err := pool(t, ssh.Options{}).Exec(t.Context(), e, seen.c)
	o, oe := string(r.Stdout.Bytes), string(r.Stderr.Bytes)
	switch {
	case err != nil:
		seen.failed.Add(1)
	case r.Cut && (!r.Stdout.Truncated || !r.Stderr.Truncated || !strings.HasPrefix(seen.out, o) || !strings.HasPrefix(seen.err, oe) || code(r) != 0):
		t.Errorf("after %d bytes: exit code %d, %q, %q: cut, and truncated are %t and %t; want 0, beginnings, and both marked", n, code(r), o, oe, r.Stdout.Truncated, r.Stderr.Truncated)
	case r.Cut:
		seen.marked.Add(1)
	case o != seen.out || oe != seen.err || r.Stdout.Truncated || r.Stderr.Truncated:
		t.Errorf("after %d bytes: %q, %q: short and not marked as cut", n, o, oe)
	default:
		seen.whole.Add(1)
	}
}

// exits tells that a command has ended with code 0.
func exits(ch xssh.Channel) { _, _ = ch.SendRequest("exit-status", false, make([]byte, 4)) }

// hangers are servers that end the connection once a command has ended, and whether they
// had told that its output was whole.
func hangers() map[string]struct {
	conf sshtest.FakeConfig
	cut  bool
} {
	type hanger = struct {
		conf sshtest.FakeConfig
		cut  bool
	}
	hangs := func(hangs func(xssh.Channel, io.Writer)) sshtest.FakeConfig {
		return sshtest.FakeConfig{Ends: exits, Hangs: hangs}
	}
	return map[string]hanger{
		"the session is closed": {hangs(func(ch xssh.Channel, _ io.Writer) { _ = ch.Close() }), false},
		"the output has ended":  {hangs(func(ch xssh.Channel, _ io.Writer) { _ = ch.CloseWrite() }), false},
		"both":                  {hangs(func(ch xssh.Channel, _ io.Writer) { _ = ch.CloseWrite(); _ = ch.Close() }), false},
		"nothing":               {hangs(func(xssh.Channel, io.Writer) {}), true},
		"more on one stream":    {hangs(func(ch xssh.Channel, _ io.Writer) { _, _ = io.WriteString(ch.Stderr(), "more") }), true},
		"garbage":               {hangs(func(_ xssh.Channel, c io.Writer) { _, _ = c.Write(bytes.Repeat([]byte{0xff}, 64)) }), true},
	}
}

// TestHangsUp: a server that ends the connection with its command is believed to have
// given all where it has said so, and never where it has not. By hand with
// OC_HANGS=1000.
func TestHangsUp(t *testing.T) {
	t.Parallel()
	n := count("OC_HANGS", 100)
	for name, h := range hangers() {
		for size, c := range map[string]ssh.Command{
			"short": {Argv: []string{"echo", "out"}},
			"long":  {Argv: []string{"sh", "-c", `head -c "$1" /dev/zero`, "sh", "300000"}, Stdin: []byte("nobody reads this")},
		} {
			t.Run(name+"/"+size, func(t *testing.T) {
				t.Parallel()
				n, whole := n, map[string]int64{"short": 4, "long": 300_000}[size]
				if h.cut || size == "long" {
					n = max(1, n/20)
				}
				f := fake(t, h.conf)
				p := pool(t, ssh.Options{MaxAge: time.Nanosecond}) // a connection for each
				for i := range n {
					r, err := p.Exec(t.Context(), fakeEndpoint(f), c)
					if err != nil || code(r) != 0 || r.Cut != h.cut || r.Stdout.Truncated != h.cut || r.Stderr.Truncated != h.cut || r.Stdout.Total != whole {
						t.Fatalf("command %d of %d: exit code %d, %d bytes, cut %t, truncated %t and %t, %v; want 0, %d bytes, cut %t", i, n, code(r), r.Stdout.Total, r.Cut, r.Stdout.Truncated, r.Stderr.Truncated, err, whole, h.cut)
					}
				}
				if got := f.Accepted(); got < n {
					t.Errorf("%d connections for %d commands, want one each", got, n)
				}
			})
		}
	}
}

// TestNotCut: servers that keep the connection, and one that knows one session on each,
// mark nothing. By hand with OC_HANGS=1000.
func TestNotCut(t *testing.T) {
	t.Parallel()
	n := count("OC_HANGS", 50)
	srv := server(t, sshtest.Config{})
	one := sshtest.FakeConfig{Sessions: 1}
	for name, e := range map[string]ssh.Endpoint{"OpenSSH": endpoint(srv), "one session": fakeEndpoint(fake(t, one)), "quick": fakeEndpoint(fake(t, sshtest.FakeConfig{Quick: true}))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pool(t, ssh.Options{})
			for i := range n {
				if r := run(t, p, e, ssh.Command{Argv: []string{"true"}}); r.Cut || code(r) != 0 || r.Stdout.Truncated || r.Stderr.Truncated {
					t.Fatalf("command %d of %d: exit code %d, cut %t", i, n, code(r), r.Cut)
				}
			}
		})
	}
}

// TestStalledOutput: where the rest of the output stays away and nobody answers there,
// what came is marked; where a background process holds the output open, it is not.
func TestStalledOutput(t *testing.T) {
	t.Parallel()
	o := ssh.Options{DrainGrace: 300 * time.Millisecond}
	px, e := proxied(t, sshtest.Config{})
	c := ssh.Command{Argv: []string{"sh", "-c", `echo $$; sleep 5 & :`}}
	if r := run(t, pool(t, o), e, c); r.Cut || r.Stdout.Truncated || code(r) != 0 || r.Duration > 4*time.Second {
		t.Errorf("output that is held open: exit code %d, cut %t, after %s; want it not cut, before the holder has ended", code(r), r.Cut, r.Duration)
	}
	// The answer to the request, the wrapper's line and the exit pass; then no byte does.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c.Argv[2] = `echo first; (sleep 2; echo more) & :`
	time.AfterFunc(time.Second, px.Freeze)
	o.DrainGrace = 1500 * time.Millisecond
	r, err := pool(t, o).Exec(ctx, e, c)
	px.Thaw()
	if err != nil || code(r) != 0 || !r.Cut || !r.Stdout.Truncated || string(r.Stdout.Bytes) != "first\n" {
		t.Errorf("exit code %d, %q, cut %t, %v; want 0, the first line, and that it is cut", code(r), r.Stdout.Bytes, r.Cut, err)
	}
}

// TestCutDialog: what came of a line whose session may end is marked where the
// connection ended, and not where the session did.
func TestCutDialog(t *testing.T) {
	t.Parallel()
	for text, cut := range map[string]bool{"exit": false, "cut": true} {
		dev := ios()
		dev.Cut = "cut"
		d, _ := dialog(t, dev, ssh.DialogConfig{Platform: ssh.IOS})
		if r := send(t, d, ssh.Input{Text: text, Closes: true}); !r.Closed || r.Output.Truncated != cut {
			t.Errorf("%s: closed %t, truncated %t; want true, %t", text, r.Closed, r.Output.Truncated, cut)
		}
	}
}

// TestCutGet cuts the connection after n bytes from the server, for n over all of a file:
// there is an error, or all of it. By hand with OC_CUTS=1.
func TestCutGet(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"MaxStartups 200"}})
	file := filepath.Join(t.TempDir(), "file")
	content := strings.Repeat("0123456789abcde\n", 5000)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, get := range map[string]func(p *ssh.Pool, e ssh.Endpoint) (ssh.File, error){
		"SFTP": func(p *ssh.Pool, e ssh.Endpoint) (ssh.File, error) { return p.Get(t.Context(), e, file, 1<<20) },
		"scp":  func(p *ssh.Pool, e ssh.Endpoint) (ssh.File, error) { return p.GetSCP(t.Context(), e, file, 1<<20) },
	} {
		px, e := through(t, srv)
		p := pool(t, ssh.Options{})
		run(t, p, e, truth) // the connection stands
		from := px.Passed(sshtest.FromServer)
		if f, err := get(p, e); err != nil || string(f.Content) != content {
			t.Fatalf("%s: %d bytes, %v", name, len(f.Content), err)
		}
		failed, whole, all := 0, 0, px.Passed(sshtest.FromServer)-from
		for n := int64(1); n <= all+200; n += int64(count("OC_CUTS", 23)) * 150 {
			px, e := through(t, srv)
			p := pool(t, ssh.Options{})
			run(t, p, e, truth)
			px.CutAfter(sshtest.Cut{Way: sshtest.FromServer, After: n})
			switch f, err := get(p, e); {
			case err != nil:
				failed++
			case string(f.Content) != content:
				t.Errorf("%s: after %d bytes: %d of %d bytes, and no error", name, n, len(f.Content), len(content))
			default:
				whole++
			}
		}
		t.Logf("%s: %d bytes: %d errors, %d whole", name, all, failed, whole)
	}
}

// TestCutFunctions: who calls a host function, and who reads the log, is told.
func TestCutFunctions(t *testing.T) {
	t.Parallel()
	for name, h := range hangers() {
		f := fake(t, h.conf)
		s, b := onFake(f, sshtest.Password)
		b.Functions = []string{"ssh_exec", "ssh_exec_many"}
		var mu sync.Mutex
		var log []string
		s.Log = func(level, m string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, level+" "+m)
		}
		p := pool(t, ssh.Options{})
		r, err := sshExec(t, p, s, `{"argv":["echo","out"]}`)
		if err != nil || r.OutputCut != h.cut || r.StdoutTruncated != h.cut || r.StderrTruncated != h.cut || r.ExitCode == nil || r.Stdout != "out\n" {
			t.Errorf("%s: %+v, %v; want cut %t", name, r, err, h.cut)
		}
		mu.Lock()
		if text := strings.Join(log, "\n"); strings.Contains(text, "warn fake1: the command has ended, and the end of its output did not come") != h.cut {
			t.Errorf("%s: the log is %q", name, text)
		}
		mu.Unlock()
		m, err := execMany(t, p, s, `{"argv":["echo","out"],"targets":["fake1"],"stream":true}`)
		if err != nil || len(m.Results) != 1 || m.Results[0].Exec == nil || m.Results[0].Exec.OutputCut != h.cut {
			t.Errorf("%s: %+v, %v; want cut %t", name, m, err, h.cut)
		}
		mu.Lock()
		if text := strings.Join(log, "\n"); strings.Contains(text, "exit code 0, and the end of its output did not come (1 of 1)") != h.cut {
			t.Errorf("%s: the log is %q", name, text)
		}
		mu.Unlock()
	}
}
