package ssh

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// conn is one authenticated connection.
type conn struct {
	*link
	pool  *Pool
	group *group
	name  string // of the endpoint, for errors
	user  string
	born  time.Time
	done  chan struct{} // closed when the connection has ended

	// Under Pool.mu:
	inFlight  int // sessions, and attempts to open one
	served    bool
	retired   bool // takes no new session
	gone      bool // left the group
	idleSince time.Time
	place     *list.Element // in Pool.idle
	minder    *time.Timer   // calls look; armed, or look runs, until gone. Either counts in Pool.wg
}

// abort cuts the connection, which ends every wait on it.
func (c *conn) abort() { c.wire.abort() }

// watch serves the connection until its end, and takes it out of the pool.
func (c *conn) watch() {
	p := c.pool
	c.serve(&p.wg)
	close(c.done)
	p.mu.Lock()
	defer p.mu.Unlock()
	c.retired, c.gone = true, true
	if c.minder.Stop() {
		p.wg.Done()
	}
	p.busy(c)
	c.group.conns = slices.DeleteFunc(c.group.conns, func(other *conn) bool { return other == c })
	c.group.wake()
	p.forget(c.group)
}

// mind begins to look after a connection. Under Pool.mu. An idle one has a timer for
// this and no goroutine: a host keeps hundreds of them.
func (c *conn) mind() {
	c.pool.wg.Add(1)
	c.minder = time.AfterFunc(c.pool.opt.lookEvery(), c.look)
}

// look closes an idle connection, or asks a silent one for a sign of life.
func (c *conn) look() {
	p := c.pool
	defer p.wg.Done()
	switch {
	case p.expired(c):
		c.abort()
	case c.wire.silent() >= p.opt.KeepAlive:
		late := time.AfterFunc(p.opt.KeepAlive, c.abort)
		_ = c.ping() // its error is the connection's end
		late.Stop()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.gone {
		p.wg.Add(1)
		c.minder.Reset(p.opt.lookEvery())
	}
}

// busy takes a connection off the idle list. Under p.mu.
func (p *Pool) busy(c *conn) {
	if c.place != nil {
		p.idle.Remove(c.place)
		c.place = nil
	}
}

// rest puts a connection on the idle list, and closes the longest idle when
// there are too many. Under p.mu.
func (p *Pool) rest(c *conn) {
	c.idleSince = time.Now()
	c.place = p.idle.PushBack(c)
	if p.idle.Len() <= p.opt.MaxIdle {
		return
	}
	if oldest, ok := p.idle.Front().Value.(*conn); ok {
		p.busy(oldest)
		oldest.retired = true
		oldest.abort()
	}
}

// aged reports whether a connection is too old for another session. It is closed when
// it is next looked at and idle.
func (c *conn) aged() bool { return time.Since(c.born) >= c.pool.opt.MaxAge }

// expired reports whether an idle connection has been so for too long, or is too old,
// and retires it.
func (p *Pool) expired(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.place == nil || time.Since(c.idleSince) < p.opt.IdleTimeout && !c.aged() {
		return false
	}
	p.busy(c)
	c.retired = true
	return true
}

// channel is an opened session channel.
type channel struct {
	xssh.Channel
	requests <-chan *xssh.Request
}

// errSlow marks a server that did not answer within Options.OpenTimeout.
var errSlow = errors.New("no answer")

// errRefused marks a channel that the server did not open.
var errRefused = errors.New("the server refused to open a session")

// openChannel opens a session channel. The caller's slot is given back here when
// that fails, also when the answer comes after ctx is done.
func (c *conn) openChannel(ctx context.Context) (channel, error) {
	type answer struct {
		ch  channel
		err error
	}
	answered := make(chan answer, 1)
	c.pool.wg.Go(func() {
		var late atomic.Bool
		limit := time.AfterFunc(c.pool.opt.OpenTimeout, func() { late.Store(true); c.abort() })
		defer limit.Stop()
		ch, err := c.openOnce()
		if isRefusal(err) && c.hasServed() && c.ping() == nil {
			// The server may not yet have counted off a session that has just been
			// closed; the answer to a later request shows that it has.
			ch, err = c.openOnce()
		}
		if err != nil && late.Load() {
			err = errSlow
		}
		answered <- answer{ch, err}
	})
	select {
	case a := <-answered:
		if a.err != nil {
			err := c.openError(a.err)
			c.pool.release(c)
			return channel{}, err
		}
		return a.ch, nil
	case <-ctx.Done():
		c.pool.wg.Go(func() {
			if a := <-answered; a.err == nil {
				c.pool.wg.Go(func() { xssh.DiscardRequests(a.ch.requests) })
				_ = a.ch.Close()
			}
			c.pool.release(c)
		})
		return channel{}, ctx.Err()
	}
}

func (c *conn) openOnce() (channel, error) {
	ch, reqs, err := c.OpenChannel("session", nil)
	return channel{ch, reqs}, err
}

// ping asks the server for a sign of life.
func (c *conn) ping() error {
	_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
	return err
}

// answers reports whether the connection still stands.
func (c *conn) answers() bool {
	late := time.AfterFunc(c.pool.opt.OpenTimeout, c.abort)
	defer late.Stop()
	return c.ping() == nil
}

func (c *conn) hasServed() bool {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return c.served
}

func isRefusal(err error) bool {
	var refusal *xssh.OpenChannelError
	return errors.As(err, &refusal)
}

// openError tells a refusal, which the connection survives, from its end.
func (c *conn) openError(err error) error {
	var refusal *xssh.OpenChannelError
	if !errors.As(err, &refusal) {
		c.pool.retire(c)
		return err
	}
	if c.pool.refused(c) {
		return errRefused
	}
	return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "the server refuses every session: %s; check MaxSessions and what the account is allowed", refusal.Reason)
}
