package ssh_test

import (
	"context"
	"testing"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// BenchmarkExec runs the program true (not a shell's builtin) on one target, over connections that stand and anew,
// beside a bare loop over x/crypto/ssh, in the same run against the same sshd.
func BenchmarkExec(b *testing.B) {
	srv, err := sshtest.Start(context.Background(), sshtest.Config{Dir: b.TempDir(), Options: []string{"LogLevel INFO"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Stop() })
	e := endpoint(srv)
	cmd := ssh.Command{Argv: []string{"true"}}
	exec := func(b *testing.B, p *ssh.Pool) {
		b.Helper()
		if r, err := p.Exec(b.Context(), e, cmd); err != nil || code(r) != 0 {
			b.Fatal(err, code(r))
		}
	}
	b.Run("warm/bare", func(b *testing.B) {
		client := bare(b, e)
		defer func() { _ = client.Close() }()
		for b.Loop() {
			bareRun(b, client)
		}
	})
	b.Run("warm/pool", func(b *testing.B) {
		p := ssh.NewPool(ssh.Options{})
		defer func() { _ = p.Close() }()
		exec(b, p)
		for b.Loop() {
			exec(b, p)
		}
	})
	b.Run("cold/bare", func(b *testing.B) {
		for b.Loop() {
			client := bare(b, e)
			bareRun(b, client)
			_ = client.Close()
		}
	})
	b.Run("cold/pool", func(b *testing.B) {
		for b.Loop() {
			p := ssh.NewPool(ssh.Options{})
			exec(b, p)
			_ = p.Close()
		}
	})
}

func bare(b *testing.B, e ssh.Endpoint) *sshtest.Bare {
	b.Helper()
	c, err := sshtest.DialBare(b.Context(), e)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func bareRun(b *testing.B, c *sshtest.Bare) {
	b.Helper()
	if err := c.Run("/bin/true"); err != nil {
		b.Fatal(err)
	}
}
