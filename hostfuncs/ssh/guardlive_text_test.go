package ssh_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh"
)

// The text passes through every login shell.
func TestGuardedLiveText(t *testing.T) {
	t.Parallel()
	if strings.ContainsAny(strings.ReplaceAll(ssh.GuardText, "_gp=$!", ""), "\n\\'!") {
		t.Error("the text has a character that some login shells change")
	}
}

// Of a command of which nobody is told, it is told that it began, and nothing else.
func TestGuardedTellsNobody(t *testing.T) {
	t.Parallel()
	for name, sh := range shells() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, base := guardedBy(t)
			token := newToken()
			f, nonce := ssh.GuardFollow(o, token, ssh.Command{Argv: []string{"sh", "-c", "echo one; sleep 0.7; echo two"}})
			cmd := shell(t, sh, f.Argv[2], f.Argv[3:]...)
			var told bytes.Buffer
			cmd.Stdin, cmd.Stderr = bytes.NewReader(f.Stdin), &told
			out, err := cmd.Output()
			claim, _ := os.Readlink(filepath.Join(base, "g-"+token, "go"))
			if want := nonce + "-began " + claim + "\n"; err != nil || told.String() != want || !bytes.HasPrefix(out, []byte(nonce+" ended 0,, 8 8 0 0\n")) {
				t.Errorf("it tells %q, and says %q (%v); want %q, and that it ended", told.String(), out, err, want)
			}
		})
	}
}

// synced is a buffer that a process writes and a test reads.
type synced struct{ file *os.File }

func (s synced) text(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(s.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each shell tells while the command runs, with /proc and without, and where sleep
// takes whole seconds only; what it starts does not hold the place open.
func TestGuardedLiveShells(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	shim := "#!/bin/sh\ncase $1 in *.*) exit 1;; esac\nexec /bin/sleep \"$@\"\n"
	if err := os.WriteFile(filepath.Join(whole, "sleep"), []byte(shim), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	on := map[string][]string{"": nil, ", whole seconds": {"env", "PATH=" + whole + ":" + os.Getenv("PATH")}}
	hidden := []string{"unshare", "-m", "sh", "-c", `mount -t tmpfs none /proc && exec "$@"`, "sh"}
	if exec.CommandContext(t.Context(), hidden[0], append(hidden[1:], "true")...).Run() == nil { //nolint:gosec // the test's own words
		on[", no /proc"] = hidden
		on[", no /proc, whole seconds"] = append(append([]string(nil), on[", whole seconds"]...), hidden...)
	} else {
		t.Log("needs root, and leave to mount, for a target without /proc")
	}
	for name, sh := range shells() {
		for where, before := range on {
			if where != "" && name != "dash" && (name != "busybox" || strings.Contains(where, "seconds")) {
				continue // for time's sake
			}
			t.Run(name+where, func(t *testing.T) {
				t.Parallel()
				tells(t, append(append([]string(nil), before...), sh...))
			})
		}
	}
}

// tells runs what follows a command by a shell.
func tells(t *testing.T, sh []string) {
	t.Helper()
	o, _ := guardedBy(t)
	g := gate(t, `echo one; echo two >&2; wait a; printf 'th\000ree'; exit 3`)
	var h heard
	g.Live = h.live()
	f, nonce := ssh.GuardFollow(o, newToken(), g.Command)
	cmd := shell(t, sh, f.Argv[2], f.Argv[3:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	cmd.Stdin, cmd.Stderr = bytes.NewReader(f.Stdin), file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := synced{file}
	eventually(t, "both lines are told", func() bool {
		b := told.text(t)
		return bytes.Contains(b, []byte(nonce+"-live out 0 4\none\n")) && bytes.Contains(b, []byte(nonce+"-live err 0 4\ntwo\n"))
	})
	g.open(t, "a")
	said, err := io.ReadAll(out)
	if want := nonce + " ended 3,, 10 10 4 4\none\nth\x00reetwo\n"; err != nil || string(said) != want {
		t.Errorf("it says %q (%v), want %q", said, err, want)
	}
	_ = cmd.Wait()
	c := ssh.NewChunks(*h.live(), nonce, 1<<20)
	c.Write(told.text(t))
	if rest := c.End(); len(rest) > 0 || len(h.of("stdout")) == 0 || h.of("stdout")[0] != "one" {
		t.Errorf("told %q, and beside it %q", h.all(), rest)
	}
}

// On a terminal the report comes after the chunks in one stream: it is there also where
// a chunk's bytes can't be read.
func TestGuardedLiveWithoutTail(t *testing.T) {
	t.Parallel()
	lacks := t.TempDir()
	if err := os.WriteFile(filepath.Join(lacks, "tail"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	o, _ := guardedBy(t)
	g := gate(t, `echo one; wait a; exit 3`)
	var h heard
	g.Live = h.live()
	f, nonce := ssh.GuardFollow(o, newToken(), g.Command)
	cmd := shell(t, []string{"dash"}, f.Argv[2], f.Argv[3:]...)
	file, err := os.Create(filepath.Join(t.TempDir(), "terminal"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(f.Stdin), file, file
	cmd.Env = append(os.Environ(), "PATH="+lacks+":"+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	both := synced{file}
	eventually(t, "it tells", func() bool { return bytes.Contains(both.text(t), []byte("-live out 0 4\n")) })
	g.open(t, "a")
	_ = cmd.Wait()
	c := ssh.NewChunks(*h.live(), nonce, 1<<20)
	c.Write(both.text(t))
	if rest, want := string(c.End()), nonce+" ended 3,, 4 4 0 0\none\n"; rest != want {
		t.Errorf("beside the chunks %q, want %q", rest, want)
	}
}
