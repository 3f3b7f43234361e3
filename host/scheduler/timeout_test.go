package scheduler_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
)

// TestItemTimeoutReachesTheAttempt: an attempt whose item's time is up is told so,
// and the run's facts say which time it was.
func TestItemTimeoutReachesTheAttempt(t *testing.T) {
	t.Parallel()
	onBoth(t, testItemTimeoutReachesTheAttempt)
}

func testItemTimeoutReachesTheAttempt(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	cause := make(chan error, 1)
	f.start(f.st, executor(func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return automation.Outcome{State: automation.ItemCancelled, Error: automation.Errorf(automation.CodeCancelled, "stopped")}
	}))
	p := steps(automation.EffectPure, 2)
	p.Steps[0].ItemTimeout = 50 * time.Millisecond
	p.Steps[0].Retry.MaxAttempts = 3
	id := f.submit(p)
	run := f.await(id, ended)
	const want = "the item took longer than its item_timeout of 50ms"
	if got := automation.AsError(<-cause); got.Code != automation.CodeTimeout || got.Message != want {
		t.Errorf("the attempt was told %q: %q", got.Code, got.Message)
	}
	if run.State != automation.RunFailed || run.Error == nil || run.Error.Message != "step a failed: "+want {
		t.Errorf("the run is %s: %v", run.State, run.Error)
	}
	kinds := []automation.FactKind{
		automation.FactRunAccepted, automation.FactAttemptGranted, automation.FactTimerFired, automation.FactAttemptEnded,
	}
	if got := f.facts(id); !slices.Equal(got, kinds) {
		t.Errorf("facts %v; want %v", got, kinds)
	}
}
