package engine

import (
	"context"
	"sync"
	"time"
)

// firstWait bounds how long an attempt waits for another one to initialise the
// first sandbox of a module. Then it makes one of its own.
const firstWait = time.Second

// queue lets one attempt at a time make a sandbox of a module of which there is no
// snapshot yet, so that many that begin at once don't all initialise their own.
type queue struct {
	place   chan struct{} // has room for one
	settled chan struct{} // closed when a sandbox has been initialised
	settle  func()
}

func newQueue() queue {
	q := queue{place: make(chan struct{}, 1), settled: make(chan struct{})}
	q.settle = sync.OnceFunc(func() { close(q.settled) })
	return q
}

// join waits for one's turn. It reports whether the others wait for the caller,
// who calls leave then; else nobody waits for anybody.
func (q *queue) join(ctx context.Context) bool {
	select {
	case <-q.settled:
		return false
	default:
	}
	t := time.NewTimer(firstWait)
	defer t.Stop()
	select {
	case q.place <- struct{}{}:
		return true
	case <-q.settled:
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

func (q *queue) leave() { <-q.place }
