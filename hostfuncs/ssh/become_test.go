package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
)

// whoami is what a command as another user is tried with: it says who it is, what
// it was given, and what its standard input holds.
func whoami(b *ssh.Become, pty *ssh.Terminal) ssh.Command {
	return ssh.Command{
		Argv:  []string{"sh", "-c", `id -un; echo "$A|$1|$HOME"; cat; echo err >&2; exit 7`, "sh", "it's \"$x\"\n"},
		Env:   map[string]string{"A": "a'b"},
		Stdin: []byte("line one\nline two\n"), Become: b, PTY: pty,
	}
}

func TestBecome(t *testing.T) {
	t.Parallel()
	needs(t, "sudo", "doas", "su")
	srv := accountServer(t)
	user, free, other := newAccount(t, "/bin/sh"), newAccount(t, "/bin/bash"), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL", free.name+" ALL=(ALL) NOPASSWD: ALL")
	doasRules(t, "permit "+user.name, "permit nopass "+free.name)
	p := pool(t, quick())
	for name, tc := range map[string]struct {
		login  account
		become ssh.Become
		pty    *ssh.Terminal
		who    string
	}{
		"sudo with a password":                 {login: user, become: ssh.Become{Password: secret(user.password)}, who: "root"},
		"sudo without":                         {login: free, become: ssh.Become{Method: ssh.Sudo}, who: "root"},
		"sudo with one that nobody asks for":   {login: free, become: ssh.Become{Password: secret(free.password)}, who: "root"},
		"sudo to somebody":                     {login: user, become: ssh.Become{User: other.name, Password: secret(user.password)}, who: other.name},
		"sudo in a terminal":                   {login: user, become: ssh.Become{Password: secret(user.password)}, pty: &ssh.Terminal{}, who: "root"},
		"doas with a password":                 {login: user, become: ssh.Become{Method: ssh.Doas, Password: secret(user.password)}, who: "root"},
		"doas without":                         {login: free, become: ssh.Become{Method: ssh.Doas}, who: "root"},
		"doas with one that nobody asks for":   {login: free, become: ssh.Become{Method: ssh.Doas, Password: secret(free.password)}, who: "root"},
		"doas to somebody":                     {login: user, become: ssh.Become{Method: ssh.Doas, User: other.name, Password: secret(user.password)}, who: other.name},
		"su":                                   {login: user, become: ssh.Become{Method: ssh.Su, User: other.name, Password: secret(other.password)}, who: other.name},
		"su in a terminal":                     {login: user, become: ssh.Become{Method: ssh.Su, User: free.name, Password: secret(free.password)}, pty: &ssh.Terminal{Rows: 10, Cols: 20}, who: free.name},
		"su by root without a password":        {login: account{name: "root"}, become: ssh.Become{Method: ssh.Su, User: other.name}, who: other.name},
		"su by root in a terminal, without it": {login: account{name: "root"}, become: ssh.Become{Method: ssh.Su, User: other.name}, pty: &ssh.Terminal{}, who: other.name},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, p, as(srv, tc.login), whoami(&tc.become, tc.pty))
			home := "/"
			if tc.who == "root" {
				home = "/root"
			}
			out := tc.who + "\na'b|it's \"$x\"\n|" + home + "\nline one\nline two\n"
			errs := "err\n"
			terminal := tc.pty != nil || tc.become.Password != nil && tc.become.Method != ssh.Sudo && tc.become.Method != ""
			if terminal {
				out, errs = out+errs, ""
			}
			if got := string(r.Stdout.Bytes); got != out || code(r) != 7 {
				t.Errorf("exit code %d, stdout %q, want 7 and %q", code(r), got, out)
			}
			if got := string(r.Stderr.Bytes); got != errs {
				t.Errorf("stderr %q, want %q", got, errs)
			}
			if r.Terminal != terminal {
				t.Errorf("in a terminal: %t, want %t", r.Terminal, terminal)
			}
		})
	}
}

func TestBecomeFails(t *testing.T) {
	t.Parallel()
	needs(t, "sudo", "doas", "su", "chage")
	srv := accountServer(t)
	user, tty, stranger, expired, once := newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh"), newAccount(t, "/bin/bash"), newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL", expired.name+" ALL=(ALL) ALL", once.name+" ALL=(ALL) ALL", "Defaults:"+once.name+" passwd_tries=1",
		tty.name+" ALL=(ALL) ALL", "Defaults:"+tty.name+" requiretty", stranger.name+" ALL=(ALL) NOPASSWD: /bin/true")
	doasRules(t, "permit "+user.name)
	system(t, "", "chage", "-d", "0", expired.name)
	outsider, nologin, sleeper := newAccount(t, "/bin/sh"), newAccount(t, "/usr/sbin/nologin"), newAccount(t, sleepingShell(t))
	bare := accountServer(t, "SetEnv PATH=/nonexistent")
	p := pool(t, quick())
	rows := map[string]struct {
		login  account
		become ssh.Become
		cause  ssh.BecomeCause
		words  []string
	}{
		"sudo, wrong password":   {user, ssh.Become{Password: secret("wrong-" + user.password)}, ssh.WrongPassword, []string{"become root", "wrong password", "check the credential"}},
		"sudo, one try":          {once, ssh.Become{Password: secret("wrong-" + user.password)}, ssh.WrongPassword, []string{"1 incorrect password attempt"}},
		"sudo, no password":      {user, ssh.Become{}, ssh.PasswordRequired, []string{"asks for a password, and there is none", "give become a credential"}},
		"sudo, requiretty":       {tty, ssh.Become{Password: secret(tty.password)}, ssh.TerminalRequired, []string{"requiretty", "set pty: true"}},
		"sudo, not in sudoers":   {outsider, ssh.Become{Password: secret(outsider.password)}, ssh.NotAllowed, []string{"does not allow", "not in the sudoers file"}},
		"sudo, another command":  {stranger, ssh.Become{Password: secret(stranger.password)}, ssh.NotAllowed, []string{"/bin/sh", "is not allowed to execute '/bin/sh' as root"}},
		"sudo, unknown user":     {user, ssh.Become{User: "nobody-such", Password: secret(user.password)}, ssh.UnknownUser, []string{"knows no user nobody-such"}},
		"sudo, expired":          {expired, ssh.Become{Password: secret(expired.password)}, ssh.PasswordExpired, []string{"has expired", "change it"}},
		"doas, wrong password":   {user, ssh.Become{Method: ssh.Doas, Password: secret("wrong-" + user.password)}, ssh.WrongPassword, []string{"doas did not take the password"}},
		"doas, no password":      {user, ssh.Become{Method: ssh.Doas}, ssh.PasswordRequired, []string{"doas asks for a password"}},
		"doas, not in its rules": {outsider, ssh.Become{Method: ssh.Doas, Password: secret(outsider.password)}, ssh.NotAllowed, []string{"doas does not allow"}},
		"doas, unknown user":     {user, ssh.Become{Method: ssh.Doas, User: "nobody-such", Password: secret(user.password)}, ssh.UnknownUser, []string{"doas knows no user"}},
		"su, wrong password":     {user, ssh.Become{Method: ssh.Su, User: outsider.name, Password: secret("wrong-" + user.password)}, ssh.WrongPassword, []string{"su did not take the password"}},
		"su, no password":        {user, ssh.Become{Method: ssh.Su, User: outsider.name}, ssh.PasswordRequired, []string{"su asks for a password"}},
		"su, unknown user":       {user, ssh.Become{Method: ssh.Su, User: "nobody-such", Password: secret("x" + user.password)}, ssh.UnknownUser, []string{"su knows no user"}},
		"su, expired":            {user, ssh.Become{Method: ssh.Su, User: expired.name, Password: secret(expired.password)}, ssh.PasswordExpired, []string{"has expired"}},
		"su, no login":           {user, ssh.Become{Method: ssh.Su, User: nologin.name, Password: secret(nologin.password)}, ssh.BecomeRefused, []string{"su did not start it", "currently not available"}},
		"su, silent":             {user, ssh.Become{Method: ssh.Su, User: sleeper.name, Password: secret(sleeper.password)}, ssh.NoAnswer, []string{"su neither asked for the password nor went on in time"}},
		"no sudo":                {user, ssh.Become{Password: secret(user.password)}, ssh.MethodMissing, []string{"there is no sudo on the account's PATH there; install it"}},
		"no doas":                {user, ssh.Become{Method: ssh.Doas}, ssh.MethodMissing, []string{"there is no doas"}},
		"no su":                  {user, ssh.Become{Method: ssh.Su, User: outsider.name, Password: secret(outsider.password)}, ssh.MethodMissing, []string{"there is no su"}},
	}
	missing := constants(t, "become.go", "BecomeCause")
	for name, tc := range rows {
		maps.DeleteFunc(missing, func(_, cause string) bool { return cause == string(tc.cause) })
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, p := srv, p
			if tc.cause == ssh.MethodMissing {
				srv = bare
			}
			if tc.cause == ssh.NoAnswer {
				o := quick()
				o.BecomeTimeout = 2 * time.Second
				p = pool(t, o)
			}
			file := fmt.Sprintf("%s/ran", t.TempDir())
			_, err := p.Exec(t.Context(), as(srv, tc.login), ssh.Command{Argv: []string{"touch", file}, Become: &tc.become})
			wantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, append(tc.words, "The command did not run", "web1")...)
			wantCause(t, err, tc.cause)
			if _, err := os.Stat(file); err == nil {
				t.Error("the command ran")
			}
		})
	}
	if len(missing) > 0 {
		t.Errorf("causes of become without a row: %v", missing)
	}
}

// sleepingShell returns a login shell that does nothing.
func sleepingShell(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "opsconductor-shell-") //nolint:usetesting // other users read it, and the test's own folder is closed to them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	shell := filepath.Join(dir, "shell")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(shell, []byte("#!/bin/bash\nexec sleep 1000\n"), 0o755)); err != nil { //nolint:gosec // a login shell is run by its user
		t.Fatal(err)
	}
	return shell
}

// wantCause checks why a user was not taken on, and that no password is in the
// words about it.
func wantCause(t *testing.T, err error, want ssh.BecomeCause) {
	t.Helper()
	var be *ssh.BecomeError
	if !errors.As(err, &be) || be.Cause != want {
		t.Errorf("cause %v, want %s: %v", be, want, err)
	}
	var e *hostfuncs.Error
	if errors.As(err, &e) && (e.Retryable || strings.Contains(e.Message, "canary-") || strings.Contains(e.Message, "opsconductor-")) {
		t.Errorf("retryable %t, or it shows a password or a nonce: %s", e.Retryable, e.Message)
	}
}

// What runs as another user is killed all the same, and it is told truly.
func TestBecomeCancel(t *testing.T) {
	t.Parallel()
	srv, user, other := becoming(t)
	for name, c := range map[string]ssh.Command{
		"sudo":               {Become: &ssh.Become{Password: secret(user.password)}},
		"sudo to somebody":   {Become: &ssh.Become{User: other.name, Password: secret(user.password)}},
		"sudo in a terminal": {Become: &ssh.Become{Password: secret(user.password)}, PTY: &ssh.Terminal{}},
		"doas":               {Become: &ssh.Become{Method: ssh.Doas, Password: secret(user.password)}},
		"su":                 {Become: &ssh.Become{Method: ssh.Su, User: other.name, Password: secret(other.password)}},
		"terminal":           {PTY: &ssh.Terminal{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			pids, done := spawnAs(t, ctx, pool(t, quick()), as(srv, user), c, `trap "" TERM HUP; sleep 1000 & echo $! >>"$1"; echo $$ >>"$1"; while :; do wait; done`, 2)
			for _, pid := range pids {
				if !running(pid) {
					t.Fatalf("process %d does not run", pid)
				}
			}
			cancel(errors.New("the operator cancelled the run"))
			wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, "confirmed dead", "the operator cancelled the run")
			for _, pid := range pids {
				if running(pid) {
					t.Errorf("process %d still runs", pid)
					_ = stopProcess(pid)
				}
			}
		})
	}
}

// A call that is cancelled while the program waits for an answer never starts the
// command.
func TestBecomeCancelBefore(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	srv := accountServer(t)
	user := newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL")
	file := t.TempDir() + "/ran"
	// A wrong password keeps sudo busy for two seconds.
	c := ssh.Command{Argv: []string{"touch", file}, Become: &ssh.Become{Password: secret("wrong-" + user.password)}, Timeout: time.Second}
	_, err := pool(t, quick()).Exec(t.Context(), as(srv, user), c)
	var e *hostfuncs.Error
	if !errors.As(err, &e) || e.Code != hostfuncs.Timeout || !e.Stopped || !strings.Contains(e.Message, "had not begun") {
		t.Errorf("%+v, want a timeout of what had not begun", e)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command ran")
	}
}

// The password does not show in the list of processes, and neither do arguments
// and environment.
func TestBecomeHidden(t *testing.T) {
	t.Parallel()
	needs(t, "sudo", "su")
	srv := accountServer(t)
	user, other := newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL")
	for name, b := range map[string]*ssh.Become{
		"none": nil,
		"sudo": {Password: secret(user.password)},
		"su":   {Method: ssh.Su, User: other.name, Password: secret(other.password)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ssh.Command{
				Argv: []string{"sh", "-c", `cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" " "; tr "\0" "\n" </proc/$$/environ | grep -c ^TOKEN=canary`},
				Env:  map[string]string{"TOKEN": "canary-of-the-environment"}, Become: b, MaxOutput: 8 << 20,
			}
			r := run(t, pool(t, quick()), as(srv, user), c)
			out := string(r.Stdout.Bytes)
			shown := slices.ContainsFunc([]string{c.Env["TOKEN"], user.password, other.password}, func(text string) bool { return strings.Contains(out, text) })
			if shown || !strings.HasSuffix(out, "1\n") {
				t.Errorf("the list of processes has the password or the environment, or the command did not get it: …%.200q", out[max(0, len(out)-200):])
			}
		})
	}
}
