package ssh

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/hostfuncs"
)

// Pool keeps connections and runs commands on them. Safe for concurrent use.
type Pool struct {
	opt Options

	mu     sync.Mutex
	closed bool
	groups map[string]*group
	gates  map[string]*gate
	codes  map[codeKey]codeUse
	// accounts has a lock of its own.
	accounts accounts
	// endings are journals of guarded commands that have ended, the oldest first.
	endings []ending
	idle    *list.List // of *conn without sessions, the longest idle first
	wg      sync.WaitGroup
}

// group is the connections that are alike: one endpoint, one credential.
type group struct {
	key     string
	of      identity
	refs    int // calls that hold the pointer
	limit   int // sessions per connection, as learned
	conns   []*conn
	dials   []*dialing
	changed chan struct{} // closed and renewed when a slot may be free
}

// dialing is a connection that a call is opening, and others wait for.
type dialing struct {
	joined int
	done   chan struct{}
	err    *hostfuncs.Error // shared with those who joined; nil: try for yourself
}

// NewPool returns a pool; Close ends it.
func NewPool(o Options) *Pool {
	return &Pool{opt: o.withDefaults(), groups: map[string]*group{}, gates: map[string]*gate{}, codes: map[codeKey]codeUse{}, idle: list.New()}
}

// Close closes all connections, which ends the calls in flight with an error, and
// returns when nothing of the pool runs any more. Remote commands in flight are
// not killed: cancel their calls first.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	for _, g := range p.groups {
		for _, c := range g.conns {
			c.abort()
		}
	}
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

// begin counts a call in, so that Close waits for it.
func (p *Pool) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return hostfuncs.Errorf(hostfuncs.Cancelled, hostfuncs.Before, "the host is closing its SSH connections")
	}
	p.wg.Add(1)
	return nil
}

// hold returns the group of an endpoint; drop gives it back.
func (p *Pool) hold(e Endpoint) *group {
	key := e.key()
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.groups[key]
	if !ok {
		g = &group{key: key, of: e.identity(), limit: p.opt.SessionsPerConn, changed: make(chan struct{})}
		if e.tunnels {
			g.limit = p.opt.TunnelsPerConn
		}
		p.supersede(g.of)
		p.groups[key] = g
	}
	g.refs++
	return g
}

func (p *Pool) drop(g *group) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g.refs--
	p.forget(g)
}

// forget lets an empty group go. Under p.mu.
func (p *Pool) forget(g *group) {
	if g.refs == 0 && len(g.conns) == 0 {
		delete(p.groups, g.key)
	}
}

// wake tells the waiting that something has changed. Under p.mu.
func (g *group) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// acquire returns a connection with a slot for one session: one that stands, one
// that somebody is opening, or a new one. release gives the slot back.
func (p *Pool) acquire(ctx context.Context, g *group, e Endpoint) (*conn, error) {
	for {
		c, d, mine, wait, err := p.claim(g)
		switch {
		case err != nil:
			return nil, err
		case c != nil:
			if err := e.Check(ctx, c.addr); err != nil {
				p.release(c)
				return nil, err
			}
			return c, nil
		case mine:
			return p.open(ctx, g, e, d)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, hostfuncs.Ended(ctx, hostfuncs.Before, "waiting for a connection to %s", e.place())
		}
		if d != nil && d.err != nil {
			return nil, d.err
		}
	}
}

// claim takes a slot, or a place in a dial, or the right to dial (mine), or says
// what to wait for.
func (p *Pool) claim(g *group) (c *conn, d *dialing, mine bool, wait <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, false, nil, hostfuncs.Errorf(hostfuncs.Cancelled, hostfuncs.Before, "the host is closing its SSH connections")
	}
	for _, c := range g.conns {
		if !c.retired && !c.aged() && c.inFlight < g.limit {
			c.inFlight++
			p.busy(c)
			return c, nil, false, nil, nil
		}
	}
	for _, d := range g.dials {
		if d.joined < g.limit-1 {
			d.joined++
			return nil, d, false, d.done, nil
		}
	}
	if len(g.conns)+len(g.dials) < p.opt.ConnsPerTarget {
		d := &dialing{done: make(chan struct{})}
		g.dials = append(g.dials, d)
		return nil, d, true, nil, nil
	}
	return nil, nil, false, g.changed, nil
}

// open dials, and lets those who joined know.
func (p *Pool) open(ctx context.Context, g *group, e Endpoint, d *dialing) (*conn, error) {
	l, err := p.dial(ctx, e)
	p.mu.Lock()
	defer p.mu.Unlock()
	g.dials = slices.DeleteFunc(g.dials, func(other *dialing) bool { return other == d })
	defer g.wake()
	defer close(d.done)
	if err != nil {
		he := asError(err)
		if ctx.Err() == nil && he.Code != hostfuncs.Denied {
			d.err = he // what is wrong with the server or the credential is wrong for all
		}
		return nil, he
	}
	if p.closed {
		l.drop(&p.wg)
		return nil, hostfuncs.Errorf(hostfuncs.Cancelled, hostfuncs.Before, "the host is closing its SSH connections")
	}
	c := &conn{link: l, pool: p, group: g, name: e.place(), user: e.Credential.Username, inFlight: 1, born: time.Now(), done: make(chan struct{})}
	l.wire.tail.tell(func() { p.retire(c) })
	g.conns = append(g.conns, c)
	c.mind()
	p.wg.Go(c.watch)
	return c, nil
}

// release gives a slot back. The last one of a retired connection closes it.
func (p *Pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.inFlight--
	c.group.wake()
	if c.inFlight > 0 || c.gone {
		return
	}
	if c.retired {
		c.abort()
		return
	}
	p.rest(c)
}

// retire lets no new session onto a connection.
func (p *Pool) retire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.retired = true
}

// refused notes that a server did not let the connection have one more session,
// and returns whether it is worth trying on another connection.
func (p *Pool) refused(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := !c.served && c.inFlight == 1
	if c.inFlight > 1 {
		c.group.limit = max(1, min(c.group.limit, c.inFlight-1))
	} else {
		c.retired = true
	}
	return !fresh
}
