package ssh_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// A server that gives no answer to what is asked for on a channel has fallen silent,
// or closed the channel, or the connection: the error says which, whether it may be
// tried again, and what is not known.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	const before, after = hostfuncs.Before, hostfuncs.After
	path := filepath.Join(t.TempDir(), "f")
	exec := func(ctx context.Context, p *ssh.Pool, e ssh.Endpoint, c ssh.Command) error {
		c.Argv = []string{"true"}
		_, err := p.Exec(ctx, e, c)
		return err
	}
	stat := func(ctx context.Context, p *ssh.Pool, e ssh.Endpoint) error {
		_, err := p.Stat(ctx, e, path, false)
		return err
	}
	put := func(ctx context.Context, p *ssh.Pool, e ssh.Endpoint) error {
		_, err := p.Put(ctx, e, ssh.Put{Path: path, Content: []byte("x"), Begin: never(t)})
		return err
	}
	for name, tc := range map[string]struct {
		at     sshtest.Phase
		call   func(context.Context, *ssh.Pool, ssh.Endpoint) error
		phase  hostfuncs.Phase
		what   string
		device bool
	}{
		"a command": {sshtest.Exec, func(ctx context.Context, p *ssh.Pool, e ssh.Endpoint) error { return exec(ctx, p, e, ssh.Command{}) }, after, "to run the command", false},
		"a terminal": {sshtest.Terminal, func(ctx context.Context, p *ssh.Pool, e ssh.Endpoint) error {
			return exec(ctx, p, e, ssh.Command{PTY: &ssh.Terminal{}})
		}, before, "for a terminal", false},
		"a dialog": {sshtest.Terminal, func(ctx context.Context, p *ssh.Pool, e ssh.Endpoint) error {
			_, err := p.Open(ctx, e, ssh.DialogConfig{})
			return err
		}, before, "for a terminal", true},
		"SFTP":          {sshtest.Subsystem, stat, before, "for SFTP", false},
		"SFTP as root":  {sshtest.Exec, func(ctx context.Context, p *ssh.Pool, e ssh.Endpoint) error { return stat(ctx, p, e.As(&ssh.Become{})) }, before, "to start an SFTP server as root", false},
		"scp":           {sshtest.Exec, put, before, "to run scp", false},
		"SFTP to write": {sshtest.Subsystem, put, before, "for SFTP", false},
	} {
		for how, want := range map[string]struct {
			conf  sshtest.FakeConfig
			code  hostfuncs.Code
			words string
		}{
			"silent":               {sshtest.FakeConfig{Stall: tc.at}, hostfuncs.Timeout, "no answer to the request " + tc.what + " within 2s, and the connection was closed"},
			"shut":                 {sshtest.FakeConfig{Shut: tc.at}, hostfuncs.Lost, "did not answer the request " + tc.what + ": the server closed the session, and the connection stands"},
			"connection is closed": {sshtest.FakeConfig{Close: tc.at}, hostfuncs.Lost, "did not answer the request " + tc.what + ", and the connection is closed"},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				o := quick()
				o.StartTimeout = 2 * time.Second // longer than the end of a connection is kept back
				if tc.device {
					want.conf.Device = &sshtest.Device{}
				}
				err := tc.call(t.Context(), pool(t, o), fakeEndpoint(fake(t, want.conf)))
				words := []string{want.words}
				if tc.phase == after {
					words = append(words, "whether the command ran is not known")
				}
				wantError(t, err, want.code, tc.phase, words...)
			})
		}
	}
}

// A connection that is lost right after SFTP was granted is no lack of SFTP.
func TestSFTPLostAtItsBeginning(t *testing.T) {
	t.Parallel()
	var px *sshtest.Proxy
	ready := make(chan struct{})
	f := fake(t, sshtest.FakeConfig{SFTP: &sshtest.SFTP{Answer: func(kind sshtest.SFTPKind, _ uint32, _ []byte) []byte {
		if <-ready; kind == sshtest.SFTPInit {
			px.Cut()
		}
		return nil
	}}})
	px, err := sshtest.StartProxy(f.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(px.Stop)
	close(ready)
	e := fakeEndpoint(f)
	e.Host, e.Port = px.Host, px.Port
	_, err = pool(t, quick()).Stat(t.Context(), e, "/", false)
	wantError(t, err, hostfuncs.Lost, hostfuncs.Before, "granted SFTP, and then the connection was lost")
}

// What a server refuses to do has not been done.
func TestRefused(t *testing.T) {
	t.Parallel()
	_, err := pool(t, quick()).Exec(t.Context(), fakeEndpoint(fake(t, sshtest.FakeConfig{Refuse: sshtest.Exec})), truth)
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "refuses to run commands for user tester")
}

// A call that ends while its intent is recorded sends nothing.
func TestCancelledWhileItBegins(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := pool(t, quick()).Exec(ctx, fakeEndpoint(f), ssh.Command{Argv: []string{"true"}, Begin: func(context.Context, string) error {
		cancel(errOperator)
		return nil
	}})
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.Before, "nothing was sent", "the operator cancelled the run")
	if n := f.Execs(); n != 0 {
		t.Errorf("%d commands were sent", n)
	}
}
