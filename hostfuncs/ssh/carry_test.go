package ssh_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// received writes what the program was given, as the kernel keeps it: arguments,
// environment and standard input, with its first argument between them.
const received = `cat /proc/$$/cmdline; echo "$1"; cat /proc/$$/environ; echo "$1"; exec cat`

// carriage is what a command was given.
type carriage struct {
	args  []string
	env   map[string]string
	stdin []byte
}

// command returns the command that says what it received.
func (c carriage) command(b *ssh.Become, pty *ssh.Terminal) ssh.Command {
	return ssh.Command{
		Argv: append([]string{"/bin/sh", "-c", received, "sh", splitter}, c.args...), Env: c.env, Stdin: c.stdin,
		Become: b, PTY: pty, MaxOutput: 8 << 20,
	}
}

// splitter is nothing that is generated.
const splitter = "=8=<== 4b1f9c0d ==>=8="

// differs says how what came is not what was given; "": it is.
func (c carriage) differs(r ssh.Result, terminal bool) string {
	argv, rest, _ := bytes.Cut(r.Stdout.Bytes, []byte("\x00"+splitter+"\x00"))
	args, rest, ok := bytes.Cut(rest, []byte(splitter+"\n"))
	environ, stdin, ok2 := bytes.Cut(rest, []byte(splitter+"\n"))
	if code(r) != 0 || !ok || !ok2 {
		return fmt.Sprintf("exit code %d, %.300q, stderr %.300q", code(r), r.Stdout.Bytes, r.Stderr.Bytes)
	}
	if len(r.Stderr.Bytes) > 0 {
		return fmt.Sprintf("standard error has %.300q", r.Stderr.Bytes)
	}
	want := ""
	for _, a := range c.args {
		want += a + "\x00"
	}
	if before := "/bin/sh\x00-c\x00" + received + "\x00sh"; string(args) != want || string(argv) != before {
		return fmt.Sprintf("arguments are %d bytes %.200q, want %d bytes %.200q", len(args), args, len(want), want)
	}
	got := map[string]string{}
	for pair := range strings.SplitSeq(string(environ), "\x00") {
		name, value, _ := strings.Cut(pair, "=")
		got[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		if value, ok := got[name]; !ok || value != c.env[name] {
			return fmt.Sprintf("%s is %.200q (%t), want %.200q", name, value, ok, c.env[name])
		}
	}
	in := c.stdin
	if terminal && len(in) > 0 && in[len(in)-1] != '\n' {
		in = append(slices.Clone(in), '\n')
	}
	if !bytes.Equal(stdin, in) {
		return fmt.Sprintf("standard input is %d bytes %.200q, want %d bytes %.200q", len(stdin), stdin, len(in), in)
	}
	return ""
}

// shellNames are those of variables that shells know and pass on, and others.
func shellNames() []string {
	return []string{
		"A", "_a1", "PATH", "HOME", "IFS", "PS1", "PS2", "PS4", "PWD", "OLDPWD", "OPTARG", "OPTERR", "BASH_ENV", "FUNCNEST", "COMP_WORDBREAKS", "HISTFILE", "HISTSIZE",
		"TMOUT", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "ENV", "MAIL", "MAILCHECK", "MAILPATH", "CDPATH", "FCEDIT", "TERMCAP", "POSIXLY_CORRECT", "IGNOREEOF",
		"TIMEFORMAT", "GLOBIGNORE", "EXECIGNORE", "HOSTNAME", "HOSTTYPE", "OSTYPE", "MACHTYPE", "SHELL", "TZ", "COLUMNS", "LINES", "EXINIT", "READLINE_LINE", "_g1",
	}
}

// carriages returns n random ones. The last has about a megabyte.
func carriages(seed uint64, n int, terminal bool) []carriage {
	r := rand.New(rand.NewPCG(seed, 7))
	pool, all := words(seed, 200), shellNames()
	value := func() string { return pool[r.IntN(len(pool))] }
	out := make([]carriage, n)
	for i := range out {
		c := carriage{env: map[string]string{}}
		for range r.IntN(12) {
			c.args = append(c.args, value())
		}
		if r.IntN(4) > 0 {
			for range r.IntN(6) {
				c.env[fmt.Sprintf("V%d_%d", r.IntN(99), i)] = value()
			}
		}
		for range r.IntN(5) {
			c.stdin = append(c.stdin, value()...)
			if !terminal && r.IntN(3) == 0 {
				c.stdin = append(c.stdin, 0, byte(r.IntN(256)))
			}
		}
		if i == n-1 {
			for size := 0; size < 600<<10; {
				w := strings.Repeat(value()+"'\xff", 1+r.IntN(4000))
				w = w[:min(len(w), 100<<10)]
				size += len(w)
				c.args = append(c.args, w)
			}
			c.env["LONG"] = strings.Repeat("!\n'x", 30_000)
			c.stdin = bytes.Repeat([]byte("\xfe'\"!\n"), 50_000)
		}
		out[i] = c
	}
	// Each name that a shell may know, with a harmless value.
	for i, name := range all {
		c := &out[i%max(1, n-1)]
		if c.env[name] = "1"; name == "PATH" || name == "LC_ALL" || name == "LANG" || name == "LC_CTYPE" {
			c.env[name] = map[bool]string{true: os.Getenv("PATH"), false: "C"}[name == "PATH"]
		}
	}
	return out
}

// carryRounds is how many commands each way carries: OC_CARRIED, or a few.
func carryRounds(t *testing.T) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("OC_CARRIED")); err == nil {
		return n
	}
	return 3
}

// busyboxShell returns a link by which busybox is a login shell.
func busyboxShell(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("busybox is missing: run scripts/setup.sh")
	}
	dir, err := os.MkdirTemp("", "opsconductor-shell-") //nolint:usetesting // other users run it, and the test's own folder is closed to them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	link := filepath.Join(dir, "ash")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Symlink(bin, link)); err != nil { //nolint:gosec // the users run it
		t.Fatal(err)
	}
	return link
}

// What a program receives is byte for byte what it was given: by each login shell,
// by each program that may be /bin/sh, as another user and in a terminal.
func TestCarries(t *testing.T) {
	t.Parallel()
	needs(t, "sudo", "bash", "dash", "unshare")
	logins := map[string]account{
		"dash": newAccount(t, "/bin/dash"), "bash": newAccount(t, "/bin/bash"), "busybox": newAccount(t, busyboxShell(t)),
	}
	for _, a := range logins {
		sudoers(t, a.name+" ALL=(ALL) ALL")
	}
	seed := rand.Uint64()
	for sh, path := range map[string]string{"dash": "", "bash": "/bin/bash", "busybox": "/bin/busybox"} {
		if path != "" && !mayMount(t) {
			t.Logf("without leave to mount: /bin/sh is not tried as %s", sh)
			continue
		}
		srv := accountServerOf(t, sshtest.Config{Shell: path, Options: []string{"SetEnv HOME=/nonexistent"}})
		p := pool(t, quick())
		for login, a := range logins {
			for way, c := range map[string]struct {
				become *ssh.Become
				pty    *ssh.Terminal
			}{
				"plain": {}, "sudo": {become: &ssh.Become{Password: secret(a.password)}}, "terminal": {pty: &ssh.Terminal{}},
			} {
				if sh != "dash" && login != sh { // what one reads the other has read before
					continue
				}
				t.Run(fmt.Sprintf("%s, login shell %s, /bin/sh %s", way, login, sh), func(t *testing.T) {
					t.Parallel()
					for i, in := range carriages(seed, carryRounds(t), c.pty != nil) {
						if diff := in.differs(run(t, p, as(srv, a), in.command(c.become, c.pty)), c.pty != nil); diff != "" {
							t.Errorf("seed %d, number %d: %s", seed, i, diff)
						}
					}
				})
			}
		}
	}
}

// A value is never read by the shell, also one of a locale that the target lacks and
// of a variable whose value bash would calculate; those are refused by their names.
func TestCarriesNoShell(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "unshare")
	if !mayMount(t) {
		t.Skip("needs leave to mount")
	}
	file := filepath.Join(t.TempDir(), "ran")
	trap := "a[$(touch " + file + ")]"
	e, p := endpoint(server(t, sshtest.Config{Shell: "/bin/bash"})), pool(t, quick())
	r := run(t, p, e, ssh.Command{Argv: []string{"cat"}, Env: map[string]string{"LC_ALL": "no-such", "LANG": "no-such", "LC_TIME": "no-such"}})
	if len(r.Stderr.Bytes) > 0 || code(r) != 0 {
		t.Errorf("exit code %d, standard error %q", code(r), r.Stderr.Bytes)
	}
	if r := run(t, p, e, ssh.Command{Argv: []string{"/bin/cat"}, Env: map[string]string{"IFS": "0123456789"}}); code(r) != 0 {
		t.Errorf("with digits between words: exit code %d", code(r))
	}
	for _, name := range append(shellNames(), "RANDOM", "SRANDOM", "OPTIND", "HISTCMD", "SECONDS", "BASH_ARGC", "BASHPID", "LINENO", "EPOCHSECONDS", "SHLVL") {
		r, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"/bin/cat", "/proc/self/environ"}, Env: map[string]string{name: trap}})
		if err == nil && !strings.Contains("\x00"+string(r.Stdout.Bytes), "\x00"+name+"="+trap+"\x00") {
			t.Errorf("%s did not reach the program: %q", name, r.Stdout.Bytes)
		}
		if err != nil {
			wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, name+" belongs to the shell")
		}
		if os.Remove(file) == nil {
			t.Errorf("the value of %s was run", name)
		}
	}
}

// What no program can be given is refused before anything is sent.
func TestCarriesNoNUL(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	p := pool(t, quick())
	for name, tc := range map[string]struct {
		cmd   ssh.Command
		words []string
	}{
		"argument":          {ssh.Command{Argv: []string{"echo", "ok", "canary\x00"}}, []string{"argument 2 has a NUL character"}},
		"environment":       {ssh.Command{Argv: []string{"echo"}, Env: map[string]string{"A": "canary\x00"}}, []string{`"A" has a NUL character`}},
		"terminal's input":  {ssh.Command{Argv: []string{"cat"}, Stdin: []byte("canary\x00"), PTY: &ssh.Terminal{}}, []string{"standard input has a NUL character"}},
		"several":           {ssh.Command{Argv: []string{"a\x00", "b\x00"}, Env: map[string]string{"1": ""}}, []string{"argument 0", "argument 1", "not a name"}},
		"the shell's own":   {ssh.Command{Argv: []string{"a"}, Env: map[string]string{"PPID": "1", "RANDOM": "a[$(touch /tmp/x)]"}}, []string{"PPID belongs to the shell", "RANDOM belongs"}},
		"the wrapper's own": {ssh.Command{Argv: []string{"a"}, Env: map[string]string{"_oc7": "1"}}, []string{"_oc7 belongs to the shell"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := p.Exec(t.Context(), fakeEndpoint(f), tc.cmd)
			wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, tc.words...)
			if strings.Contains(err.Error(), "canary") || f.Execs() > 0 {
				t.Errorf("%d requests came, or the value is shown: %v", f.Execs(), err)
			}
		})
	}
}

// More than the target takes of arguments and environment is an error before the
// command runs, with and without what changes the way there.
func TestCarriesTooMuch(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	srv := accountServer(t)
	a := newAccount(t, "/bin/sh")
	sudoers(t, a.name+" ALL=(ALL) ALL")
	o, _ := guardedBy(t)
	o.Journals = filepath.Join(os.TempDir(), "opsconductor-"+a.name)
	t.Cleanup(func() { system(t, "", "sh", "-c", `rm -rf "$1"-*`, "sh", o.Journals) })
	p := pool(t, o)
	many := slices.Repeat([]string{strings.Repeat("x", 120_000)}, 18)
	for name, c := range map[string]ssh.Command{
		"one argument":         {Argv: []string{"touch", strings.Repeat("x", 128<<10)}},
		"one variable":         {Argv: []string{"touch"}, Env: map[string]string{"A": strings.Repeat("x", 128<<10)}},
		"all":                  {Argv: append([]string{"touch"}, many...)},
		"one, as another user": {Argv: []string{"touch", strings.Repeat("x", 128<<10)}, Become: &ssh.Become{Password: secret(a.password)}},
		"one, in a terminal":   {Argv: []string{"touch", strings.Repeat("x", 128<<10)}, PTY: &ssh.Terminal{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "ran")
			c.Argv = slices.Insert(slices.Clone(c.Argv), 1, file)
			_, err := p.Exec(t.Context(), as(srv, a), c)
			wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "takes no arguments and environment of this length", "in all, the longest", "The command did not run")
			if c.PTY == nil {
				_, err = p.ExecGuarded(t.Context(), as(srv, a), c, ssh.Guard{Token: newToken()})
				wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "takes no arguments and environment of this length", "The command did not run")
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("the command ran")
			}
		})
	}
	most := ssh.Command{Argv: []string{"/bin/true", strings.Repeat("x", 128<<10-1)}}
	if r := run(t, p, as(srv, a), most); code(r) != 0 {
		t.Errorf("the longest argument that there may be: exit code %d, stderr %q", code(r), r.Stderr.Bytes)
	}
}
