package ssh

import (
	"context"
	"sync"
)

// gate bounds the connections to one server that are not authenticated yet. It
// halves its bound when the server drops one, and raises it by one when one gets
// through.
type gate struct {
	most int
	refs int // holders of the pointer; under Pool.mu
	name string

	mu      sync.Mutex
	bound   int
	inside  int
	changed chan struct{} // closed and renewed when somebody may enter
}

// gate returns the gate of an endpoint's server; leave gives it back.
func (p *Pool) gate(e Endpoint) *gate { return p.gateOf(e.server()) }

// gateOf returns the gate of a name: of a server, or of all that is dialled
// through a jump host.
func (p *Pool) gateOf(name string) *gate {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.gates[name]
	if !ok {
		g = &gate{name: name, most: p.opt.DialsPerServer, bound: p.opt.DialsPerServer, changed: make(chan struct{})}
		p.gates[name] = g
	}
	g.refs++
	return g
}

func (p *Pool) leave(g *gate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.refs--; g.refs == 0 {
		delete(p.gates, g.name)
	}
}

// enter waits for a place.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.inside < g.bound {
			g.inside++
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// exit gives the place back and says whether the server dropped the connection.
func (g *gate) exit(dropped bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if dropped {
		g.bound = max(1, g.bound/2)
	} else {
		g.bound = min(g.most, g.bound+1)
	}
	close(g.changed)
	g.changed = make(chan struct{})
}
