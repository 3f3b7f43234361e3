// Package probe looks at the network from the host: TCP connections (probe_tcp)
// and name servers (probe_dns). What a probe finds, a closed port or a silent
// server too, is its result; only what kept it from looking is an error. Every
// address goes through hostfuncs.Dialer.
package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"opsconductor.dev/hostfuncs"
)

// Options are the probes' settings; a zero field takes its default.
type Options struct {
	Dialer hostfuncs.Dialer
	// ResolvConf is the file that names the host's own resolvers; "": /etc/resolv.conf.
	ResolvConf string
}

// Functions returns the host functions of this package.
func Functions(o Options) []hostfuncs.Func {
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	p := prober{o}
	return []hostfuncs.Func{
		hostfuncs.New("probe_tcp", "Opens a TCP connection and says whether and how fast that went.", false, p.tcp),
		hostfuncs.New("probe_dns", "Asks a name server for the records of a name.", false, p.dns),
	}
}

type prober struct{ opt Options }

const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 300_000 // milliseconds
	maxHost        = 253
)

// window returns a context that ends with the probe's own timeout.
func window(ctx context.Context, ms int64) (context.Context, context.CancelFunc) {
	d := defaultTimeout
	if ms > 0 {
		d = time.Duration(ms) * time.Millisecond
	}
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("the probe's timeout of %s is over", d))
}

// over reports whether ctx is done. A connection knows of a deadline a moment
// before ctx does; that moment is waited for.
func over(ctx context.Context) bool {
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

func badRequest(format string, args ...any) error {
	return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, format, args...)
}

func checkTimeout(name string, ms int64) error {
	if ms < 0 || ms > maxTimeout {
		return badRequest("%s: timeout_ms is not between 0 and %d", name, maxTimeout)
	}
	return nil
}

func checkHost(name, field, host string) error {
	if len(host) > maxHost || strings.ContainsAny(host, "\x00 \t\r\n/\\@[]") {
		return badRequest("%s: %s is neither a host name nor an IP address", name, field)
	}
	return nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// latency is the time since start in milliseconds.
func latency(start time.Time) float64 { return millis(time.Since(start)) }

func texts(addrs []netip.Addr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
