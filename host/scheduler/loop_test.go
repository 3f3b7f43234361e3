package scheduler_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

func succeed(context.Context, automation.Attempt, worker.Intent) automation.Outcome {
	return automation.Outcome{State: automation.ItemSucceeded}
}

func TestRunGoesToItsEnd(t *testing.T) {
	t.Parallel()
	onBoth(t, testRunGoesToItsEnd)
}

func testRunGoesToItsEnd(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	early := f.submit(steps(automation.EffectPure, 3)) // before anybody leads
	f.start(f.st, executor(succeed))
	late := f.submit(steps(automation.EffectPure, 3))
	for _, id := range []automation.RunID{early, late} {
		run := f.await(id, ended)
		if run.State != automation.RunSucceeded || run.Started.IsZero() || run.Ended.IsZero() || run.Seq == 0 {
			t.Errorf("got %+v; want succeeded, with its times and number", run)
		}
		want := []automation.FactKind{automation.FactRunAccepted}
		for range 3 {
			want = append(want, automation.FactAttemptGranted, automation.FactAttemptEnded)
		}
		if got := f.facts(id); !slices.Equal(got, want) {
			t.Errorf("facts %v; want %v", got, want)
		}
	}
}

// TestIntentIsStoredBeforeTheAct: when the executor goes on, the fact is there.
func TestIntentIsStoredBeforeTheAct(t *testing.T) {
	t.Parallel()
	onBoth(t, testIntentIsStoredBeforeTheAct)
}

func testIntentIsStoredBeforeTheAct(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	id := make(chan automation.RunID, 1)
	f.start(f.st, executor(func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
		run := <-id
		if slices.Contains(f.facts(run), automation.FactAttemptStarted) {
			t.Error("the intent is stored before it was asked for")
		}
		if err := intent(ctx, "hash"); err != nil {
			t.Errorf("intent: %v", err)
		}
		if !slices.Contains(f.facts(run), automation.FactAttemptStarted) {
			t.Error("the intent is not stored, and the attempt would act now")
		}
		return automation.Outcome{State: automation.ItemSucceeded}
	}))
	run := f.submit(steps(automation.EffectOnce, 1))
	id <- run
	if got := f.await(run, ended); got.State != automation.RunSucceeded {
		t.Errorf("got %s: %v", got.State, got.Error)
	}
}

func TestCancelReachesTheAttempt(t *testing.T) {
	t.Parallel()
	onBoth(t, testCancelReachesTheAttempt)
}

func testCancelReachesTheAttempt(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	begun := make(chan struct{})
	f.start(f.st, executor(func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
		close(begun)
		<-ctx.Done()
		return automation.Outcome{State: automation.ItemCancelled, Error: automation.AsError(context.Cause(ctx))}
	}))
	id := f.submit(steps(automation.EffectPure, 2))
	<-begun
	now := time.Now().UTC()
	err := f.st.PutCommand(t.Context(), automation.Command{
		ID: automation.NewID[automation.CommandID](), Tenant: automation.DefaultTenant, Run: id,
		Kind: automation.FactCancelAsked, By: "ann", Reason: "wrong host", At: now,
	}, automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: "run.cancel", Object: string(id), At: now})
	if err != nil {
		t.Fatal(err)
	}
	run := f.await(id, ended)
	if run.State != automation.RunCancelled || run.Error == nil || run.Error.Message != "cancelled by ann: wrong host" {
		t.Errorf("got %s, %+v", run.State, run.Error)
	}
	if left, err := f.st.Commands(t.Context(), 0, 10); err != nil || len(left) != 0 {
		t.Errorf("%d commands are left, %v", len(left), err)
	}
}

// TestRestart: a loop that goes on with what another has left. The attempt that
// may have acted is unknown, the one that has not is granted again.
func TestRestart(t *testing.T) {
	t.Parallel()
	onBoth(t, testRestart)
}

func testRestart(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	for _, tt := range []struct {
		effect automation.Effect
		intent bool
		want   automation.RunState
	}{
		{automation.EffectPure, false, automation.RunSucceeded},
		{automation.EffectOnce, false, automation.RunSucceeded},
		{automation.EffectOnce, true, automation.RunSucceeded},
	} {
		f := setup(t)
		begun := make(chan struct{}, 1)
		stop := f.start(f.st, executor(func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
			if a.StepID == "a" {
				return automation.Outcome{State: automation.ItemSucceeded}
			}
			if tt.intent {
				if err := intent(ctx, "hash"); err != nil {
					t.Errorf("intent: %v", err)
				}
			}
			begun <- struct{}{}
			<-ctx.Done()
			return automation.Outcome{State: automation.ItemCancelled}
		}))
		id := f.submit(steps(tt.effect, 2))
		<-begun
		stop()
		if err := f.st.Close(); err != nil {
			t.Fatal(err)
		}
		f.open()
		f.start(f.st, executor(succeed))
		if tt.intent { // it did not run, somebody says, so it is granted once more
			f.awaitFacts(id, automation.FactAttemptEnded, 2)
			f.tell(id, automation.FactItemResolved, 1, &automation.Told{Resolution: automation.ResolutionDidNotRun})
		}
		run := f.await(id, ended)
		if run.State != tt.want {
			t.Errorf("%s, intent %v: got %s, %+v; want %s", tt.effect, tt.intent, run.State, run.Error, tt.want)
		}
	}
}

// flaky fails commits: every third before it is made, every fifth after it was.
type flaky struct {
	store.Store
	n atomic.Int64
}

var errFlaky = errors.New("the database went away")

func (s *flaky) Append(ctx context.Context, b store.Batch) error {
	n := s.n.Add(1)
	if n%3 == 0 {
		return errFlaky
	}
	if err := s.Store.Append(ctx, b); err != nil {
		return err
	}
	if n%5 == 0 {
		return errFlaky
	}
	return nil
}

// TestCommitsThatFail: whether a commit that failed was made or not, no outcome
// is lost and no `once` attempt acts twice.
func TestCommitsThatFail(t *testing.T) {
	t.Parallel()
	onBoth(t, testCommitsThatFail)
}

func testCommitsThatFail(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	var mu sync.Mutex
	acts := map[automation.AttemptKey]int{}
	f.start(&flaky{Store: f.st}, executor(func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
		if err := intent(ctx, "hash"); err != nil {
			return automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{
				Code: automation.CodeUnavailable, Message: "no intent", CanRetry: true, Phase: automation.PhaseBefore,
			}}
		}
		mu.Lock()
		defer mu.Unlock()
		acts[automation.AttemptKey{Run: a.Run, Step: a.Step, Item: a.Item}]++
		return automation.Outcome{State: automation.ItemSucceeded}
	}))
	plan := steps(automation.EffectOnce, 4)
	for i := range plan.Steps {
		plan.Steps[i].Retry.MaxAttempts = 100
	}
	for range 3 {
		if run := f.await(f.submit(plan), ended); run.State != automation.RunSucceeded {
			t.Errorf("got %s: %v", run.State, run.Error)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(acts) != 12 {
		t.Errorf("%d items acted; want 12", len(acts))
	}
	for key, n := range acts {
		if n != 1 {
			t.Errorf("%v acted %d times", key, n)
		}
	}
}

// TestAnotherLeader: a loop whose leadership was taken goes on with what it runs,
// and reports it to the new leader; it writes no fact any more.
func TestAnotherLeader(t *testing.T) {
	t.Parallel()
	onBoth(t, testAnotherLeader)
}

func testAnotherLeader(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	wait, let := hold()
	l := newLedger()
	f.start(f.st, l.acting("old", wait))
	id := f.submit(steps(automation.EffectPure, 1))
	f.eventually("it is at work", func() bool { n, _ := l.of("old"); return n == 1 })
	other, err := f.st.RegisterHost(t.Context(), automation.Host{ID: "01900000-0000-7000-8000-000000000002", Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	const old = automation.HostID("01900000-0000-7000-8000-000000000001")
	if err := f.st.Resign(t.Context(), 0, old, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.st.Lead(t.Context(), 0, other.ID, 0, time.Hour); err != nil {
		t.Fatal(err)
	}
	f.submit(steps(automation.EffectPure, 1)) // the old leader tries to grant it
	let()
	var reports []store.Report
	f.eventually("the outcome is reported", func() bool {
		reports, err = f.st.Reports(t.Context(), 0, []store.Cursor{{Host: old}}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(reports) > 0
	})
	if r := reports[0]; len(reports) != 1 || r.Attempt.Run != id || r.Outcome == nil || r.Outcome.State != automation.ItemSucceeded {
		t.Errorf("got %+v; want the one outcome", reports)
	}
	if got := f.facts(id); len(got) != 2 {
		t.Errorf("facts %v; want nothing after the grant", got)
	}
}
