package ssh_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh"
)

// shells are those that targets are expected to have; one that is missing here
// fails the test.
func shells() map[string][]string {
	return map[string][]string{"dash": {"dash"}, "bash": {"bash"}, "bash, posix": {"bash", "--posix"}, "busybox": {"busybox", "sh"}}
}

// shell returns a command that runs a text, with arguments, by a shell.
func shell(t *testing.T, argv []string, text string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Fatalf("%v: apt-get install %s", err, argv[0])
	}
	argv = append(append(append([]string(nil), argv...), "-c", text), args...)
	return exec.CommandContext(t.Context(), argv[0], argv[1:]...)
}

// words returns strings that shells could stumble over, and random ones.
func words(seed uint64, n int) []string {
	out := []string{
		"", "'", "''", "'\"'\"'", `"`, "`id`", "$(id)", "${HOME}", "$$", "!", "!!", `\`, `\\`, `\'`, "\n", "\r\n", "a\nb\n\n", " ", "\t", "*", "?", "[a]", "~",
		"-n", "--", "#", ";", "&", "|", ">x", "{a,b}", "%s", "\xff\xfe", "\x01\x7f\x1b[0m", "é漢😀", strings.Repeat("'", 50), "EOF", "=", "a=b", "\\n", "%n",
	}
	r := rand.New(rand.NewPCG(seed, 1))
	const nasty = "'\"\\`$!\n\r\t ;&|<>(){}[]*?#~=%-^@,:+abcXYZ019\x80\xff\x01\x7f"
	for range n {
		b := make([]byte, r.IntN(24))
		for i := range b {
			if r.IntN(4) == 0 {
				b[i] = byte(1 + r.IntN(255))
			} else {
				b[i] = nasty[r.IntN(len(nasty))]
			}
		}
		out = append(out, string(b))
	}
	return out
}

// Any string without NUL comes back from each shell as it was.
func TestQuote(t *testing.T) {
	t.Parallel()
	in := words(1, 3000)
	want := strings.Join(in, "\x00") + "\x00"
	for name, sh := range shells() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := shell(t, sh, `printf '%s\0' `+ssh.Join(in)).Output()
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				parts := strings.Split(string(got), "\x00")
				for i, w := range in {
					if i >= len(parts) || parts[i] != w {
						t.Fatalf("word %d came back as %q, want %q", i, parts[min(i, len(parts)-1)], w)
					}
				}
				t.Fatal("more came back than went in")
			}
		})
	}
}

// The whole way, by each login shell: arguments, environment and standard input
// come back as they were, whether the command travels in the request or not.
func TestWrapper(t *testing.T) {
	t.Parallel()
	const nonce = "opsconductor-0123"
	for name, sh := range shells() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, w := range words(2, 60) {
				for _, env := range []map[string]string{nil, {"VALUE": w}} {
					c := ssh.Command{Argv: []string{"sh", "-c", `printf '%s\0%s\0' "$1" "$VALUE"; cat`, "sh", w}, Env: env, Stdin: []byte("in " + w)}
					text, before := ssh.Wrap(c, nonce)
					if strings.ContainsAny(text, "\n\\!") {
						t.Fatalf("the request for %q has a character that a login shell may change: %q", w, text)
					}
					cmd := shell(t, sh, text)
					cmd.Env = append(os.Environ(), "VALUE=")
					cmd.Stdin = bytes.NewReader(append(before, c.Stdin...))
					got, err := cmd.Output()
					if want := w + "\x00" + env["VALUE"] + "\x00in " + w; err != nil || string(got) != want {
						t.Fatalf("word %d: %q came back, want %q (%v)", i, got, want, err)
					}
				}
			}
		})
	}
}

// A command whose text arrives only in part does not run at all.
func TestWrapperCut(t *testing.T) {
	t.Parallel()
	c := ssh.Command{Argv: []string{"echo", "ran\n"}, Env: map[string]string{"A": "b"}}
	text, before := ssh.Wrap(c, "opsconductor-0123")
	for n := range before {
		cmd := shell(t, []string{"dash"}, text)
		cmd.Stdin = bytes.NewReader(before[:n])
		if out, _ := cmd.Output(); len(out) > 0 {
			t.Fatalf("with %d of %d bytes it ran: %q", n, len(before), out)
		}
	}
}
