package interop_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// login starts an sshd that lets an account in with a key.
func login(t *testing.T, a sshtest.Account, options ...string) ssh.Endpoint {
	t.Helper()
	key := sshtest.NewKey()
	srv := server(t, append(options, `AuthorizedKeysCommand /bin/echo `+public(t, key), "AuthorizedKeysCommandUser root", "AuthorizedKeysFile none")...)
	e := srv.Endpoint("web1")
	e.Credential.Username, e.Credential.PrivateKey = a.Name, sshtest.Plain(key)
	return e
}

// accounts are rows with users of their own: sudo, two factors, dropbear.
func accounts() []row {
	return []row{
		{"sudo, without a password", func(t *testing.T) {
			a := sshtest.User(t, "/bin/sh", "$a ALL=(ALL) NOPASSWD: ALL")
			becomes(t, login(t, a), ssh.Become{}, "root\n")
		}},
		{"sudo, with a password", func(t *testing.T) {
			a := sshtest.User(t, "/bin/sh", "$a ALL=(ALL) ALL")
			becomes(t, login(t, a), ssh.Become{Password: sshtest.Plain(a.Password)}, "root\n")
		}},
		{"sudo, wrong password", func(t *testing.T) {
			a := sshtest.User(t, "/bin/sh", "$a ALL=(ALL) ALL")
			refuses(t, login(t, a), ssh.Become{Password: sshtest.Plain("not " + a.Password)}, ssh.WrongPassword, "wrong password")
		}},
		{"sudo, no password", func(t *testing.T) {
			refuses(t, login(t, sshtest.User(t, "/bin/sh", "$a ALL=(ALL) ALL")), ssh.Become{}, ssh.PasswordRequired, "asks for a password, and there is none")
		}},
		{"sudo, requiretty", func(t *testing.T) {
			a := sshtest.User(t, "/bin/sh", "$a ALL=(ALL) ALL", "Defaults:$a requiretty")
			e, b := login(t, a), ssh.Become{Password: sshtest.Plain(a.Password)}
			refuses(t, e, b, ssh.TerminalRequired, "requiretty", "set pty: true")
			wantResult(t, pool(t, patient()), e, ssh.Command{Argv: []string{"id", "-un"}, Become: &b, PTY: &ssh.Terminal{}}, "root\n", "", 0)
		}},
		{"sudo, not in sudoers", func(t *testing.T) {
			a := sshtest.User(t, "/bin/sh")
			refuses(t, login(t, a), ssh.Become{Password: sshtest.Plain(a.Password)}, ssh.NotAllowed, "not in the sudoers file")
		}},
		{"OpenSSH, public key then keyboard-interactive", twoFactors},
		{"dropbear", dropbear},
		{"dropbear, wrong password", func(t *testing.T) {
			e := dropbearWith(t, sshtest.User(t, "/bin/sh"))
			e.Credential.Password = sshtest.Plain("not this one")
			wantError(t, pool(t, patient()), e, hostfuncs.AuthFailed, hostfuncs.Before, "tried password", "drop1")
		}},
		{"dropbear, another host key", func(t *testing.T) {
			e := dropbearWith(t, sshtest.User(t, "/bin/sh"))
			e.HostKeys = []string{public(t, sshtest.NewKey())}
			wantError(t, pool(t, patient()), e, hostfuncs.HostKeyMismatch, hostfuncs.Before, "no credential was sent", "drop1")
		}},
	}
}

func becomes(t *testing.T, e ssh.Endpoint, b ssh.Become, who string) {
	t.Helper()
	wantResult(t, pool(t, patient()), e, ssh.Command{Argv: []string{"id", "-un"}, Become: &b}, who, "", 0)
}

// refuses wants a become program's refusal, and that the command did not run.
func refuses(t *testing.T, e ssh.Endpoint, b ssh.Become, cause ssh.BecomeCause, words ...string) {
	t.Helper()
	mark := filepath.Join(t.TempDir(), "ran")
	_, err := pool(t, hasty()).Exec(t.Context(), e, ssh.Command{Argv: []string{"touch", mark}, Become: &b})
	sshtest.WantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, append(words, "The command did not run", "web1")...)
	var be *ssh.BecomeError
	if !errors.As(err, &be) || be.Cause != cause {
		t.Errorf("cause %v, want %s", be, cause)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the command ran")
	}
}

// twoFactors is OpenSSH with PAM: a key, and then the account's password by a prompt.
func twoFactors(t *testing.T) {
	a := sshtest.User(t, "/bin/sh")
	e := login(t, a, "UsePAM yes", "KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive")
	wantError(t, pool(t, patient()), e, hostfuncs.AuthFailed, hostfuncs.Before, "after it had taken publickey and asked for more", "the server offers keyboard-interactive")
	e.Credential.Version++
	e.Credential.Answers = []hostfuncs.Answer{{Prompt: "password*", Text: sshtest.Plain(a.Password)}}
	wantResult(t, pool(t, patient()), e, ssh.Command{Argv: []string{"id", "-un"}}, a.Name+"\n", "", 0)
	e.Credential.Version++
	e.Credential.Answers[0].Text = sshtest.Plain("not this one")
	wantError(t, pool(t, patient()), e, hostfuncs.AuthFailed, hostfuncs.Before, "after it had taken publickey")
}

func dropbearWith(t *testing.T, a sshtest.Account) ssh.Endpoint {
	t.Helper()
	d, err := sshtest.StartDropbear(context.WithoutCancel(t.Context()), t.TempDir())
	if errors.Is(err, sshtest.ErrNoDropbear) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	return ssh.Endpoint{
		Tenant: "default", Name: "drop1", Host: d.Host, Port: d.Port, HostKeys: []string{d.HostKey}, Check: sshtest.Allow,
		Credential: hostfuncs.Credential{Name: "pass", Version: 1, Kind: "password", Username: a.Name, Password: sshtest.Plain(a.Password)},
	}
}

// dropbear is another implementation: commands in turn and at once, cancel, files.
func dropbear(t *testing.T) {
	a := sshtest.User(t, "/bin/sh")
	p, e := pool(t, hasty()), dropbearWith(t, a)
	for _, profile := range ssh.Profiles() {
		e.Profile = profile
		echo(t, p, e, "it's dropbear")
	}
	wantResult(t, p, e, ssh.Command{Argv: []string{"id", "-un"}}, a.Name+"\n", "", 0)
	wantResult(t, p, e, ssh.Command{Argv: []string{"cat"}, Stdin: []byte("a\x00b")}, "a\x00b", "", 0)
	// One session a connection, as dropbear ends it: by hand with OC_HANGS=1000.
	n, err := strconv.Atoi(os.Getenv("OC_HANGS"))
	if err != nil {
		n = 20
	}
	alone := pool(t, ssh.Options{MaxAge: time.Nanosecond})
	for i := range n {
		if r, err := alone.Exec(t.Context(), e, ssh.Command{Argv: []string{"echo", "out"}}); err != nil || r.Cut || r.Stdout.Truncated || string(r.Stdout.Bytes) != "out\n" {
			t.Fatalf("command %d: %q, cut %t, %v; want all of it", i, r.Stdout.Bytes, r.Cut, err)
		}
	}
	r, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"sh", "-c", "kill -TERM $$"}})
	if err != nil || r.Signal != "TERM" {
		t.Errorf("signal %q, %v; want TERM", r.Signal, err)
	}
}
