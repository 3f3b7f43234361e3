package scheduler_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/host/workflow"
)

// broken is a store whose connection breaks: the error can't say that asking again
// does no harm.
type broken struct {
	store.Store
	plans atomic.Int32 // how many reads of a plan still break
	// replaying, when set, is called when a replay begins, which then breaks.
	replaying func()
}

func errBroken() error {
	return &automation.Error{Code: automation.CodeUnavailable, Message: "the connection broke"}
}

func (s *broken) Plan(ctx context.Context, tenant automation.TenantID, hash automation.Digest) ([]byte, error) {
	if s.plans.Add(-1) >= 0 {
		return nil, errBroken()
	}
	return s.Store.Plan(ctx, tenant, hash)
}

func (s *broken) Buckets(ctx context.Context, shard int) ([]automation.Bucket, error) {
	if s.replaying != nil {
		s.replaying()
		return nil, errBroken()
	}
	return s.Store.Buckets(ctx, shard)
}

// TestPlanThatCantBeReadNow: a run whose plan can't be read while the connection is
// broken waits for it. (Its run once failed for good.)
func TestPlanThatCantBeReadNow(t *testing.T) {
	t.Parallel()
	f := setup(t)
	st := &broken{Store: f.st}
	st.plans.Store(2)
	f.start(st, executor(func(context.Context, automation.Attempt, worker.Intent) automation.Outcome {
		return automation.Outcome{State: automation.ItemSucceeded}
	}))
	if run := f.await(f.submit(steps(automation.EffectPure, 2)), ended); run.State != automation.RunSucceeded {
		t.Errorf("the run is %s: %v; want it to wait for its plan", run.State, run.Error)
	}
}

// TestStopWhileReplayFails: a leader that could not replay its runs decides nothing
// when it is told to stop. (It once went down on the machine that it did not have.)
func TestStopWhileReplayFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	id := f.submit(steps(automation.EffectPure, 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	st := &broken{Store: f.st, replaying: cancel}
	l := scheduler.New(scheduler.Config{Store: st, Host: "01900000-0000-7000-8000-000000000001", Slots: 1, Executor: executor(nil)})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil && automation.CodeOf(err) != automation.CodeUnavailable {
			t.Errorf("the loop ended: %v", err)
		}
	})
	wg.Wait()
	if run, err := f.st.Run(t.Context(), automation.DefaultTenant, id); err != nil || run.State != automation.RunQueued {
		t.Errorf("the run is %s, %v; want it as it was", run.State, err)
	}
}

// TestClockSetBack: rates go on by the new time when a host's clock is set back. (They
// once had nothing left until it had come to where it was.)
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.limit(automation.LimitGlobal, "", 0, &automation.Rate{Count: 10, Per: time.Second})
	var back atomic.Int64
	l := scheduler.New(scheduler.Config{
		Store: f.st, Host: "01900000-0000-7000-8000-000000000001", Slots: 4, Alone: true, Executor: executor(succeed),
		Now: func() time.Time { return time.Now().Add(-time.Duration(back.Load())) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Errorf("the loop ended: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	f.await(f.submit(many(3, func(*workflow.Plan) {})), ended)
	back.Store(int64(time.Hour))
	if run := f.await(f.submit(many(3, func(*workflow.Plan) {})), ended); run.State != automation.RunSucceeded {
		t.Errorf("the run after the clock was set back is %s: %v", run.State, run.Error)
	}
}
