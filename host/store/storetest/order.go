package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Follower tails the runs that acceptors add, by number, as a leader does.
type Follower struct {
	// Seen is the highest number that the follower has seen.
	Seen atomic.Int64

	st   store.Log
	runs map[automation.RunID]int
}

// NewFollower returns a follower of shard 0 that starts at its beginning.
func NewFollower(st store.Log) *Follower { return &Follower{st: st, runs: map[automation.RunID]int{}} }

// Follow reads until stopped is closed, and then to the end of the log.
func (f *Follower) Follow(ctx context.Context, stopped <-chan struct{}) error {
	for {
		last := false
		select {
		case <-stopped:
			last = true
		default:
		}
		entries, err := f.st.Accepted(ctx, 0, f.Seen.Load(), 7)
		if err != nil {
			return err
		}
		for _, e := range entries {
			f.runs[e.Run]++
			f.Seen.Store(e.Seq)
		}
		if last && len(entries) == 0 {
			return nil
		}
	}
}

// Missed returns those of the runs that the follower has not seen exactly once.
func (f *Follower) Missed(runs []automation.RunID) []automation.RunID {
	return slices.DeleteFunc(slices.Clone(runs), func(id automation.RunID) bool { return f.runs[id] == 1 })
}

// FollowWhile follows the log of st while `acceptors` goroutines accept `each`
// runs each, and returns the runs that the follower missed.
func FollowWhile(t testing.TB, st store.Log, acceptors, each int, accept func(f *Follower) (automation.RunID, error)) []automation.RunID {
	t.Helper()
	f := NewFollower(st)
	stopped := make(chan struct{})
	var following, accepting sync.WaitGroup
	var mu sync.Mutex
	var runs []automation.RunID
	following.Go(func() {
		if err := f.Follow(t.Context(), stopped); err != nil {
			t.Errorf("follow: %v", err)
		}
	})
	for range acceptors {
		accepting.Go(func() {
			for range each {
				id, err := accept(f)
				if err != nil {
					t.Errorf("accept: %v", err)
					return
				}
				mu.Lock()
				runs = append(runs, id)
				mu.Unlock()
			}
		})
	}
	accepting.Wait()
	close(stopped)
	following.Wait()
	if len(runs) != acceptors*each {
		t.Errorf("accepted %d runs; want %d", len(runs), acceptors*each)
	}
	return f.Missed(runs)
}

// noLateCommit: while many accept and the leader appends, a reader that goes by
// number sees every run once.
func noLateCommit(t *testing.T, b Backend) {
	f := setup(t, b)
	epoch := f.lead("h")
	own := f.accept()
	stop := make(chan struct{})
	var leader sync.WaitGroup
	leader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{granted(own.ID, 0)}}); err != nil {
				t.Errorf("append: %v", err)
				return
			}
		}
	})
	missed := FollowWhile(t, f.st, 8, 25, func(*Follower) (automation.RunID, error) {
		run, _, err := f.st.Accept(t.Context(), f.run(), act("run.submit"))
		return run.ID, err
	})
	close(stop)
	leader.Wait()
	if len(missed) > 0 {
		t.Errorf("the reader missed %d runs: %v", len(missed), missed)
	}
}

// gapless: numbers are 1, 2, 3 … whatever fails in between.
func gapless(t *testing.T, b Backend) {
	f := setup(t, b)
	epoch := f.lead("h")
	var mu sync.Mutex
	own := f.accept().ID // the leader's entries are of this one
	runs := []automation.RunID{own}
	var wg sync.WaitGroup
	for worker := range 6 {
		wg.Go(func() {
			for i := range 20 {
				run := f.run()
				if i%5 == 4 {
					run.PlanHash = digest("no such plan")
				}
				_, _, err := f.st.Accept(t.Context(), run, act("run.submit"))
				if (err != nil) != (i%5 == 4) {
					t.Errorf("accept: %v", err)
				}
				if err == nil {
					mu.Lock()
					runs = append(runs, run.ID)
					mu.Unlock()
				}
				if worker == 0 {
					stale := store.Batch{Host: "h", Epoch: epoch - 1 + int64(i%2), Entries: []automation.Entry{granted(own, i), granted(own, i)}}
					if err := f.st.Append(t.Context(), stale); (err != nil) != (i%2 == 0) {
						t.Errorf("append: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	var numbers []int64
	for _, id := range runs {
		for _, e := range f.entries(id) {
			numbers = append(numbers, e.Seq)
		}
	}
	slices.Sort(numbers)
	equal(t, "how many entries", len(numbers), 1+6*16+20)
	for i, n := range numbers {
		if n != int64(i)+1 {
			t.Fatalf("entry %d has number %d", i+1, n)
		}
	}
}
