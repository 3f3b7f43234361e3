package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"opsconductor.dev/host/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is an item that keeps what became of it.
type call struct {
	n      int
	result int
}

func TestGroupGathersWhileAFlushIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var sizes []int
		g := store.NewGroup(10, func(_ context.Context, items []*call) {
			sizes = append(sizes, len(items))
			<-gate
			for _, c := range items {
				c.result = c.n * 2
			}
		})
		calls := make([]*call, 26)
		var wg sync.WaitGroup
		for i := range calls {
			calls[i] = &call{n: i}
			wg.Go(func() {
				if err := g.Do(t.Context(), calls[i]); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		close(gate)
		wg.Wait()
		// The first went at once and alone, the others gathered meanwhile, ten at most.
		if want := []int{1, 10, 10, 5}; !slices.Equal(sizes, want) {
			t.Errorf("flushes of %v; want %v", sizes, want)
		}
		for i, c := range calls {
			if c.result != 2*i {
				t.Errorf("call %d got %d; want %d", i, c.result, 2*i)
			}
		}
	})
}

// TestGroupWithdraws: a caller that goes before its flush starts takes its item
// with it; one whose item is being flushed waits for what becomes of it.
func TestGroupWithdraws(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var seen []int
		g := store.NewGroup(10, func(ctx context.Context, items []*call) {
			for _, c := range items {
				seen = append(seen, c.n)
			}
			<-gate
			if ctx.Err() != nil {
				t.Error("a flush has the cancellation of its caller")
			}
		})
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		do := func(ctx context.Context, n int, want error) {
			wg.Go(func() {
				if err := g.Do(ctx, &call{n: n}); !errors.Is(err, want) {
					t.Errorf("call %d: got %v; want %v", n, err, want)
				}
			})
			synctest.Wait()
		}
		do(ctx, 1, nil)         // being flushed when it is cancelled
		do(ctx, 2, gone)        // waiting
		do(t.Context(), 3, nil) // waiting, not cancelled
		cancel(gone)
		synctest.Wait()
		do(ctx, 4, gone) // cancelled before
		close(gate)
		wg.Wait()
		if want := []int{1, 3}; !slices.Equal(seen, want) {
			t.Errorf("flushed %v; want %v", seen, want)
		}
	})
}

// TestGroupSurvivesPanic: a flush that panics takes its own caller with it, and
// nobody else waits for ever.
func TestGroupSurvivesPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := store.NewGroup(10, func(_ context.Context, items []*call) {
			<-gate
			if items[0].n == 1 {
				panic("a fault")
			}
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost")
				}
			}()
			_ = g.Do(t.Context(), &call{n: 1})
		})
		synctest.Wait()
		for n := 2; n < 5; n++ {
			wg.Go(func() { _ = g.Do(t.Context(), &call{n: n}) })
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
	})
}

// TestGroupHammer: every item is flushed once or withdrawn, and flushes never overlap.
func TestGroupHammer(t *testing.T) {
	t.Parallel()
	var under, flushed, withdrawn atomic.Int64
	g := store.NewGroup(7, func(_ context.Context, items []*call) {
		if under.Add(1) != 1 {
			t.Error("two flushes at the same time")
		}
		for _, c := range items {
			c.result++
		}
		flushed.Add(int64(len(items)))
		under.Add(-1)
	})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := range 500 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%3 == 0 {
					wg.Go(cancel)
				}
				c := &call{}
				if err := g.Do(ctx, c); err != nil {
					withdrawn.Add(1)
				} else if c.result != 1 {
					t.Errorf("an item was flushed %d times", c.result)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if got := flushed.Load() + withdrawn.Load(); got != 32*500 {
		t.Errorf("%d flushed and %d withdrawn; want %d together", flushed.Load(), withdrawn.Load(), 32*500)
	}
}

// TestGroupHandsOnToTheGone: a caller that is told to lead the next flush just
// as it goes does lead it; the group does not stand still.
func TestGroupHandsOnToTheGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 500 {
			gate := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			g := store.NewGroup(10, func(_ context.Context, items []*call) {
				if items[0].n == 1 {
					<-gate
					cancel() // and right after it, the next one is told
				}
			})
			var wg sync.WaitGroup
			wg.Go(func() { _ = g.Do(t.Context(), &call{n: 1}) })
			synctest.Wait()
			wg.Go(func() { _ = g.Do(ctx, &call{n: 2}) })
			synctest.Wait()
			close(gate)
			wg.Wait()
			if err := g.Do(t.Context(), &call{n: 3}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
