package ssh_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"opsconductor.dev/hostfuncs/ssh"
)

func TestKeep(t *testing.T) {
	t.Parallel()
	hide := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("SECRET-SECRET"), []byte("[x]")) }
	const slack = len("SECRET-SECRET")
	for pad := range 40 {
		stream := []byte(strings.Repeat("SECRET-SECRET", 2) + strings.Repeat("é", pad) + strings.Repeat(".SECRET-SECRET", 20))
		for keep := 1; keep < len(stream)+2; keep += 3 {
			for _, cut := range []int{1, 7, len(stream)} {
				var parts [][]byte
				for rest := stream; len(rest) > 0; rest = rest[min(cut, len(rest)):] {
					parts = append(parts, rest[:min(cut, len(rest))])
				}
				o := ssh.Keep(keep, slack, hide, parts...)
				if len(o.Bytes) > keep || o.Total != int64(len(stream)) || o.Truncated != (keep < len(hide(stream)) || keep+slack < len(stream)) {
					t.Fatalf("keep %d of %d: %d bytes, total %d, truncated %t", keep, len(stream), len(o.Bytes), o.Total, o.Truncated)
				}
				if !utf8.Valid(o.Bytes) {
					t.Fatalf("keep %d: a character was cut: %q", keep, o.Bytes)
				}
				if bytes.Contains(o.Bytes, []byte("SE")) {
					t.Fatalf("keep %d: part of a secret: %q", keep, o.Bytes)
				}
			}
		}
	}
}

// What is returned is never more than what is kept, where little more came than that,
// or where redaction has made it longer.
func TestKeepCap(t *testing.T) {
	t.Parallel()
	longer := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("pin"), []byte("[redacted]")) }
	for stream, redact := range map[string]func([]byte) []byte{"0123456789ab": nil, "pin 45678": longer} {
		o := ssh.Keep(10, 5, redact, []byte(stream))
		if len(o.Bytes) != 10 || !o.Truncated || o.Total != int64(len(stream)) {
			t.Errorf("%q: %q, truncated %t, of %d; want 10 bytes, truncated", stream, o.Bytes, o.Truncated, o.Total)
		}
	}
	if o := ssh.Keep(10, 5, nil, []byte("0123456789")); len(o.Bytes) != 10 || o.Truncated {
		t.Errorf("%q, truncated %t; want all of it", o.Bytes, o.Truncated)
	}
}

func TestMarker(t *testing.T) {
	t.Parallel()
	const nonce, tail = "opsconductor-abc", " 900 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 777 1 2 3\n"
	stream := []byte("motd\n" + nonce + " 1234 1234" + tail + "error text\n")
	for size := 1; size <= len(stream); size++ {
		var parts [][]byte
		for rest := stream; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			parts = append(parts, rest[:min(size, len(rest))])
		}
		rest, pid, group, start, ok := ssh.Marked(nonce, parts...)
		if string(rest) != "motd\nerror text\n" || pid != 1234 || group != 1234 || start != "777" || !ok {
			t.Fatalf("in parts of %d: rest %q, pid %d, group %d, start %q, %t", size, rest, pid, group, start, ok)
		}
	}
	for name, line := range map[string]string{
		"no pid": nonce + " \n", "pid 1": nonce + " 1 1\n", "not a number": nonce + " x; reboot\n", "negative": nonce + " -5\n", "none": "text\n",
	} {
		if _, _, _, _, ok := ssh.Marked(nonce, []byte(line)); ok {
			t.Errorf("%s: %q was taken", name, line)
		}
	}
	if _, pid, group, start, ok := ssh.Marked(nonce, []byte(nonce+" 77\n")); pid != 77 || group != 0 || start != "" || !ok {
		t.Errorf("without /proc: pid %d group %d start %q %t", pid, group, start, ok)
	}
	if rest, _, _, _, ok := ssh.Marked(nonce, bytes.Repeat([]byte("noise\n"), 20_000), stream); ok || len(rest) != 120_000+len(stream) {
		t.Errorf("after 120 kB of noise: found %t, %d bytes left", ok, len(rest))
	}
}
