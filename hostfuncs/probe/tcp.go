package probe

import (
	"context"
	"errors"
	"time"

	"opsconductor.dev/hostfuncs"
)

// TCPRequest is the request of probe_tcp (schemas/hostfuncs/probe_tcp.json).
type TCPRequest struct {
	Host      string `json:"host,omitempty"`
	Port      int    `json:"port,omitempty"`
	TimeoutMS int64  `json:"timeout_ms,omitempty"`
}

// TCPResult is the result of probe_tcp.
type TCPResult struct {
	Connected bool               `json:"connected"`
	Address   string             `json:"address"`
	Resolved  []string           `json:"resolved"`
	LatencyMS float64            `json:"latency_ms"`
	Error     hostfuncs.DialKind `json:"error,omitempty"`
	Message   string             `json:"message,omitempty"`
}

// tcp is the host function probe_tcp.
func (p prober) tcp(ctx context.Context, s *hostfuncs.Session, req TCPRequest) (TCPResult, error) {
	const name = "probe_tcp"
	host, port, err := p.where(ctx, s, req)
	if err != nil {
		return TCPResult{}, err
	}
	hostfuncs.Note(ctx, hostfuncs.HostPort(host, port), "")
	own, cancel := window(ctx, req.TimeoutMS)
	defer cancel()
	r := TCPResult{Resolved: []string{}}
	addrs, err := p.opt.Dialer.Resolve(own, host, s.Check(name, host))
	r.Resolved = texts(addrs)
	if err == nil {
		start := time.Now()
		conn, at, dialErr := p.opt.Dialer.Connect(own, "tcp", addrs, port)
		r.LatencyMS, r.Address, err = latency(start), at.String(), dialErr
		if conn != nil {
			_ = conn.Close()
			r.Connected = true
		}
	}
	if over(ctx) && !r.Connected { // the attempt's own end, not the probe's
		return TCPResult{}, hostfuncs.Ended(ctx, hostfuncs.Before, "%s of %s", name, hostfuncs.HostPort(host, port))
	}
	var de *hostfuncs.DialError
	if errors.As(err, &de) {
		r.Error, r.Message = de.Kind, de.Error()
		return r, nil
	}
	return r, err
}

// where returns what to probe: what the request names, or the item's own target.
func (p prober) where(ctx context.Context, s *hostfuncs.Session, req TCPRequest) (string, int, error) {
	const name = "probe_tcp"
	if err := checkTimeout(name, req.TimeoutMS); err != nil {
		return "", 0, err
	}
	if err := checkHost(name, "host", req.Host); err != nil {
		return "", 0, err
	}
	host, port := req.Host, req.Port
	if host == "" {
		t, err := s.Broker.Target(ctx, s, name, "")
		if err != nil {
			return "", 0, err
		}
		if host = t.Address; port == 0 {
			port = t.Port
		}
	}
	if port < 1 || port > 65535 {
		return "", 0, badRequest("%s: port is not between 1 and 65535", name)
	}
	return host, port, nil
}
