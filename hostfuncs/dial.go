package hostfuncs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Check says whether an address may be dialled; its error is the denial.
type Check func(ctx context.Context, addr netip.Addr) error

// Check returns the check of the session's broker for a function and a host.
func (s *Session) Check(function, host string) Check {
	return func(ctx context.Context, addr netip.Addr) error {
		return s.Broker.Address(ctx, s, function, host, addr)
	}
}

// Dialer is the one way from a host function to the network. A name is resolved
// once, every address that it has is checked, and what is dialled is a checked
// address, never the name again: so a name server that answers differently the
// second time gains nothing. Safe for concurrent use.
type Dialer struct {
	// Lookup resolves a name; nil: the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial opens a connection to a literal address and port; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Resolve returns the addresses of a host name or a literal address, each
// checked. One address that is denied denies the host: a name that mixes allowed
// and forbidden addresses is not to be trusted. An error is a *DialError, or the
// check's own.
func (d Dialer) Resolve(ctx context.Context, host string, check Check) ([]netip.Addr, error) {
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if err := check(ctx, a); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

func (d Dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	find := d.Lookup
	if find == nil {
		find = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	found, err := find(ctx, host)
	if err != nil {
		return nil, dialError(ctx, err, ResolveFailed)
	}
	var addrs []netip.Addr
	for _, a := range found {
		addrs = append(addrs, a.Unmap())
	}
	if len(addrs) == 0 {
		return nil, &DialError{Kind: NotFound, Err: errors.New("the name has no address")}
	}
	return addrs, nil
}

// Connect dials checked addresses in turn until one answers; each gets a fair
// part of the time that ctx leaves. It returns the address that it dialled last,
// also with an error, which is a *DialError.
func (d Dialer) Connect(ctx context.Context, network string, addrs []netip.Addr, port int) (net.Conn, netip.AddrPort, error) {
	var last netip.AddrPort
	var failed error
	for i, a := range addrs {
		last = netip.AddrPortFrom(a, uint16(port)) //nolint:gosec // the caller checks that a port is at most 65535
		conn, err := d.connect(ctx, network, last, len(addrs)-i)
		if err == nil {
			return conn, last, nil
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
	}
	if failed == nil {
		failed = &DialError{Kind: NotFound, Err: errors.New("no address")}
	}
	return nil, last, failed
}

func (d Dialer) connect(ctx context.Context, network string, to netip.AddrPort, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		part, cancel := context.WithTimeoutCause(ctx, time.Until(deadline)/time.Duration(left),
			fmt.Errorf("no answer from %s in its part of the time", to))
		defer cancel()
		ctx = part
	}
	dial := d.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, network, to.String())
	if err != nil {
		return nil, dialError(ctx, err, Silent)
	}
	return conn, nil
}

// DialKind says why there is no connection.
type DialKind string

// The kinds, as the schemas of the probes have them.
const (
	Refused       DialKind = "refused"        // the port is closed
	TimedOut      DialKind = "timeout"        // no answer in time
	Silent        DialKind = "unreachable"    // no way there, by what the network says
	Reset         DialKind = "reset"          // the peer broke the connection off
	NotFound      DialKind = "not_found"      // the name does not exist
	ResolveFailed DialKind = "resolve_failed" // the name servers gave no answer
)

// DialError is why a name could not be resolved or an address not be reached.
type DialError struct {
	Kind DialKind
	Err  error
}

// Error returns the cause in words.
func (e *DialError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// Classify returns the kind of a network error; other is the kind of those that
// say nothing more exact.
func Classify(err error, other DialKind) DialKind {
	var dns *net.DNSError
	var dial *DialError
	var timeout net.Error
	switch {
	case errors.As(err, &dial):
		return dial.Kind
	case errors.As(err, &dns) && dns.IsNotFound:
		return NotFound
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, syscall.ETIMEDOUT), errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	default:
		return other
	}
}

func dialError(ctx context.Context, err error, other DialKind) *DialError {
	kind := Classify(err, other)
	if ctx.Err() != nil && kind == other {
		kind = TimedOut
	}
	return &DialError{Kind: kind, Err: err}
}

// HostPort joins a host and a port for people to read.
func HostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
