package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
)

// starts notes when the first attempt of each run is started. Safe for concurrent use.
type starts struct {
	on    atomic.Bool
	mu    sync.Mutex
	first map[automation.RunID]time.Time
}

// watched is an executor that notes starts, and holds attempts of the action that
// the backlog waits behind until free is closed.
type watched struct {
	worker.Executor
	starts *starts
	free   chan struct{}
}

// Execute implements worker.Executor.
func (w watched) Execute(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
	if w.starts.on.Load() {
		now := time.Now()
		w.starts.mu.Lock()
		if _, again := w.starts.first[a.Run]; !again {
			w.starts.first[a.Run] = now
		}
		w.starts.mu.Unlock()
	}
	if a.Action == parkedAction {
		select {
		case <-w.free:
		case <-ctx.Done():
		}
	}
	return w.Executor.Execute(ctx, a, intent)
}

// arrival is a run that was submitted when it was due.
type arrival struct {
	run automation.RunID
	due time.Time
	// accepted is stamped before the commit of the acceptance: a single step is ready
	// from there on.
	accepted time.Time
}

// underWay is how many submissions may be under way. More than that would not be
// an open loop any more, and is an error.
const underWay = 8192

// steady submits n runs of one step at a fixed rate, each when it is due whatever
// has become of those before (an open loop), and measures how long each waits for
// its start: from its acceptance, and from the time when it was due.
func (b *rig) steady(ctx context.Context, rate, n int) (ready, due Result, err error) {
	plan, err := b.plan(ctx, single, map[string]any{})
	if err != nil {
		return ready, due, err
	}
	if err := b.warm(ctx, plan); err != nil {
		return ready, due, err
	}
	b.starts.first = make(map[automation.RunID]time.Time, n)
	b.starts.on.Store(true)
	defer b.starts.on.Store(false)
	arrivals := make([]arrival, n)
	began := time.Now()
	group, submitting := errgroup.WithContext(ctx)
	group.Go(func() error { return b.wait(submitting, n) })
	group.Go(func() error { return b.arrive(submitting, plan, rate, arrivals) })
	if err := group.Wait(); err != nil {
		return ready, due, err
	}
	took := time.Since(began)
	var waits, late []time.Duration
	b.starts.mu.Lock()
	defer b.starts.mu.Unlock()
	for _, a := range arrivals {
		at := b.starts.first[a.run]
		waits, late = append(waits, max(at.Sub(a.accepted), 0)), append(late, max(at.Sub(a.due), 0))
	}
	ready, due = result("ready_to_start", b.executor, n, took), result("due_to_start", b.executor, n, took)
	ready.P50MS, ready.P99MS = percentile(waits, 0.50), percentile(waits, 0.99)
	due.P50MS, due.P99MS = percentile(late, 0.50), percentile(late, 0.99)
	return ready, due, nil
}

// arrive submits each run when it is due.
func (b *rig) arrive(ctx context.Context, plan automation.Digest, rate int, arrivals []arrival) error {
	group, submitting := errgroup.WithContext(ctx)
	group.SetLimit(underWay)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for next := 0; next < len(arrivals); {
		select {
		case <-submitting.Done():
			return group.Wait()
		case <-tick.C:
		}
		for next < len(arrivals) {
			a := &arrivals[next]
			a.due = began.Add(time.Duration(next) * time.Second / time.Duration(rate))
			if a.due.After(time.Now()) {
				break
			}
			next++
			taken := group.TryGo(func() error {
				run, _, err := b.service.Submit(submitting, b.caller, submission(plan))
				a.run, a.accepted = run.ID, run.Created
				return err
			})
			if !taken {
				return fmt.Errorf("%d submissions are under way: this machine can't take %d runs a second", underWay, rate)
			}
		}
	}
	return group.Wait()
}
