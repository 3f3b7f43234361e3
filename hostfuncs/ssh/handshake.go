package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// errDropped marks an attempt that the server ended before its banner, as it does
// when too many connections are unauthenticated: safe to try again.
var errDropped = errors.New("the server closed the connection before its banner")

// dropTries is how often a connection that is dropped before the banner is tried.
const dropTries = 16

// dial opens and authenticates a connection within Options.ConnectTimeout.
func (p *Pool) dial(ctx context.Context, e Endpoint) (*link, error) {
	trusted, err := newTrust(e)
	if err != nil {
		return nil, err
	}
	within := p.opt.ConnectTimeout * time.Duration(1+len(e.Via))
	if len(reveal(e.Credential.OneTimeSeed)) > 0 {
		within += maxCodeWait
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no connection within %s", within))
	defer cancel()
	addrs, err := p.resolve(ctx, e)
	if err != nil {
		return nil, err
	}
	g := p.gate(e)
	defer p.leave(g)
	for try := 1; ; try++ {
		l, err := p.attempt(ctx, e, g, addrs, trusted)
		switch {
		case err == nil:
			return l, nil
		case !errors.Is(err, errDropped):
			return nil, err
		case try == dropTries || !pause(ctx, try):
			return nil, hostfuncs.Errorf(hostfuncs.Throttled, hostfuncs.Before,
				"%s closed %d connections before its banner: too many are being opened (MaxStartups), or it does not let this host in: %w", e.place(), try, err)
		}
	}
}

// pause waits before the next try, with full jitter; false: ctx is done.
func pause(ctx context.Context, try int) bool {
	t := time.NewTimer(rand.N(min(50*time.Millisecond<<try, time.Second))) //nolint:gosec // jitter, not a secret
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Pool) resolve(ctx context.Context, e Endpoint) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.opt.ResolveTimeout, fmt.Errorf("no answer from the name servers within %s", p.opt.ResolveTimeout))
	defer cancel()
	if len(e.Via) > 0 { // the last jump host resolves a name: there is no address to check
		literal, _ := netip.ParseAddr(e.Host)
		return []netip.Addr{literal.Unmap()}, e.Check(ctx, literal.Unmap())
	}
	addrs, err := p.opt.Dialer.Resolve(ctx, e.Host, e.Check)
	var de *hostfuncs.DialError
	if errors.As(err, &de) {
		return nil, unreachable(ctx, e, "resolve the name of", de)
	}
	return addrs, err
}

// unreachable returns the error of a server that was not reached.
func unreachable(ctx context.Context, e Endpoint, doing string, err *hostfuncs.DialError) *hostfuncs.Error {
	if ctx.Err() != nil {
		return hostfuncs.Ended(ctx, hostfuncs.Before, "%s %s", doing, e.place())
	}
	code := hostfuncs.Unreachable
	if err.Kind == hostfuncs.TimedOut {
		code = hostfuncs.Timeout
	}
	hint := map[hostfuncs.DialKind]string{
		hostfuncs.Refused:  "nothing listens there; check that the SSH server runs, and the asset's port",
		hostfuncs.TimedOut: "no answer; check the address, and firewalls on the way",
		hostfuncs.NotFound: "the name does not exist; check the asset's address",
	}[err.Kind]
	if hint == "" {
		hint = "check the asset's address, and the network on the way"
	}
	return hostfuncs.Errorf(code, hostfuncs.Before, "%s %s: %w: %s", doing, e.place(), err, hint)
}

// attempt dials once, under the gate.
func (p *Pool) attempt(ctx context.Context, e Endpoint, g *gate, addrs []netip.Addr, trusted *trust) (*link, error) {
	if err := g.enter(ctx); err != nil {
		return nil, hostfuncs.Ended(ctx, hostfuncs.Before, "waiting to connect to %s, to which as many connections are being opened as it bears", e.place())
	}
	leave, err := p.enterJump(ctx, e)
	if err != nil {
		g.exit(false)
		return nil, err
	}
	defer leave()
	w, addr, err := p.connect(ctx, e, addrs)
	if err != nil {
		g.exit(false)
		return nil, err
	}
	h := &handshake{pool: p, endpoint: e, wire: w, check: &hostKeyCheck{endpoint: e, trust: trusted}}
	l, err := h.run(ctx)
	g.exit(errors.Is(err, errDropped))
	if err == nil {
		l.addr = addr.Addr()
		return l, nil
	}
	_ = w.Close()
	var neg *xssh.AlgorithmNegotiationError
	if errors.As(err, &neg) && strings.Contains(neg.What, "host key") && trusted.pins.any() {
		err = p.scan(ctx, e, g, addrs, trusted, neg)
	}
	return nil, err
}

func (p *Pool) connect(ctx context.Context, e Endpoint, addrs []netip.Addr) (*wire, netip.AddrPort, error) {
	if len(e.Via) > 0 {
		conn, err := p.through(ctx, e)
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		return newWire(conn), netip.AddrPortFrom(addrs[0], 0), nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.opt.DialTimeout, fmt.Errorf("no TCP connection within %s", p.opt.DialTimeout))
	defer cancel()
	conn, addr, err := p.opt.Dialer.Connect(ctx, "tcp", addrs, e.port())
	if err != nil {
		var de *hostfuncs.DialError
		if errors.As(err, &de) {
			return nil, addr, unreachable(ctx, e, "connect to", de)
		}
		return nil, addr, err
	}
	return newWire(conn), addr, nil
}

// scan asks a server that has no key of a pinned type for the key that it has,
// so that the error can show it. The handshake ends before authentication.
func (p *Pool) scan(ctx context.Context, e Endpoint, g *gate, addrs []netip.Addr, trusted *trust, neg *xssh.AlgorithmNegotiationError) error {
	without := hostfuncs.Errorf(hostfuncs.HostKeyMismatch, hostfuncs.Before,
		"%s has no host key of a pinned type: pinned is %s, and it offers %s; no credential was sent. Compare with the machine's own keys and pin the right one", e.place(), trusted.pins, strings.Join(neg.RequestedAlgorithms, ", "))
	if g.enter(ctx) != nil {
		return without
	}
	defer g.exit(false)
	w, _, err := p.connect(ctx, e, addrs)
	if err != nil {
		return without
	}
	defer func() { _ = w.Close() }()
	h := &handshake{pool: p, endpoint: e, wire: w, check: &hostKeyCheck{endpoint: e, trust: trusted}, anyKey: true}
	l, err := h.run(ctx)
	if l != nil { // it lets anybody in
		l.drop(&p.wg)
	}
	if h.check.failed() != nil {
		return err
	}
	return without
}

// handshake is banner, key exchange and authentication on one connection.
type handshake struct {
	pool     *Pool
	endpoint Endpoint
	wire     *wire
	check    *hostKeyCheck
	auth     *auth
	anyKey   bool // take any type of host key, to see it
}

func (h *handshake) run(ctx context.Context) (*link, error) {
	cfg := &xssh.ClientConfig{
		User:            h.endpoint.Credential.Username,
		ClientVersion:   "SSH-2.0-OpsConductor",
		HostKeyCallback: h.check.callback(ctx),
		Config:          h.endpoint.Profile.config(),
	}
	if !h.anyKey {
		cfg.HostKeyAlgorithms = h.check.trust.algorithms()
	}
	if h.check.trust.anything() && !h.anyKey {
		a, err := h.pool.newAuth(ctx, h.endpoint, h.pause)
		if err != nil {
			return nil, err
		}
		defer a.closeKeys()
		h.auth, cfg.AuthCallback = a, a.next
	}
	if err := h.wire.SetDeadline(time.Now().Add(h.pool.opt.HandshakeTimeout)); err != nil {
		return nil, h.explain(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = h.wire.Close() })
	defer stop()
	conn, chans, reqs, err := xssh.NewClientConn(h.wire, hostfuncs.HostPort(h.endpoint.Host, h.endpoint.port()), cfg)
	if err != nil {
		return nil, h.explain(ctx, err)
	}
	l := &link{Conn: conn, wire: h.wire, opens: chans, requests: reqs}
	err = h.wire.SetDeadline(time.Time{})
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		l.drop(&h.pool.wg)
		return nil, h.explain(ctx, err)
	}
	l.learn = h.pool.rotation(ctx, h.endpoint, h.check.trust, conn, h.check.byPin())
	return l, nil
}

// phase names how far the handshake came.
func (h *handshake) phase() string {
	switch {
	case !h.wire.banner():
		return "waiting for the banner"
	case !h.check.ok():
		return "exchanging keys"
	default:
		return "authenticating"
	}
}

// explain returns the error of a handshake that did not end well.
func (h *handshake) explain(ctx context.Context, err error) error {
	var neg *xssh.AlgorithmNegotiationError
	var known *hostfuncs.Error
	kind := hostfuncs.Classify(err, "")
	gone := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || kind == hostfuncs.Reset
	place := h.endpoint.place()
	switch {
	case h.check.failed() != nil:
		return h.check.failed()
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil:
		return hostfuncs.Ended(ctx, hostfuncs.Before, "connect to %s, %s", place, h.phase())
	case h.wire.old() != "":
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "connect to %s: it does not speak SSH 2 as RFC 4253 has it, but an older version (%.80q), which has no security to speak of; put a newer server there, or check the port", place, h.wire.old())
	case kind == hostfuncs.TimedOut:
		return hostfuncs.Errorf(hostfuncs.Timeout, hostfuncs.Before, "connect to %s: it accepted the connection and then fell silent, %s for %s: %w", place, h.phase(), h.pool.opt.HandshakeTimeout, err)
	case gone && !h.wire.banner():
		return fmt.Errorf("%w%s", errDropped, h.said())
	case errors.As(err, &neg):
		return h.endpoint.mismatch(neg)
	case gone || errors.Is(err, net.ErrClosed):
		return hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.Before, "connect to %s: it closed the connection while %s%s: %w", place, h.phase(), h.because(), err)
	case h.check.ok() && h.auth != nil:
		return h.auth.failed(h.endpoint, err)
	default:
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "connect to %s: it does not speak SSH 2 as RFC 4253 has it, %s%s: %w; check the port", place, h.phase(), h.said(), err)
	}
}

// because names the jump host whose end ended the connection.
func (h *handshake) because() string {
	if by := h.wire.brokenBy(); by != "" {
		return ", because the connection to the jump host " + by + " ended"
	}
	return ""
}

// pause takes the connection's deadline away while something is waited for that
// is not the server's fault.
func (h *handshake) pause(wait func() error) error {
	if err := h.wire.SetDeadline(time.Time{}); err != nil {
		return err
	}
	err := wait()
	if set := h.wire.SetDeadline(time.Now().Add(h.pool.opt.HandshakeTimeout)); err == nil {
		err = set
	}
	return err
}

// said quotes the beginning of what a peer sent in place of a banner.
func (h *handshake) said() string {
	head := h.wire.began()
	if len(head) == 0 || h.wire.banner() {
		return ""
	}
	line, _, _ := strings.Cut(string(head), "\n")
	return fmt.Sprintf(" (it said %.80q)", strings.TrimRight(line, "\r"))
}
