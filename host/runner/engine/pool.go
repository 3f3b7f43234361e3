package engine

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// PoolSettings bound what the native engine keeps for later attempts.
type PoolSettings struct {
	// Bytes is how much memory of their own all idle sandboxes may have.
	Bytes int64
	// PerModule is how many sandboxes of one module may be idle; 0: none, each attempt
	// has a fresh one.
	PerModule int
	// Idle is how long a sandbox may be.
	Idle time.Duration
}

// idleBytes is about what a sandbox costs beside its memory: tables, globals, and
// wazero's own. A Go plugin's has 113 KiB.
const idleBytes = 128 << 10

// pool keeps guests that were put back to their snapshots. Safe for concurrent use.
type pool struct {
	settings     PoolSettings
	made, thrown atomic.Int64
	reused       atomic.Int64

	mu     sync.Mutex
	closed bool
	idle   *list.List // of *nativeGuest, the longest idle first
	of     map[*nativeProgram][]*list.Element
	bytes  int64
	timer  *time.Timer // runs while guests are idle
}

func newPool(s PoolSettings) *pool {
	return &pool{settings: s, idle: list.New(), of: map[*nativeProgram][]*list.Element{}}
}

// take returns the guest that was put last, whose pages are the warmest, or nil.
func (p *pool) take(of *nativeProgram) *nativeGuest {
	p.mu.Lock()
	defer p.mu.Unlock()
	elements := p.of[of]
	if len(elements) == 0 {
		return nil
	}
	p.reused.Add(1)
	return p.remove(elements[len(elements)-1])
}

// remove takes a guest out. p.mu is held.
func (p *pool) remove(e *list.Element) *nativeGuest {
	g := p.idle.Remove(e).(*nativeGuest)
	elements := p.of[g.program]
	if last := len(elements) - 1; elements[last] == e {
		elements = elements[:last]
	} else {
		elements = slices.DeleteFunc(elements, func(x *list.Element) bool { return x == e })
	}
	if len(elements) == 0 {
		delete(p.of, g.program)
	} else {
		p.of[g.program] = elements
	}
	p.bytes -= g.counted
	return g
}

// put takes a guest that is as its snapshot is, and throws away what there is no
// room for, the longest idle first.
func (p *pool) put(g *nativeGuest) {
	var drop []*nativeGuest
	p.mu.Lock()
	if p.closed {
		drop = append(drop, g)
	} else {
		g.since = time.Now()
		p.of[g.program] = append(p.of[g.program], p.idle.PushBack(g))
		g.counted = g.cost()
		p.bytes += g.counted
		if own := p.of[g.program]; len(own) > p.settings.PerModule {
			drop = append(drop, p.remove(own[0]))
		}
		for p.bytes > p.settings.Bytes && p.idle.Len() > 0 {
			drop = append(drop, p.remove(p.idle.Front()))
		}
		p.watch()
	}
	p.mu.Unlock()
	destroy(drop)
}

// watch sets the timer for the guest that has been idle longest. p.mu is held.
func (p *pool) watch() {
	if p.timer != nil || p.idle.Len() == 0 {
		return
	}
	first := p.idle.Front().Value.(*nativeGuest)
	p.timer = time.AfterFunc(max(time.Until(first.since.Add(p.settings.Idle)), time.Millisecond), p.expire)
}

// expire throws away what has been idle for too long.
func (p *pool) expire() {
	var drop []*nativeGuest
	p.mu.Lock()
	p.timer = nil
	for e := p.idle.Front(); e != nil && time.Since(e.Value.(*nativeGuest).since) >= p.settings.Idle; e = p.idle.Front() {
		drop = append(drop, p.remove(e))
	}
	if !p.closed {
		p.watch()
	}
	p.mu.Unlock()
	destroy(drop)
}

// drop throws away the guests of a program whose code goes.
func (p *pool) drop(of *nativeProgram) {
	var drop []*nativeGuest
	p.mu.Lock()
	for elements := p.of[of]; len(elements) > 0; elements = p.of[of] {
		drop = append(drop, p.remove(elements[len(elements)-1]))
	}
	p.mu.Unlock()
	destroy(drop)
}

// close throws everything away; nothing is kept afterwards.
func (p *pool) close() {
	var drop []*nativeGuest
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	for e := p.idle.Front(); e != nil; e = p.idle.Front() {
		drop = append(drop, p.remove(e))
	}
	p.mu.Unlock()
	destroy(drop)
}

func (p *pool) stats(s *Stats) {
	p.mu.Lock()
	s.Idle, s.IdleBytes = p.idle.Len(), p.bytes
	p.mu.Unlock()
	s.Made, s.Reused, s.Thrown = int(p.made.Load()), int(p.reused.Load()), int(p.thrown.Load())
}

func destroy(guests []*nativeGuest) {
	for _, g := range guests {
		g.destroy()
	}
}

// cost is what a guest counts while it is idle.
func (g *nativeGuest) cost() int64 {
	if s := g.program.image.Load(); s != nil {
		return idleBytes + s.memory.private()
	}
	return idleBytes
}
