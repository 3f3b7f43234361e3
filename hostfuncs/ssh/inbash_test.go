package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
)

// loginShells are those that an account may have, by Debian's packages.
func loginShells() [][]string {
	return [][]string{
		{"bash"}, {"bash", "--posix"}, {"dash"}, {"busybox", "sh"}, {"zsh"}, {"ksh93"}, {"mksh"}, {"yash"}, {"bsd-csh"}, {"tcsh"}, {"fish"},
	}
}

// startsSh is where the part of a request begins that all shells read alike.
const startsSh = "exec /bin/sh -c "

// ran is what came of a command.
type ran struct {
	Out, Err string
	Code     int
	Marks    int
}

// runLine runs a request as sshd does, in a session of its own, by a login shell.
func runLine(t *testing.T, sh []string, line, nonce string, c ssh.Command, env ...string) ran {
	t.Helper()
	cmd := shell(t, sh, line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(append(os.Environ(), "HOME="+t.TempDir()), env...)
	cmd.Dir = "/"
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Stdin = &out, &errs, bytes.NewReader(c.Stdin)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	mark := regexp.MustCompile(nonce + ` \d+ \d+( -?\d+){20,}( shell=\w*)?\n`) // what kill needs: id, group, start
	return ran{out.String(), mark.ReplaceAllString(errs.String(), ""), cmd.ProcessState.ExitCode(), len(mark.FindAllString(errs.String(), -1))}
}

// plainWords are arguments that bash may be given without another shell.
func plainWords(seed uint64, n int) []string {
	const plain = " #%&()*+,-./09:;<=>?@AZ[]^_az{|}~"
	r := rand.New(rand.NewPCG(seed, 2))
	out := []string{"", " ", "a b", "*", "~", "#", "{a,b}", "a=b", "--", "-n", ">x", ";", "&&", "%s", "(", ")", "=ls", "^", "?"}
	for range n {
		b := make([]byte, r.IntN(20))
		for i := range b {
			b[i] = plain[r.IntN(len(plain))]
		}
		out = append(out, string(b))
	}
	return out
}

// A command whose words are plain goes the same way through every login shell, and by
// bash without another shell.
func TestLoginShells(t *testing.T) {
	t.Parallel()
	const nonce = "opsconductor-0123"
	for _, sh := range loginShells() {
		t.Run(strings.Join(sh, " "), func(t *testing.T) {
			t.Parallel()
			all := plainWords(3, 200)
			for part := 0; part < len(all); part += 40 {
				words := all[part:min(part+40, len(all))]
				for _, program := range []string{"printf", "/usr/bin/printf"} {
					c := ssh.Command{Argv: append([]string{program, `<%s>`}, words...)}
					line := ssh.WrapBash(c, nonce)
					if strings.HasPrefix(line, startsSh) {
						t.Fatalf("plain words do not go to bash itself: %q", line)
					}
					got := runLine(t, sh, line, nonce, c)
					if want := (ran{Out: "<" + strings.Join(words, "><") + ">", Marks: 1}); got != want {
						t.Fatalf("got %+v\nwant %+v", got, want)
					}
				}
			}
			// Bash does without the other shell, and no other does.
			c := ssh.Command{Argv: []string{"echo", "a"}}
			line := ssh.WrapBash(c, nonce)
			got := runLine(t, sh, strings.Replace(line, startsSh, "exec /bin/false ", 1), nonce, c)
			want := ran{Code: 1}
			if sh[0] == "bash" {
				want = ran{Out: "a\n", Marks: 1}
			}
			if got != want {
				t.Errorf("without /bin/sh: got %+v, want %+v", got, want)
			}
		})
	}
}

// What csh and fish are told to read otherwise in their settings does not matter.
func TestLoginShellSettings(t *testing.T) {
	t.Parallel()
	const nonce = "opsconductor-0123"
	for sh, settings := range map[string][]string{
		"tcsh":    {"set backslash_quote", "set noglob", "set echo", "set _oc = (a b)"},
		"bsd-csh": {"set noglob", "set nonomatch", "set _oc = (a b)"},
	} {
		for _, line := range settings {
			home := t.TempDir()
			if err := os.WriteFile(filepath.Join(home, ".cshrc"), []byte(line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			c := ssh.Command{Argv: []string{"printf", "%s|", "a b", "*"}}
			text := ssh.WrapBash(c, nonce)
			if got := runLine(t, []string{sh}, text, nonce, c, "HOME="+home); got.Out != "a b|*|" || got.Code != 0 {
				t.Errorf("%s with %q: got %+v", sh, line, got)
			}
		}
	}
}

// Bash does for a command what /bin/sh would do, whatever the account's .bashrc has
// made of it: what comes out is compared with the way that other shells go.
func TestBashItself(t *testing.T) {
	t.Parallel()
	const nonce = "opsconductor-0123"
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	noMagic := write("text", "readlink /proc/$$/exe; echo \"$1\"\n", 0o700) //nolint:gosec // a program
	withMagic := write("script", "#!/bin/sh\necho \"$1\"\n", 0o700)         //nolint:gosec // a program
	closed := write("closed", "\x7fELF", 0o600)
	commands := [][]string{
		{"printf", "%s|", "a  b", "*", "a,b:c"},
		{"/usr/bin/printf", "x"},
		{"true"},
		{"false"},
		{"test", "-n", ""},
		{"echo", "-n", "x"},
		{"expr", "1", "+", "2"},
		{"no-such-program"},
		{"./no-such-program"},
		{noMagic, "a"},
		{withMagic, "a b"},
		{closed},
		{dir},
		{"/dev/null"},
		{"."},
		{"sh", "-c", "exit 7"},
		{"sh", "-c", "kill -9 0"},
		{"cat"},
		{"hash"},
		{"enable"},
		{"builtin"},
		{"exec"},
		{"set"},
		{"eval"},
		{"read"},
		{"exit"},
		{"env", "-i", "true"},
		{"ls", "-d", "/"},
	}
	for name, rc := range map[string]string{
		"plain": "", "functions": "echo() { :; }; read() { :; }; set() { :; }; hash() { :; }; enable() { :; }; eval() { :; }; exit() { :; }; printf() { :; }; ls() { :; }; true() { :; }",
		"a function builtin": "builtin() { :; }", "IFS": "IFS=, :/0123456789abc", "nounset": "set -u", "errexit": "set -e", "noglob": "set -f", "nohash": "set +h", "allexport": "set -a",
		"posix": "set -o posix", "execfail": "shopt -s execfail", "aliases": "shopt -s expand_aliases; alias echo=: set=: builtin=: read=:", "no echo": "enable -n echo", "no read": "enable -n read",
		"no builtin": "enable -n builtin", "hashed": "hash -p /bin/false true", "lost PATH": "PATH=/nowhere:$PATH:", "globs": "shopt -s nullglob failglob extglob nocasematch xpg_echo",
		"noclobber": "set -C", "variables": "_oc=x _oc0=/bin/false _oc1=xELF _oc5=1 _oc6=2 _oc7=/bin/false; export _oc0", "bash 3": "BASH_VERSION=3.2.57",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := "BASH_ENV=" + write(strings.ReplaceAll(name, " ", "-")+".rc", rc+"\n", 0o600)
			for _, argv := range commands {
				c := ssh.Command{Argv: argv, Stdin: []byte("the input\n")}
				line := ssh.WrapBash(c, nonce)
				other := line[strings.Index(line, startsSh):]
				got, want := runLine(t, []string{"bash"}, line, nonce, c, env), runLine(t, []string{"bash"}, other, nonce, c, env)
				if noise := "builtin: "; strings.Contains(got.Err, noise) && !strings.Contains(want.Err, noise) { // of an account that has disabled what is used
					got.Err = want.Err
				}
				if got != want && !strings.HasPrefix(name, "hashed") {
					t.Errorf("%q\ngot  %+v\nwant %+v", argv, got, want)
				}
			}
		})
	}
}

// Where bash is not as it starts, is too old, leads no process group, or the program is
// a text without #!, it starts /bin/sh.
func TestBashLeavesIt(t *testing.T) {
	t.Parallel()
	const nonce = "opsconductor-0123"
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("echo a\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	for i, tc := range []struct {
		rc   string
		argv []string
		left bool
	}{
		{"", []string{"printf", "a"}, false},
		{"IFS=:", []string{"printf", "a"}, false},
		{"echo() { :; }; read() { :; }", []string{"printf", "a"}, false},
		{"printf() { :; }", []string{"printf", "a"}, true},
		{"enable -n echo", []string{"printf", "a"}, true},
		{"set -u", []string{"printf", "a"}, true},
		{"set -e", []string{"printf", "a"}, true},
		{"set -f", []string{"printf", "a"}, true},
		{"set +h", []string{"printf", "a"}, true},
		{"set -a", []string{"printf", "a"}, true},
		{"set -x; PS4=", []string{"printf", "a"}, true},
		{"BASH_VERSION=3.2.57", []string{"printf", "a"}, true},
		{"", []string{text}, true},
	} {
		rc := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(rc, []byte(tc.rc+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c := ssh.Command{Argv: tc.argv}
		line := ssh.WrapBash(c, nonce)
		got := runLine(t, []string{"bash"}, strings.Replace(line, startsSh, "exec /bin/false ", 1), nonce, c, "BASH_ENV="+rc)
		if left := got.Out == "" && got.Code == 1; left != tc.left || !left && (got.Out != "a" || got.Marks != 1) {
			t.Errorf("%q with %q: got %+v, want that it leaves it to /bin/sh: %t", tc.argv, tc.rc, got, tc.left)
		}
	}
	// What exec refuses has had its try, also where the account goes on after that.
	bad, rc := filepath.Join(dir, "bad"), filepath.Join(dir, "execfail")
	if err := errors.Join(os.WriteFile(bad, []byte("\x7fELF"), 0o700), os.WriteFile(rc, []byte("shopt -s execfail\n"), 0o600)); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	c := ssh.Command{Argv: []string{bad}}
	line := ssh.WrapBash(c, nonce)
	if got := runLine(t, []string{"bash"}, line, nonce, c, "BASH_ENV="+rc); got.Code != 126 || got.Marks != 1 {
		t.Errorf("a broken program: got %+v, want exit code 126 and one try", got)
	}
	c = ssh.Command{Argv: []string{"cat", "/proc/self/stat"}}
	line = ssh.WrapBash(c, nonce)
	got, err := shell(t, []string{"bash"}, line).Output() // in this process's group
	if f := strings.Fields(string(got)); err != nil || len(f) < 5 || f[0] != f[4] {
		t.Errorf("it leads no group of its own: %q (%v)", got, err)
	}
}

// What is not plain goes to /bin/sh.
func TestNotInBash(t *testing.T) {
	t.Parallel()
	for _, argv := range [][]string{
		{"true", "'"},
		{"true", `"`},
		{"true", "$HOME"},
		{"true", "`id`"},
		{"true", "\x81"},
		{"true", "\u00e9"},
		{"true", "\t"},
		{"true", "\x7f"},
		{"a b"},
		{"a[0]"},
		{"a$"},
		{"~/x"},
		{"*"},
		{"builtin"},
		{"enable"},
		{"hash"},
		{"a=b"},
		{"true", strings.Repeat("x", 1100)},
	} {
		if line := ssh.WrapBash(ssh.Command{Argv: argv}, "opsconductor-0123"); !strings.HasPrefix(line, startsSh) {
			t.Errorf("%.40q goes to bash itself", argv)
		}
	}
}

// The whole way into accounts with each login shell: output, exit code, signal, and
// the end of a command that is cancelled.
func TestAccountsOfEachShell(t *testing.T) {
	t.Parallel()
	needs(t, "zsh", "ksh93", "mksh", "tcsh", "bsd-csh", "fish")
	srv := accountServer(t)
	for _, sh := range []string{"bash", "dash", "zsh", "ksh93", "mksh", "tcsh", "bsd-csh", "fish"} {
		t.Run(sh, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(sh)
			if err != nil {
				t.Fatal(err)
			}
			e, p := as(srv, newAccount(t, path)), pool(t, quick())
			for _, argv := range [][]string{{"printf", "%s|", "a b", "*"}, {"printf", "%s|", "a b", "#"}, {"printf", "%s|", "it's", "$HOME", "a\nb", "!"}} {
				r := run(t, p, e, ssh.Command{Argv: argv})
				if want := strings.Join(argv[2:], "|") + "|"; string(r.Stdout.Bytes) != want || r.ExitCode == nil || *r.ExitCode != 0 {
					t.Errorf("%q: got %q, exit code %v", argv, r.Stdout.Bytes, r.ExitCode)
				}
			}
			if got := p.KnowsBash(e); got != (sh == "bash") {
				t.Errorf("it is known to be bash: %t", got)
			}
			r := run(t, p, e, ssh.Command{Argv: []string{"sh", "-c", "kill -9 0"}})
			if r.Signal != "KILL" {
				t.Errorf("got signal %q, exit code %v, want KILL", r.Signal, r.ExitCode)
			}
			over := errors.New("that is enough")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, over)
			defer cancel()
			_, err = p.Exec(ctx, e, ssh.Command{Argv: []string{"sleep", fmt.Sprint(3000 + os.Getpid())}})
			var he *hostfuncs.Error
			if !errors.As(err, &he) || !he.Stopped || !strings.Contains(he.Message, "killed") {
				t.Errorf("got %v, want that it was killed", err)
			}
		})
	}
}

// What an account's login shell is is learned from the account itself, and anew when
// it is another one.
func TestLoginShellChanges(t *testing.T) {
	t.Parallel()
	needs(t, "tcsh", "usermod")
	srv := accountServer(t)
	a := newAccount(t, "/bin/bash")
	e, p := as(srv, a), pool(t, quick())
	plain := ssh.Command{Argv: []string{"printf", "%s|", "a b"}}
	check := func(what string, want bool) {
		t.Helper()
		if got := p.KnowsBash(e); got != want {
			t.Errorf("%s: known to be bash: %t, want %t", what, got, want)
		}
	}
	logIn := func(shell string) {
		t.Helper()
		func() {
			unlock := accountsLock(t)
			defer unlock()
			system(t, "", "usermod", "-s", shell, a.name)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := srv.HangUp(ctx); err != nil {
			t.Fatal(err)
		}
	}
	check("before the first command", false)
	run(t, p, e, plain)
	check("bash", true)
	logIn("/bin/dash")
	run(t, p, e, ssh.Command{Argv: []string{"true"}, Env: map[string]string{"SHELL": "/bin/bash"}})
	check("a variable of the command's", true)
	logIn("/usr/bin/tcsh")
	if r := run(t, p, e, plain); string(r.Stdout.Bytes) != "a b|" {
		t.Errorf("after the change: %q", r.Stdout.Bytes)
	}
	check("tcsh", false)
	run(t, p, e, ssh.Command{Argv: []string{"true"}, Env: map[string]string{"SHELL": "/bin/bash"}})
	check("a variable of the command's, in tcsh", false)
	logIn("/bin/bash")
	run(t, p, e, plain)
	check("bash again", true)
	logIn("/bin/false")
	if _, err := p.Exec(t.Context(), e, plain); err == nil {
		t.Error("a command ran in an account without a shell")
	}
	check("a shell that runs nothing", false)
}
