package step_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/sdk/go/step"
)

// shells returns the shells of this machine that Quote promises to be safe for.
func shells(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for name, argv := range map[string][]string{
		"sh": {"sh"}, "dash": {"dash"}, "bash": {"bash", "--norc"}, "busybox": {"busybox", "sh"}, "ksh": {"ksh"}, "zsh": {"zsh", "-f"},
	} {
		if path, err := exec.LookPath(argv[0]); err == nil {
			found[name] = append([]string{path}, argv[1:]...)
		}
	}
	if len(found) == 0 {
		t.Skip("this machine has no POSIX shell")
	}
	return found
}

// hard are the pieces that random words are made of.
func hard() []string {
	return []string{
		"'", `"`, `\`, "\n", "\r", "\t", " ", "$", "$(id)", "`id`", "${HOME}", "*", "?", "[a-z]", "~", "!", "!!", "#", "&", "|", ";", "<", ">",
		"(", ")", "{a,b}", "=", "-", "--", "if", "FOO=bar", "é", "\xff", "\xe3\x27", "\x80", "\x01", "\x7f", "%s", "a", "0", "/",
	}
}

func randomWord(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(9) {
		if r.IntN(3) == 0 {
			b.WriteByte(byte(1 + r.IntN(255)))
			continue
		}
		b.WriteString(hard()[r.IntN(len(hard()))])
	}
	return b.String()
}

func TestQuoteIsReadBackByShells(t *testing.T) {
	t.Parallel()
	for name, argv := range shells(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			words := append(hard(), "")
			for range 3000 {
				words = append(words, randomWord(r))
			}
			checkWords(t, argv, words)
		})
	}
}

// checkWords has a shell print the quoted words with NUL between them. The first
// word stands where a command would, so that keywords and assignments show.
func checkWords(t *testing.T, shell, words []string) {
	t.Helper()
	var script, want bytes.Buffer
	script.WriteString("show() { printf '%s\\0' \"$@\"; }\n")
	for len(words) > 0 {
		n := min(50, len(words))
		quoted, err := step.Quote(append([]string{"show"}, words[:n]...)...)
		if err != nil {
			t.Fatal(err)
		}
		script.WriteString(quoted + "\n")
		want.WriteString(strings.Join(words[:n], "\x00") + "\x00")
		words = words[n:]
	}
	cmd := exec.CommandContext(t.Context(), shell[0], shell[1:]...)
	cmd.Stdin = &script
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", shell, err)
	}
	if d := cmp.Diff(strings.Split(want.String(), "\x00"), strings.Split(string(got), "\x00")); d != "" {
		t.Errorf("%v (-want +got):\n%s", shell, d)
	}
}

func TestQuoteRefusesNUL(t *testing.T) {
	t.Parallel()
	_, err := step.Quote("ok", "a\x00b")
	var e *step.Error
	if !errors.As(err, &e) || e.Code != step.BadRequest {
		t.Errorf("got %v, want an error of code bad_request", err)
	}
}

func TestQuoteWords(t *testing.T) {
	t.Parallel()
	got, err := step.Quote("FOO=bar", "", "it's")
	if want := `'FOO=bar' '' 'it'\''s'`; err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
