package ssh

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"opsconductor.dev/hostfuncs"
)

// openTries is how many connections are tried for one channel: those that the
// server has closed meanwhile, or on which it takes no more sessions.
const openTries = 12

// freshTries is how many of these may be connections without a session so far.
const freshTries = 6

// Exec runs a command on an endpoint and returns how it ended. Its errors are
// *hostfuncs.Error; one of phase before means that the request to run the command
// did not leave. When ctx is done, or the command's own timeout is over, the
// remote process group is killed before Exec returns, within about KillGrace and
// five seconds, and the error's message says whether it is confirmed dead.
func (p *Pool) Exec(ctx context.Context, e Endpoint, c Command) (Result, error) {
	if err := e.validate(); err != nil {
		return Result{}, err
	}
	if err := c.Validate(); err != nil {
		return Result{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "run on %s: %w", e.place(), err)
	}
	if err := p.begin(); err != nil {
		return Result{}, err
	}
	defer p.wg.Done()
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("the call's timeout of %s is over", c.Timeout))
		defer cancel()
	}
	g := p.hold(e)
	defer p.drop(g)
	cn, ch, err := p.channel(ctx, g, e)
	if err != nil {
		return Result{}, asError(err)
	}
	s := newSession(p, g, cn, ch, e, c)
	if c.Begin != nil {
		if err := c.Begin(ctx, c.Hash()); err != nil {
			s.close()
			return Result{}, asError(err)
		}
	}
	if ctx.Err() != nil {
		s.close()
		return Result{}, hostfuncs.Ended(ctx, hostfuncs.Before, "run on %s: nothing was sent", e.place())
	}
	res, err := s.run(ctx)
	s.close()
	if s.live != nil {
		if err != nil || res.Cut {
			s.live.cut(streamNames()...)
		}
		s.live.end()
	}
	if err != nil {
		return Result{}, asError(err)
	}
	return res, nil
}

// channel returns an open session channel on some connection. Nothing has been
// asked of the target yet, so every failure of a connection may be tried again.
func (p *Pool) channel(ctx context.Context, g *group, e Endpoint) (*conn, channel, error) {
	var last error
	for try, fresh := 0, 0; try < openTries && fresh < freshTries; try++ {
		c, err := p.acquire(ctx, g, e)
		if err != nil {
			return nil, channel{}, err
		}
		if !c.hasServed() {
			fresh++
		}
		ch, err := c.openChannel(ctx)
		if err == nil {
			p.mu.Lock()
			c.served = true
			p.mu.Unlock()
			return c, ch, nil
		}
		var he *hostfuncs.Error
		switch {
		case ctx.Err() != nil:
			return nil, channel{}, hostfuncs.Ended(ctx, hostfuncs.Before, "open a session on %s", e.place())
		case errors.As(err, &he):
			return nil, channel{}, hostfuncs.Errorf(he.Code, he.Phase, "open a session on %s: %w", e.place(), he)
		case errors.Is(err, errSlow) && !c.hasServed(): // one that has served may be stale, and another one well
			return nil, channel{}, hostfuncs.Errorf(hostfuncs.Timeout, hostfuncs.Before, "%s: no answer to opening a session within %s, and the connection was closed; check the server's load and its log", e.place(), p.opt.OpenTimeout)
		}
		last = err
	}
	if errors.Is(last, errRefused) {
		return nil, channel{}, hostfuncs.Errorf(hostfuncs.Throttled, hostfuncs.Before, "open a session on %s, on several connections: %w; raise MaxSessions or run less at a time", e.place(), last)
	}
	return nil, channel{}, hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.Before, "open a session on %s, on several connections, each of which it closed: %w; its log may say why", e.place(), last)
}

// newNonce returns 128 random bits as text.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return "opsconductor-" + hex.EncodeToString(b[:])
}

func asError(err error) *hostfuncs.Error {
	var e *hostfuncs.Error
	if errors.As(err, &e) {
		return e
	}
	return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%w", err)
}

// seconds rounds a duration for people.
func seconds(d time.Duration) string { return d.Round(time.Millisecond).String() }
