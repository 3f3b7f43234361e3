package hostfuncs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
)

func addrs(in ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range in {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// Whatever way an address is written, the check sees the address that would be
// dialled (attacks.md, row 7).
func TestResolveChecks(t *testing.T) {
	t.Parallel()
	forbidden := errors.New("forbidden")
	check := func(_ context.Context, a netip.Addr) error {
		if a.IsLinkLocalUnicast() || a == netip.MustParseAddr("fd00:ec2::254") || a == netip.MustParseAddr("100.100.100.200") {
			return forbidden
		}
		return nil
	}
	answers := map[string][]netip.Addr{
		"good.test":  addrs("10.0.0.1", "10.0.0.2"),
		"mixed.test": addrs("10.0.0.1", "169.254.169.254"),
		"mapped":     addrs("::ffff:169.254.169.254"),
		"2852039166": addrs("169.254.169.254"), // what a resolver makes of a decimal address
		"0xa9fea9fe": addrs("169.254.169.254"),
		"none.test":  nil,
	}
	d := hostfuncs.Dialer{Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		a, ok := answers[host]
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return a, nil
	}}
	for host, want := range map[string]string{
		"good.test": "[10.0.0.1 10.0.0.2] <nil>", "10.1.2.3": "[10.1.2.3] <nil>", "::ffff:10.1.2.3": "[10.1.2.3] <nil>",
		"mixed.test": "[] forbidden", "mapped": "[] forbidden", "2852039166": "[] forbidden", "0xa9fea9fe": "[] forbidden",
		"169.254.169.254": "[] forbidden", "::ffff:169.254.169.254": "[] forbidden", "::ffff:a9fe:a9fe": "[] forbidden", "fd00:ec2::254": "[] forbidden",
		"100.100.100.200": "[] forbidden", "fe80::1%eth0": "[] forbidden",
	} {
		got, err := d.Resolve(t.Context(), host, check)
		if s := fmt.Sprint(got, err); s != want {
			t.Errorf("%s: %s, want %s", host, s, want)
		}
	}
	for host, want := range map[string]hostfuncs.DialKind{"other.test": hostfuncs.NotFound, "none.test": hostfuncs.NotFound} {
		_, err := d.Resolve(t.Context(), host, check)
		var de *hostfuncs.DialError
		if !errors.As(err, &de) || de.Kind != want {
			t.Errorf("%s: %v, want kind %s", host, err, want)
		}
	}
}

// Connect dials literal addresses only, in turn, and shares the time.
func TestConnect(t *testing.T) {
	t.Parallel()
	var dialled []string
	d := hostfuncs.Dialer{Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		switch address {
		case "10.0.0.1:22":
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		case "10.0.0.2:22":
			<-ctx.Done()
			return nil, ctx.Err()
		}
		a, _ := net.Pipe()
		return a, nil
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	conn, at, err := d.Connect(ctx, "tcp", addrs("10.0.0.1", "10.0.0.2", "10.0.0.3"), 22)
	if err != nil || at.String() != "10.0.0.3:22" {
		t.Fatalf("%v at %s, want the third address", err, at)
	}
	_ = conn.Close()
	if want := []string{"10.0.0.1:22", "10.0.0.2:22", "10.0.0.3:22"}; !slices.Equal(dialled, want) {
		t.Errorf("dialled %v, want %v", dialled, want)
	}
	for addr, want := range map[string]hostfuncs.DialKind{"10.0.0.1": hostfuncs.Refused, "10.0.0.2": hostfuncs.TimedOut} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, _, err := d.Connect(ctx, "tcp", addrs(addr), 22)
		cancel()
		var de *hostfuncs.DialError
		if !errors.As(err, &de) || de.Kind != want {
			t.Errorf("%s: %v, want kind %s", addr, err, want)
		}
	}
}
