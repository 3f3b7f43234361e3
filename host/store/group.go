package store

import (
	"context"
	"slices"
	"sync"
)

// Group gathers concurrent calls into common flushes, without a timer: a flush
// starts when the last one has returned, and takes all that has gathered
// meanwhile. A lone call waits for nothing; under load the batches grow. Make it
// with NewGroup; it is safe for concurrent use.
type Group[T any] struct {
	flush func(ctx context.Context, items []T)
	most  int

	mu      sync.Mutex
	busy    bool
	waiting []*gathered[T]
}

// gathered is one call that waits for its flush.
type gathered[T any] struct {
	item T
	// leads is set, under the group's lock, once the call must run the next flush.
	leads bool
	// turn receives true when the call must run the next flush, false when its
	// own has returned.
	turn chan bool
}

// NewGroup returns a Group whose flushes take at most `most` items. flush runs
// in the goroutine of one of the callers, never twice at the same time, under
// a context without that caller's cancellation; it leaves the results in the
// items.
func NewGroup[T any](most int, flush func(ctx context.Context, items []T)) *Group[T] {
	return &Group[T]{flush: flush, most: most}
}

// Do hands in an item and returns nil after the flush that took it. When ctx is
// done before a flush took the item, the item is withdrawn and ctx's cause is
// returned; once a flush has it, Do waits for the result.
func (g *Group[T]) Do(ctx context.Context, item T) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c := &gathered[T]{item: item, turn: make(chan bool, 1)}
	if !g.join(c) {
		select {
		case leads := <-c.turn:
			if !leads {
				return nil
			}
		case <-ctx.Done():
			if g.withdraw(c) {
				return context.Cause(ctx)
			}
			if leads := <-c.turn; !leads {
				return nil
			}
		}
	}
	g.lead(ctx, c)
	return nil
}

// join adds a call and reports whether it leads at once.
func (g *Group[T]) join(c *gathered[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, c)
	c.leads = !g.busy
	g.busy = true
	return c.leads
}

// withdraw takes a call back that no flush has; false when it is too late.
func (g *Group[T]) withdraw(c *gathered[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, c)
	if i < 0 || c.leads {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// lead runs one flush, which has c in it, and hands the next one on.
func (g *Group[T]) lead(ctx context.Context, c *gathered[T]) {
	g.mu.Lock()
	n := min(len(g.waiting), g.most)
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.mu.Unlock()

	items := make([]T, n)
	for i, w := range batch {
		items[i] = w.item
	}
	defer func() { // also when flush panics: the others must not wait for ever
		g.handOn()
		for _, w := range batch {
			if w != c {
				w.turn <- false
			}
		}
	}()
	g.flush(context.WithoutCancel(ctx), items)
}

func (g *Group[T]) handOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.busy = false
		return
	}
	g.waiting[0].leads = true
	g.waiting[0].turn <- true
}
