package ssh_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// hop is a jump host behind a proxy that can be cut.
func hop(t *testing.T, name string, options ...string) (*sshtest.Proxy, ssh.Endpoint) {
	t.Helper()
	px, e := proxied(t, sshtest.Config{Options: options})
	e.Name, e.Credential.Name = name, name+"-key"
	return px, e
}

func TestJump(t *testing.T) {
	t.Parallel()
	px1, first := hop(t, "bastion1")
	px2, second := hop(t, "bastion2")
	var targets []ssh.Endpoint
	for i := range 6 {
		e := endpoint(server(t, sshtest.Config{Options: []string{"MaxStartups 100"}}))
		e.Name, e.Via = fmt.Sprintf("web%d", i), []ssh.Endpoint{first, second}
		targets = append(targets, e)
	}
	p := pool(t, ssh.Options{})
	done := make(chan error, 30)
	for i := range 30 {
		go func() {
			_, err := p.Exec(t.Context(), targets[i%6], ssh.Command{Argv: []string{"true"}})
			done <- err
		}()
	}
	for range 30 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if a, b := px1.Connections(), px2.Connections(); a != 1 || b != 1 {
		t.Errorf("%d and %d connections to the jump hosts, want one each: they are shared", a, b)
	}
	// Much data comes through whole.
	r := run(t, p, targets[0], ssh.Command{Argv: []string{"head", "-c", "3000000", "/dev/zero"}, MaxOutput: 4 << 20})
	if len(r.Stdout.Bytes) != 3_000_000 {
		t.Errorf("%d bytes came through, want 3000000", len(r.Stdout.Bytes))
	}
}

// Each hop is verified by itself, with its own host keys and credential, and its
// address is checked.
func TestJumpVerifies(t *testing.T) {
	t.Parallel()
	_, bastion := hop(t, "bastion1")
	target := endpoint(server(t, sshtest.Config{}))
	for name, tc := range map[string]struct {
		edit func(hop *ssh.Endpoint, target *ssh.Endpoint)
		code hostfuncs.Code
		want []string
	}{
		"key of the hop":         {func(h, _ *ssh.Endpoint) { h.HostKeys = []string{mustPublic(t, sshtest.NewKey())} }, hostfuncs.HostKeyMismatch, []string{"connect to web1", "bastion1", "no credential was sent"}},
		"no key of the hop":      {func(h, _ *ssh.Endpoint) { h.HostKeys = nil }, hostfuncs.HostKeyUnknown, []string{"bastion1"}},
		"credential of the hop":  {func(h, _ *ssh.Endpoint) { h.Credential.PrivateKey = secret(sshtest.NewKey()) }, hostfuncs.AuthFailed, []string{"bastion1-key"}},
		"address of the hop":     {func(h, _ *ssh.Endpoint) { h.Check = forbid }, hostfuncs.Denied, []string{"not there"}},
		"address of the target":  {func(_, e *ssh.Endpoint) { e.Check = forbid }, hostfuncs.Denied, []string{"not there"}},
		"key of the target":      {func(_, e *ssh.Endpoint) { e.HostKeys = []string{mustPublic(t, sshtest.NewKey())} }, hostfuncs.HostKeyMismatch, []string{"web1", "through bastion1"}},
		"the target is away":     {func(_, e *ssh.Endpoint) { e.Port = 1 }, hostfuncs.Unreachable, []string{"the jump host bastion1", "does not reach 127.0.0.1:1"}},
		"the hop is away":        {func(h, _ *ssh.Endpoint) { h.Port = 1 }, hostfuncs.Unreachable, []string{"connect to web1", "bastion1", "nothing listens there"}},
		"no address of the hop":  {func(h, _ *ssh.Endpoint) { h.Host = "" }, hostfuncs.BadRequest, []string{"a jump host of web1"}},
		"too many":               {func(h, e *ssh.Endpoint) { e.Via = []ssh.Endpoint{*h, *h, *h, *h, *h, *h} }, hostfuncs.BadRequest, []string{"5 is the most"}},
		"a name only seen there": {func(_, e *ssh.Endpoint) { e.Host = "no-such-host.invalid" }, hostfuncs.Unreachable, []string{"does not reach no-such-host.invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, e := bastion, target
			tc.edit(&h, &e)
			if e.Via == nil {
				e.Via = []ssh.Endpoint{h}
			}
			_, err := pool(t, quick()).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
			wantError(t, err, tc.code, hostfuncs.Before, tc.want...)
		})
	}
	// A name is resolved by the jump host: the check is told so by the zero address.
	e := target
	e.Host, e.Via = "localhost", []ssh.Endpoint{bastion}
	var asked []netip.Addr
	e.Check = func(_ context.Context, a netip.Addr) error { asked = append(asked, a); return nil }
	run(t, pool(t, ssh.Options{}), e, ssh.Command{Argv: []string{"true"}})
	if len(asked) == 0 || asked[0].IsValid() {
		t.Errorf("the check was asked about %v, want the zero address", asked)
	}
	_, closed := hop(t, "closed", "AllowTcpForwarding no")
	e = target
	e.Via = []ssh.Endpoint{closed}
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "the jump host closed", "does not let user", "AllowTcpForwarding")
}

func forbid(context.Context, netip.Addr) error {
	return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "not there")
}

// A chain of three whose middle dies: what runs is lost, and the error names the
// middle; the next call finds it away, or a new connection.
func TestJumpMiddleDies(t *testing.T) {
	t.Parallel()
	_, first := hop(t, "bastion1")
	px, middle := hop(t, "bastion2")
	_, third := hop(t, "bastion3")
	e := endpoint(server(t, sshtest.Config{}))
	e.Via = []ssh.Endpoint{first, middle, third}
	p := pool(t, quick())
	pids, done := spawnHeard(t, t.Context(), p, e)
	px.Cut()
	wantError(t, <-done, hostfuncs.Lost, hostfuncs.After, "whether it goes on there is not known", "the connection to the jump host bastion2", "ended")
	_ = stopProcess(pids[0])
	run(t, p, e, ssh.Command{Argv: []string{"true"}}) // over new connections
	px.Stop()
	_, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.Unreachable, hostfuncs.Before, "bastion2")
}

// A jump host that ends before the target has said that it runs the command is named.
func TestJumpDiesUnanswered(t *testing.T) {
	t.Parallel()
	px, bastion := hop(t, "bastion1")
	f := fake(t, sshtest.FakeConfig{Stall: sshtest.Exec})
	e := fakeEndpoint(f)
	e.Via = []ssh.Endpoint{bastion}
	done := make(chan error, 1)
	go func() {
		_, err := pool(t, quick()).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
		done <- err
	}()
	eventually(t, "the command is asked for", func() bool { return f.Execs() == 1 })
	px.Cut()
	wantError(t, <-done, hostfuncs.Lost, hostfuncs.After, "did not answer the request to run the command", "whether the command ran is not known", "the connection to the jump host bastion1", "ended")
}

// Connections through a jump host that are not authenticated yet are bounded
// over all targets behind it.
func TestJumpGate(t *testing.T) {
	t.Parallel()
	_, bastion := hop(t, "bastion1")
	p := pool(t, ssh.Options{DialsPerServer: 2})
	ctx, cancel := context.WithCancel(t.Context())
	var silent []*sshtest.Fake
	done := make(chan error, 6)
	for i := range 6 {
		f := fake(t, sshtest.FakeConfig{Stall: sshtest.Banner})
		silent = append(silent, f)
		e := fakeEndpoint(f)
		e.Name, e.Via = fmt.Sprintf("fake%d", i), []ssh.Endpoint{bastion}
		go func() {
			_, err := p.Exec(ctx, e, ssh.Command{Argv: []string{"true"}})
			done <- err
		}()
	}
	accepted := func() (n int) {
		for _, f := range silent {
			n += f.Accepted()
		}
		return n
	}
	eventually(t, "two are connected", func() bool { return accepted() == 2 })
	run(t, p, fakeEndpoint(fake(t, sshtest.FakeConfig{})), ssh.Command{Argv: []string{"sleep", "0.3"}}) // the others have had time
	if n := accepted(); n != 2 {
		t.Errorf("%d connections at a time through one jump host, want 2", n)
	}
	cancel()
	for range 6 {
		wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.Before)
	}
}

func TestTunnel(t *testing.T) {
	t.Parallel()
	px, e := hop(t, "bastion1")
	p := pool(t, ssh.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	echo := make(chan struct{})
	go func() {
		defer close(echo)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	for range 3 {
		c, err := p.Dial(t.Context(), e, "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() != l.Addr().String() {
			t.Errorf("the remote address is %s, want %s", c.RemoteAddr(), l.Addr())
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); hostfuncs.Classify(err, "") != hostfuncs.TimedOut {
			t.Errorf("a read past its deadline gives %v", err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second)) // and the connection lives on
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Errorf("got %q, %v; want hello", b, err)
		}
		_ = c.Close()
	}
	if n := px.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	checked := e
	checked.Check = func(_ context.Context, a netip.Addr) error {
		if a.IsLinkLocalUnicast() {
			return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "metadata address")
		}
		return nil
	}
	for addr, want := range map[string]hostfuncs.Code{
		"169.254.169.254:" + port: hostfuncs.Denied, "[::ffff:169.254.169.254]:" + port: hostfuncs.Denied,
		"127.0.0.1": hostfuncs.BadRequest, "127.0.0.1:0": hostfuncs.BadRequest, ":22": hostfuncs.BadRequest, "127.0.0.1:99999": hostfuncs.BadRequest,
		"127.0.0.1:1": hostfuncs.Unreachable,
	} {
		_, err := p.Dial(t.Context(), checked, "tcp", addr)
		wantError(t, err, want, hostfuncs.Before)
	}
	if _, err := p.Dial(t.Context(), e, "udp", l.Addr().String()); err == nil || !strings.Contains(err.Error(), "tcp") {
		t.Errorf("udp: %v", err)
	}
	_, err = strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
}

// A credential or an asset in a new version closes what the old one opened.
func TestSupersede(t *testing.T) {
	t.Parallel()
	for name, edit := range editions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := server(t, sshtest.Config{})
			p := pool(t, ssh.Options{})
			e := endpoint(srv)
			e.Revision = 1
			run(t, p, e, ssh.Command{Argv: []string{"true"}})
			same := e
			same.Revision = 9 // nothing that matters has changed
			run(t, p, same, ssh.Command{Argv: []string{"true"}})
			if n := len(srv.Connections()); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			tenant := e
			tenant.Tenant = "other"
			run(t, p, tenant, ssh.Command{Argv: []string{"true"}})
			now := e
			edit(&now)
			run(t, p, now, ssh.Command{Argv: []string{"true"}})
			eventually(t, "the old connection is closed, and the other tenant's is not", func() bool { return len(srv.Connections()) == 2 })
			run(t, p, tenant, ssh.Command{Argv: []string{"true"}})
		})
	}
}
