package store

import (
	"sync"

	"opsconductor.dev/host/automation"
)

// Gate counts the calls that are under way, so that Close can wait for them and
// turn later ones away. The zero value is open; it is safe for concurrent use.
type Gate struct {
	mu     sync.Mutex
	inside int
	shut   bool
	empty  chan struct{} // closed when the gate is shut and nobody is inside
}

// Enter lets a call in; after Shut it fails with code unavailable. Leave must
// follow each Enter that returned nil.
func (g *Gate) Enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return &automation.Error{Code: automation.CodeUnavailable, Message: "the store is closed", Suggestion: "the host is stopping; ask again when it is back"}
	}
	g.inside++
	return nil
}

// Leave ends a call that Enter let in.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.shut && g.inside == 0 {
		close(g.empty)
	}
}

// Shut turns every later call away and waits for those inside. It reports
// whether this call was the one that shut the gate.
func (g *Gate) Shut() bool {
	g.mu.Lock()
	first := !g.shut
	if first {
		g.shut, g.empty = true, make(chan struct{})
		if g.inside == 0 {
			close(g.empty)
		}
	}
	empty := g.empty
	g.mu.Unlock()
	<-empty
	return first
}
