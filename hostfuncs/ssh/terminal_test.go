package ssh_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

func TestTerminal(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	p := pool(t, ssh.Options{})
	long := strings.Repeat("0123456789abcdef", 4096)
	many := []string{"printf", "%s"}
	for range 16 {
		many = append(many, long)
	}
	for name, tc := range map[string]struct {
		cmd    ssh.Command
		pty    ssh.Terminal
		code   int
		signal string
		stdout string
	}{
		"is one":        {cmd: ssh.Command{Argv: []string{"sh", "-c", `[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo yes >/dev/tty`}}, stdout: "yes\n"},
		"size and type": {cmd: ssh.Command{Argv: []string{"sh", "-c", `stty size; echo $TERM`}}, pty: ssh.Terminal{Rows: 50, Cols: 132, Term: "vt100"}, stdout: "50 132\nvt100\n"},
		"default size":  {cmd: ssh.Command{Argv: []string{"sh", "-c", `stty size; echo $TERM`}}, stdout: "24 80\ndumb\n"},
		"streams":       {cmd: ssh.Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}}, code: 3, stdout: "out\nerr\n"},
		"no stdin":      {cmd: ssh.Command{Argv: []string{"cat"}}},
		"stdin":         {cmd: ssh.Command{Argv: []string{"cat"}, Stdin: []byte("in\x03\x04\xff put")}, stdout: "in\x03\x04\xff put\n"},
		"large stdin":   {cmd: ssh.Command{Argv: []string{"sh", "-c", "cat | wc -c"}, Stdin: []byte(strings.Repeat("x", 1<<20))}, stdout: "1048577\n"},
		"script":        {cmd: ssh.Command{Argv: []string{"/bin/sh", "-s", "--", "a b"}, Stdin: []byte("[ -t 1 ] && echo \"$1\"\nexit 4\n")}, code: 4, stdout: "a b\n"},
		"env":           {cmd: ssh.Command{Argv: []string{"sh", "-c", `printf '%s' "$A"`}, Env: map[string]string{"A": "it's \"$x\"\n\\\x03\x04\x11\x13\r\t\x7f"}}, stdout: "it's \"$x\"\n\\\x03\x04\x11\x13\r\t\x7f"},
		"argv":          {cmd: ssh.Command{Argv: []string{"printf", "%s|", "\x03", "\x04", "\r", "a\nb", "\xff", "\x1a"}}, stdout: "\x03|\x04|\r|a\nb|\xff|\x1a|"},
		"1 MB":          {cmd: ssh.Command{Argv: many, MaxOutput: 4 << 20}, stdout: strings.Repeat(long, 16)},
		"signal":        {cmd: ssh.Command{Argv: []string{"sh", "-c", "kill -s KILL $$"}}, code: -1, signal: "KILL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.cmd.PTY = &tc.pty
			r := run(t, p, e, tc.cmd)
			if got := string(r.Stdout.Bytes); got != tc.stdout || code(r) != tc.code || r.Signal != tc.signal || !r.Terminal {
				t.Errorf("exit code %d signal %q, terminal %t, %d bytes %.200q, want %d %q, %d bytes %.200q", code(r), r.Signal, r.Terminal, len(got), got, tc.code, tc.signal, len(tc.stdout), tc.stdout)
			}
			if len(r.Stderr.Bytes) > 0 {
				t.Errorf("stderr %q, want none", r.Stderr.Bytes)
			}
		})
	}
}

func TestTerminalRefused(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{Options: []string{"PermitTTY no"}}))
	p := pool(t, ssh.Options{})
	_, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}, PTY: &ssh.Terminal{}})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "gives no terminal", "PermitTTY")
	if r := run(t, p, e, ssh.Command{Argv: []string{"true"}}); code(r) != 0 {
		t.Errorf("without one: exit code %d", code(r))
	}
}

// A command that writes nothing for too long is stopped; one that writes is not.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	p := pool(t, quick())
	file := filepath.Join(t.TempDir(), "pid")
	_, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"sh", "-c", `echo $$ >"$1"; echo x; exec sleep 1000`, "sh", file}, IdleTimeout: 500 * time.Millisecond})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "wrote nothing for 500ms (its idle timeout)", "confirmed dead")
	r := run(t, p, e, ssh.Command{Argv: []string{"sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo $i >&2; sleep 0.1; done"}, IdleTimeout: 500 * time.Millisecond})
	if code(r) != 0 || r.Duration < 700*time.Millisecond {
		t.Errorf("exit code %d after %s, want 0 after 0.8 s", code(r), r.Duration)
	}
	// The time begins with the command, not while its intent is recorded.
	run(t, p, e, ssh.Command{Argv: []string{"true"}, IdleTimeout: 500 * time.Millisecond, Begin: func(context.Context, string) error {
		<-time.After(600 * time.Millisecond)
		return nil
	}})
	// What the server runs in place of it is silent too.
	e = endpoint(server(t, sshtest.Config{Options: []string{"ForceCommand exec sleep 1000"}}))
	_, err = p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}, IdleTimeout: 500 * time.Millisecond})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "wrote nothing for 500ms (its idle timeout)")
}

// A server that closes the session without a word of how the command ended: the
// result says none.
func TestNoExit(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{NoExit: true})
	r := run(t, pool(t, quick()), fakeEndpoint(f), ssh.Command{Argv: []string{"sh", "-c", "echo out; exit 3"}})
	if r.ExitCode != nil || r.Signal != "" || string(r.Stdout.Bytes) != "out\n" {
		t.Errorf("exit code %v signal %q stdout %q, want neither, and the output", r.ExitCode, r.Signal, r.Stdout.Bytes)
	}
}

// What runs without the wrapper (a login shell that is none) is ended by the
// server's own means.
func TestCancelWithoutShell(t *testing.T) {
	t.Parallel()
	needs(t)
	srv := accountServer(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("the attempt's time is over"))
	defer cancel()
	o := quick()
	o.KillGrace = 2 * time.Second
	_, err := pool(t, o).Exec(ctx, as(srv, newAccount(t, sleepingShell(t))), ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "is confirmed dead; the server gave it no process group")
}

// brief are options of which one time is short: a phase before it may take longer
// than that on a busy machine.
func brief(of func(*ssh.Options) *time.Duration, limit time.Duration) ssh.Options {
	o := quick()
	*of(&o) = limit
	return o
}

// Each phase has a time of its own, and the error says which it was.
func TestPhases(t *testing.T) {
	t.Parallel()
	const short, handshake = 300 * time.Millisecond, 3 * time.Second
	within := func(o *ssh.Options) *time.Duration { return &o.HandshakeTimeout }
	for at, tc := range map[sshtest.Phase]struct {
		options ssh.Options
		phase   hostfuncs.Phase
		words   string
	}{
		sshtest.Banner:  {brief(within, short), hostfuncs.Before, "waiting for the banner for 300ms"},
		sshtest.Kex:     {brief(within, handshake), hostfuncs.Before, "exchanging keys for 3s"},
		sshtest.Auth:    {brief(within, handshake), hostfuncs.Before, "authenticating for 3s"},
		sshtest.Channel: {brief(func(o *ssh.Options) *time.Duration { return &o.OpenTimeout }, short), hostfuncs.Before, "no answer to opening a session within 300ms"},
		sshtest.Exec:    {brief(func(o *ssh.Options) *time.Duration { return &o.StartTimeout }, short), hostfuncs.After, "no answer to the request to run the command within 300ms"},
	} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			defer inTime(t)()
			_, err := pool(t, tc.options).Exec(t.Context(), fakeEndpoint(fake(t, sshtest.FakeConfig{Stall: at})), ssh.Command{Argv: []string{"true"}})
			wantError(t, err, hostfuncs.Timeout, tc.phase, tc.words)
			var e *hostfuncs.Error
			if errors.As(err, &e) && e.Retryable != (tc.phase == hostfuncs.Before) {
				t.Errorf("retryable %t in phase %s", e.Retryable, e.Phase)
			}
		})
	}
	t.Run("resolve", func(t *testing.T) {
		t.Parallel()
		defer inTime(t)()
		slow := brief(func(o *ssh.Options) *time.Duration { return &o.ResolveTimeout }, short)
		slow.Dialer.Lookup = stalledLookup
		e := fakeEndpoint(fake(t, sshtest.FakeConfig{}))
		e.Host = "stalled.test"
		_, err := pool(t, slow).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
		wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "resolve the name of", "no answer from the name servers within 300ms")
	})
	t.Run("connect", func(t *testing.T) {
		t.Parallel()
		defer inTime(t)()
		slow := brief(func(o *ssh.Options) *time.Duration { return &o.DialTimeout }, short)
		slow.Dialer.Dial = stalledDial
		_, err := pool(t, slow).Exec(t.Context(), fakeEndpoint(fake(t, sshtest.FakeConfig{})), ssh.Command{Argv: []string{"true"}})
		wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "connect to", "no TCP connection within 300ms")
	})
	t.Run("all of it", func(t *testing.T) {
		t.Parallel()
		defer inTime(t)()
		whole := brief(func(o *ssh.Options) *time.Duration { return &o.ConnectTimeout }, handshake)
		_, err := pool(t, whole).Exec(t.Context(), fakeEndpoint(fake(t, sshtest.FakeConfig{Stall: sshtest.Kex})), ssh.Command{Argv: []string{"true"}})
		wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "exchanging keys: no connection within 3s")
	})
	t.Run("shell", func(t *testing.T) {
		t.Parallel()
		defer inTime(t)()
		slow := brief(func(o *ssh.Options) *time.Duration { return &o.BecomeTimeout }, short)
		srv := server(t, sshtest.Config{Options: []string{"ForceCommand exec sleep 1000"}})
		_, err := pool(t, slow).Exec(t.Context(), endpoint(srv), ssh.Command{Argv: []string{"true"}, PTY: &ssh.Terminal{}})
		wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "did not start a shell within 300ms")
		_, err = pool(t, slow).Exec(t.Context(), endpoint(srv), ssh.Command{Argv: []string{"true"}, Become: &ssh.Become{}})
		wantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, "neither asked for the password nor went on in time")
	})
}

// inTime returns what checks, at the end, that a test of short limits was short.
func inTime(t *testing.T) func() {
	t.Helper()
	start := time.Now()
	return func() {
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("it took %s, and the limit is 3s or less", took)
		}
	}
}

// stalledLookup is a name server that does not answer.
func stalledLookup(ctx context.Context, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// stalledDial is an address behind which nobody answers.
func stalledDial(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
