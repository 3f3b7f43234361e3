package ssh_test

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

type secret = sshtest.Plain

// server starts a real sshd that ends with the test.
func server(t *testing.T, c sshtest.Config) *sshtest.Server {
	t.Helper()
	return sshtest.Serve(t, c)
}

// pool returns a pool that is closed with the test.
func pool(t *testing.T, o ssh.Options) *ssh.Pool {
	t.Helper()
	p := ssh.NewPool(o)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func endpoint(s *sshtest.Server) ssh.Endpoint { return s.Endpoint("web1") }

func allow(ctx context.Context, a netip.Addr) error { return sshtest.Allow(ctx, a) }

// run runs a command that must not fail as a call.
func run(t *testing.T, p *ssh.Pool, e ssh.Endpoint, c ssh.Command) ssh.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err := p.Exec(ctx, e, c)
	if err != nil {
		t.Fatalf("Exec(%.80q): %v", c.Argv, err)
	}
	return res
}

func code(r ssh.Result) int {
	if r.ExitCode == nil {
		return -1
	}
	return *r.ExitCode
}

// wantError checks an error's code and phase and that its message has some words.
func wantError(t *testing.T, err error, code hostfuncs.Code, phase hostfuncs.Phase, words ...string) {
	t.Helper()
	sshtest.WantError(t, err, code, phase, words...)
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	sshtest.Eventually(t, what, holds)
}

// fake starts a server in process that ends with the test.
func fake(t *testing.T, c sshtest.FakeConfig) *sshtest.Fake {
	t.Helper()
	return sshtest.ServeFake(t, c)
}

func fakeEndpoint(f *sshtest.Fake) ssh.Endpoint { return f.Endpoint("fake1") }

// proxy starts a proxy to a server that ends with the test.
func proxy(t *testing.T, s *sshtest.Server) *sshtest.Proxy {
	t.Helper()
	p, err := sshtest.StartProxy(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// stopProcess ends a process that a test has left behind on purpose.
func stopProcess(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
