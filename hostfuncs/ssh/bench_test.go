package ssh_test

import (
	"context"
	"net"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// BenchmarkExec runs the program true (not a shell's builtin) on one target, over connections that stand and anew,
// beside a bare loop over x/crypto/ssh, in the same run against the same sshd.
func BenchmarkExec(b *testing.B) {
	srv, err := sshtest.Start(context.Background(), sshtest.Config{Dir: b.TempDir(), Options: []string{"LogLevel ERROR"}})
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
		client := bare(b, srv)
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
			client := bare(b, srv)
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

func bare(b *testing.B, srv *sshtest.Server) *xssh.Client {
	b.Helper()
	signer, err := xssh.ParsePrivateKey([]byte(srv.ClientKey))
	if err != nil {
		b.Fatal(err)
	}
	key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(srv.HostKeys[0]))
	if err != nil {
		b.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", srv.Addr)
	if err != nil {
		b.Fatal(err)
	}
	c, chans, reqs, err := xssh.NewClientConn(conn, srv.Addr, &xssh.ClientConfig{
		User: srv.User, Auth: []xssh.AuthMethod{xssh.PublicKeys(signer)}, HostKeyCallback: xssh.FixedHostKey(key), HostKeyAlgorithms: []string{key.Type()},
	})
	if err != nil {
		b.Fatal(err)
	}
	return xssh.NewClient(c, chans, reqs)
}

func bareRun(b *testing.B, c *xssh.Client) {
	b.Helper()
	s, err := c.NewSession()
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Run("/bin/true"); err != nil {
		b.Fatal(err)
	}
	_ = s.Close()
}
