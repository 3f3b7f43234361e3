package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// MaxHops is how many jump hosts may be on the way to an endpoint.
const MaxHops = 5

// tunnelTries is how many connections to a jump host are tried for one tunnel.
const tunnelTries = 4

// Dial opens a TCP connection to addr, "host:port", from the server e, over a
// connection of the pool (direct-tcpip, RFC 4254 section 7.2). network is tcp,
// tcp4 or tcp6. A name in addr is resolved by the server, so e.Check is asked about
// the zero address then, and about a literal address as it is. The connection has
// all of net.Conn's deadlines; closing it gives its place on the pool's connection
// back. Errors are *hostfuncs.Error of phase before.
func (p *Pool) Dial(ctx context.Context, e Endpoint, network, addr string) (net.Conn, error) {
	host, text, err := net.SplitHostPort(addr)
	port, perr := strconv.ParseUint(text, 10, 16)
	if err != nil || perr != nil || port == 0 || host == "" || network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "dial from %s: give tcp, tcp4 or tcp6, and a host and a port", e.place())
	}
	if err := e.validate(); err != nil {
		return nil, err
	}
	if err := p.begin(); err != nil {
		return nil, err
	}
	defer p.wg.Done()
	literal, _ := netip.ParseAddr(host) // the zero address for a name
	if err := e.Check(ctx, literal.Unmap()); err != nil {
		return nil, asError(err)
	}
	t, err := p.tunnel(ctx, e, host, int(port))
	if err != nil {
		return nil, asError(err)
	}
	return t, nil
}

// tunnel is a TCP connection from a jump host on.
type tunnel struct {
	net.Conn // our end of a pipe: an SSH channel has no deadlines
	to       string
	broken   atomic.Pointer[string]
}

// RemoteAddr returns where the tunnel leads.
func (t *tunnel) RemoteAddr() net.Addr { return place(t.to) }

// place is a "host:port" as a net.Addr.
type place string

func (place) Network() string  { return "tcp" }
func (p place) String() string { return string(p) }

// brokenBy names the jump host whose connection ended, which ended this one; ""
// when that is not why.
func (w *wire) brokenBy() string {
	t, ok := w.Conn.(*tunnel)
	if !ok || t.broken.Load() == nil {
		return ""
	}
	return *t.broken.Load()
}

// enterJump waits for a place at the gate of the last jump host: what is dialled
// through it is bounded in all. The caller gives the place back by leave.
func (p *Pool) enterJump(ctx context.Context, e Endpoint) (leave func(), err error) {
	if len(e.Via) == 0 {
		return func() {}, nil
	}
	hop := e.Via[len(e.Via)-1]
	hop.Via = e.Via[:len(e.Via)-1]
	g := p.gateOf("through " + hop.server())
	if g.enter(ctx) != nil {
		p.leave(g)
		return nil, hostfuncs.Ended(ctx, hostfuncs.Before, "waiting to connect to %s, through which as many connections are being opened as it bears", hop.place())
	}
	return func() { g.exit(false); p.leave(g) }, nil
}

// through connects to an endpoint by way of its last jump host.
func (p *Pool) through(ctx context.Context, e Endpoint) (net.Conn, error) {
	hop := e.Via[len(e.Via)-1]
	hop.Via = e.Via[:len(e.Via)-1]
	t, err := p.tunnel(ctx, hop, e.Host, e.port())
	if err != nil {
		he := asError(err)
		out := *he
		out.Message = fmt.Sprintf("connect to %s: %s", e.place(), he.Message)
		return nil, &out
	}
	return t, nil
}

// tunnel opens a TCP connection from a jump host.
func (p *Pool) tunnel(ctx context.Context, hop Endpoint, host string, port int) (*tunnel, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.opt.ConnectTimeout*time.Duration(1+len(hop.Via))+p.opt.DialTimeout,
		fmt.Errorf("no connection from the jump host %s in time", hop.place()))
	defer cancel()
	hop.tunnels = true
	g := p.hold(hop)
	defer p.drop(g)
	var last error
	for range tunnelTries {
		c, err := p.acquire(ctx, g, hop)
		if err != nil {
			return nil, err
		}
		ch, reqs, err := c.openTunnel(ctx, host, port)
		if err == nil {
			return p.carry(c, ch, reqs, hop, hostfuncs.HostPort(host, port)), nil
		}
		var he *hostfuncs.Error
		if errors.As(err, &he) {
			return nil, he
		}
		last = err
	}
	return nil, hostfuncs.Errorf(hostfuncs.Unreachable, hostfuncs.Before, "the jump host %s closes its connections: %w", hop.place(), last)
}

// openTunnel opens a direct-tcpip channel. The caller's slot is given back when
// that fails, also when the answer comes after ctx is done. A jump host may take
// minutes to find out that nobody answers, so silence does not end its connection.
func (c *conn) openTunnel(ctx context.Context, host string, port int) (xssh.Channel, <-chan *xssh.Request, error) {
	type answer struct {
		ch   xssh.Channel
		reqs <-chan *xssh.Request
		err  error
	}
	payload := xssh.Marshal(struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}{host, uint32(port), "127.0.0.1", 0}) //nolint:gosec // at most 65535
	answered := make(chan answer, 1)
	c.pool.wg.Go(func() {
		ch, reqs, err := c.OpenChannel("direct-tcpip", payload)
		answered <- answer{ch, reqs, err}
	})
	late := time.NewTimer(c.pool.opt.DialTimeout)
	defer late.Stop()
	to := hostfuncs.HostPort(host, port)
	var gaveUp *hostfuncs.Error
	select {
	case a := <-answered:
		if a.err == nil {
			return a.ch, a.reqs, nil
		}
		err := c.tunnelError(a.err, to)
		c.pool.release(c)
		return nil, nil, err
	case <-late.C:
		gaveUp = hostfuncs.Errorf(hostfuncs.Timeout, hostfuncs.Before, "the jump host %s did not reach %s within %s; check the address, and firewalls on the way from there", c.name, to, c.pool.opt.DialTimeout)
	case <-ctx.Done():
		gaveUp = hostfuncs.Ended(ctx, hostfuncs.Before, "connect from the jump host %s to %s", c.name, to)
	}
	c.pool.wg.Go(func() {
		if a := <-answered; a.err == nil {
			c.pool.wg.Go(func() { xssh.DiscardRequests(a.reqs) })
			_ = a.ch.Close()
		}
		c.pool.release(c)
	})
	return nil, nil, gaveUp
}

// tunnelError says why a jump host did not open a tunnel; the plain error of a
// connection that has ended may be tried again.
func (c *conn) tunnelError(err error, to string) error {
	var refusal *xssh.OpenChannelError
	if !errors.As(err, &refusal) {
		c.pool.retire(c)
		return err
	}
	switch refusal.Reason {
	case xssh.ConnectionFailed:
		return hostfuncs.Errorf(hostfuncs.Unreachable, hostfuncs.Before, "the jump host %s does not reach %s: %.200q; check the address, and the network from there", c.name, to, refusal.Message)
	case xssh.ResourceShortage:
		c.pool.refused(c)
		return hostfuncs.Errorf(hostfuncs.Throttled, hostfuncs.Before, "the jump host %s takes no more connections: %.200q", c.name, refusal.Message)
	case xssh.Prohibited, xssh.UnknownChannelType:
	}
	return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "the jump host %s does not let user %s connect to %s: %.200q; allow it there (AllowTcpForwarding, PermitOpen)", c.name, c.user, to, refusal.Message)
}

// carry joins a channel and a pipe, and gives the slot back when both have ended.
func (p *Pool) carry(c *conn, ch xssh.Channel, reqs <-chan *xssh.Request, hop Endpoint, to string) *tunnel {
	ours, theirs := net.Pipe()
	t := &tunnel{Conn: ours, to: to}
	var both sync.WaitGroup
	both.Add(2)
	p.wg.Go(func() { xssh.DiscardRequests(reqs) })
	p.wg.Go(func() {
		defer both.Done()
		_, _ = io.CopyBuffer(theirs, reader{ch}, make([]byte, tunnelBuffer))
		if by := c.ended(hop); by != "" {
			t.broken.Store(&by)
		}
		_ = theirs.Close()
	})
	p.wg.Go(func() {
		defer both.Done()
		_, _ = io.CopyBuffer(writer{ch}, theirs, make([]byte, tunnelBuffer))
		_ = ch.Close()
		_ = theirs.Close()
	})
	p.wg.Go(func() { both.Wait(); p.release(c) })
	return t
}

// tunnelBuffer is how many bytes of each direction are on their way.
const tunnelBuffer = 16 << 10

// reader and writer hide what io.CopyBuffer would use in place of its buffer.
type (
	reader struct{ io.Reader }
	writer struct{ io.Writer }
)

// ended names the jump host whose end ended the connection c; "" when c lives.
// The end of a channel tells nothing, so a sign of life is asked for.
func (c *conn) ended(hop Endpoint) string {
	late := time.AfterFunc(c.pool.opt.OpenTimeout, c.abort)
	defer late.Stop()
	if c.ping() == nil {
		return ""
	}
	if by := c.wire.brokenBy(); by != "" {
		return by
	}
	return hop.place()
}

// because adds to an error which jump host's end ended the connection.
func (c *conn) because() string {
	if by := c.wire.brokenBy(); by != "" {
		return ": the connection to the jump host " + by + " ended"
	}
	return ""
}
