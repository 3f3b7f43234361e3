package ssh_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// A literal address is checked as it is, also behind a jump host, and also for each call
// on a connection that stands.
func TestCheckedIsTheAddress(t *testing.T) {
	t.Parallel()
	_, bastion := hop(t, "bastion1")
	var asked []netip.Addr
	note := func(_ context.Context, a netip.Addr) error { asked = append(asked, a); return nil }
	loopback := netip.MustParseAddr("127.0.0.1")
	p := pool(t, ssh.Options{})
	for _, via := range [][]ssh.Endpoint{nil, {bastion}} {
		e := endpoint(server(t, sshtest.Config{}))
		e.Via, e.Check, asked = via, note, nil
		run(t, p, e, truth)
		first := len(asked)
		run(t, p, e, truth)
		if first == 0 || len(asked) == first || slices.ContainsFunc(asked, func(a netip.Addr) bool { return a != loopback }) {
			t.Errorf("through %d jump hosts asked were %v (the first call %d), want %s for each call", len(via), asked, first, loopback)
		}
	}
	refuse := func(_ context.Context, a netip.Addr) error { asked = append(asked, a); return forbid(t.Context(), a) }
	e := endpoint(server(t, sshtest.Config{}))
	e.Host, e.Via, e.Check, asked = "::ffff:127.0.0.1", []ssh.Endpoint{bastion}, refuse, nil
	_, err := p.Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "not there")
	bastion.Check = refuse
	_, err = p.Dial(t.Context(), bastion, "tcp", "[::ffff:127.0.0.1]:1")
	wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "not there")
	if !slices.Equal(asked, []netip.Addr{loopback, loopback}) {
		t.Errorf("asked were %v, want %s each time", asked, loopback)
	}
}

// Without anybody who says which addresses may be dialled none is, also of a jump host.
func TestNobodyChecks(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	direct, behind := fakeEndpoint(f), fakeEndpoint(f)
	direct.Check = nil
	behind.Via = []ssh.Endpoint{direct}
	for _, e := range []ssh.Endpoint{direct, behind} {
		_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
		wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "nobody can say whether its addresses may be dialled")
	}
	_, err := pool(t, ssh.Options{}).Dial(t.Context(), direct, "tcp", "127.0.0.1:1")
	wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "nobody can say")
	if n := f.Accepted(); n > 0 {
		t.Errorf("%d connections", n)
	}
}

// A server without a usable address, or without a user, is refused before it is dialled.
func TestEndpointOfNoUse(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	for _, host := range []string{"web 1", "web1\n", "web1\x00"} {
		e := fakeEndpoint(f)
		e.Host = host
		_, err := pool(t, ssh.Options{Dialer: hostfuncs.Dialer{Lookup: loopback}}).Exec(t.Context(), e, truth)
		wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "no usable address")
	}
	e := fakeEndpoint(f)
	e.Credential.Username = ""
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "has no user name")
	if n := f.Accepted(); n > 0 {
		t.Errorf("%d connections", n)
	}
}

// A connection is for one server and one user there, and for one way there: hosts that
// show the same key are others all the same.
func TestNotAlike(t *testing.T) {
	t.Parallel()
	c := sshtest.FakeConfig{HostKey: sshtest.NewKey(), Quick: true}
	first, second := fake(t, c), fake(t, c)
	p := pool(t, ssh.Options{})
	run(t, p, fakeEndpoint(first), truth)
	run(t, p, fakeEndpoint(second), truth)
	if a, b := first.Accepted(), second.Accepted(); a != 1 || b != 1 {
		t.Errorf("%d and %d connections, want one to each port", a, b)
	}
	user := fakeEndpoint(first)
	user.Credential.Username = "other"
	run(t, p, user, truth)
	if n := first.Accepted(); n != 2 {
		t.Errorf("%d connections, want 2: another user's is another one", n)
	}
	px, e := proxied(t, sshtest.Config{})
	_, bastion := hop(t, "bastion1")
	for i, edit := range []func(h *ssh.Endpoint){
		func(*ssh.Endpoint) {},
		func(h *ssh.Endpoint) { h.Credential.Name = "other" },
		func(h *ssh.Endpoint) { h.HostKeys = append([]string{mustPublic(t, sshtest.NewKey())}, h.HostKeys...) },
		func(h *ssh.Endpoint) { h.Tenant = "other" },
	} {
		h := bastion
		edit(&h)
		e.Via = []ssh.Endpoint{h}
		run(t, p, e, truth)
		run(t, p, e, truth)
		if n := px.Connections(); n != i+1 {
			t.Errorf("%d connections, want %d: the way there is another one", n, i+1)
		}
	}
}

// A jump host's one place comes back: after an address that it does not reach, and after
// a tunnel, whose end is heard at its other end.
func TestTunnelGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	px, e := hop(t, "bastion1")
	p := pool(t, ssh.Options{TunnelsPerConn: 1, ConnsPerTarget: 1})
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 3 {
		_, err := p.Dial(ctx, e, "tcp", "127.0.0.1:1")
		wantError(t, err, hostfuncs.Unreachable, hostfuncs.Before, "the jump host bastion1", "does not reach 127.0.0.1:1")
		here, err := p.Dial(ctx, e, "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		there, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = here.Close()
		_ = there.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := there.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // what a connection gives
			t.Errorf("the other end reads %v, want its end", err)
		}
		_ = there.Close()
	}
	if n := px.Connections(); n != 1 {
		t.Errorf("%d connections to the jump host, want 1", n)
	}
}

// One connection at a time to a server and through one is enough to go through it, and
// when all is over nothing of it is remembered.
func TestJumpOneAtATime(t *testing.T) {
	t.Parallel()
	_, bastion := hop(t, "bastion1")
	e := endpoint(server(t, sshtest.Config{}))
	e.Via = []ssh.Endpoint{bastion}
	p := pool(t, ssh.Options{DialsPerServer: 1, IdleTimeout: 20 * time.Millisecond})
	run(t, p, e, truth)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 2 { // of which one waits to go through
		silent := fakeEndpoint(fake(t, sshtest.FakeConfig{Stall: sshtest.Banner}))
		silent.Via = e.Via
		wg.Go(func() {
			_, err := p.Exec(ctx, silent, truth)
			wantError(t, err, hostfuncs.Timeout, hostfuncs.Before)
		})
	}
	wg.Wait()
	eventually(t, "the pool has forgotten all", func() bool { e, s := p.Remembers(); return e == 0 && s == 0 })
}

// jumpDesk is a jump host that does with tunnels what a real one does not.
func jumpDesk(t *testing.T, settle func(d *desk)) (*desk, ssh.Endpoint) {
	t.Helper()
	d, e := serveDesk(t, func(d *desk, c *xssh.ServerConfig) { c.PasswordCallback = anybody; settle(d) })
	e.Credential.Password = secret("open sesame")
	return d, e
}

// A tunnel that a jump host opens after it was given up is closed, and its place is free.
func TestTunnelTooLate(t *testing.T) {
	t.Parallel()
	gaveUp, closed := make(chan struct{}), make(chan struct{}, 2)
	_, e := jumpDesk(t, func(d *desk) {
		d.open = func(nc xssh.NewChannel) {
			<-gaveUp
			_, requests, err := nc.Accept()
			if err != nil {
				return
			}
			xssh.DiscardRequests(requests)
			closed <- struct{}{}
		}
	})
	p := pool(t, ssh.Options{TunnelsPerConn: 1, ConnsPerTarget: 1, DialTimeout: 300 * time.Millisecond})
	_, err := p.Dial(t.Context(), e, "tcp", "127.0.0.1:1")
	wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "did not reach 127.0.0.1:1 within 300ms")
	close(gaveUp)
	<-closed
	c, err := p.Dial(t.Context(), e, "tcp", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// A jump host that takes so many tunnels on a connection and no more teaches that.
func TestTunnelsAreScarce(t *testing.T) {
	t.Parallel()
	tunnels := make(chan struct{}, 1)
	d, e := jumpDesk(t, func(d *desk) {
		d.open = func(nc xssh.NewChannel) {
			select {
			case tunnels <- struct{}{}:
			default:
				_ = nc.Reject(xssh.ResourceShortage, "one is enough")
				<-tunnels // the next one is on another connection
				return
			}
			if _, requests, err := nc.Accept(); err == nil {
				xssh.DiscardRequests(requests)
			}
		}
	})
	p := pool(t, ssh.Options{})
	for _, want := range []hostfuncs.Code{"", hostfuncs.Throttled, ""} {
		c, err := p.Dial(t.Context(), e, "tcp", "127.0.0.1:1")
		if want != "" {
			wantError(t, err, want, hostfuncs.Before, "takes no more connections", "one is enough")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	if n := d.count("password"); n != 2 {
		t.Errorf("%d connections, want 2: the first one takes no more", n)
	}
}

// A tunnel that ends, through a jump host that gives no sign of life, ends all the same.
func TestTunnelEndsInTime(t *testing.T) {
	t.Parallel()
	defer inTime(t)()
	_, e := jumpDesk(t, func(d *desk) {
		d.then = func(_ *xssh.ServerConn, requests <-chan *xssh.Request) {
			for range requests { // no answer
			}
		}
		d.open = func(nc xssh.NewChannel) {
			if ch, _, err := nc.Accept(); err == nil {
				_ = ch.Close()
			}
		}
	})
	c, err := pool(t, ssh.Options{OpenTimeout: 200 * time.Millisecond}).Dial(t.Context(), e, "tcp", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // what a connection gives
		t.Errorf("it reads %v, want its end", err)
	}
	_ = c.Close()
}
