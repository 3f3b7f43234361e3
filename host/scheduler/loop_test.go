package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/host/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// executor is a func as an Executor.
type executor func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome

func (e executor) Execute(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
	return e(ctx, a, intent)
}

// fixture is a store on disk and what it takes to submit to it.
type fixture struct {
	t    testing.TB
	path string
	st   store.Store
}

func setup(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, path: filepath.Join(t.TempDir(), "store.db")}
	f.open()
	t.Cleanup(func() { _ = f.st.Close() })
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	st, err := sqlite.Open(f.t.Context(), sqlite.Config{Path: f.path})
	if err != nil {
		f.t.Fatal(err)
	}
	f.st = st
}

func steps(effect automation.Effect, n int) *workflow.Plan {
	p := &workflow.Plan{Schema: "opsconductor/plan/v1", Workflow: "w", Inputs: json.RawMessage(`{}`)}
	for i := range n {
		s := workflow.PlanStep{
			ID: string(rune('a' + i)), Plugin: "core", Version: "1.0.0", Action: "noop", Effect: effect,
			With: json.RawMessage(`{}`), Constant: true, Retry: workflow.Retry{MaxAttempts: 1}, Timeout: time.Minute,
		}
		if i > 0 {
			s.Needs = []int{i - 1}
		}
		p.Steps = append(p.Steps, s)
	}
	return p
}

// submit stores a plan and accepts a run of it.
func (f *fixture) submit(p *workflow.Plan) automation.RunID {
	f.t.Helper()
	b, err := p.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.st.PutPlan(f.t.Context(), automation.DefaultTenant, p.Hash(), b, time.Now().UTC()); err != nil {
		f.t.Fatal(err)
	}
	return f.accept(p, p.Hash())
}

// accept accepts a run of a stored plan.
func (f *fixture) accept(p *workflow.Plan, hash automation.Digest) automation.RunID {
	f.t.Helper()
	now := time.Now().UTC()
	run := automation.Run{
		ID: automation.NewID[automation.RunID](), Tenant: automation.DefaultTenant, Workflow: p.Workflow,
		PlanHash: hash, State: automation.RunQueued, By: "test", Created: now,
	}
	act := automation.Act{Tenant: run.Tenant, By: "test", Action: "run.submit", Object: string(run.ID), At: now}
	if _, created, err := f.st.Accept(f.t.Context(), run, act); err != nil || !created {
		f.t.Fatalf("accept: %v, created %v", err, created)
	}
	return run.ID
}

// start runs a loop in the background; stop ends it and waits.
func (f *fixture) start(st scheduler.Store, e worker.Executor) (stop func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := scheduler.New(scheduler.Config{
		Store: st, Executor: e, Host: "01900000-0000-7000-8000-000000000001", Name: "h", Slots: 16, Alone: true, Drain: time.Millisecond,
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			f.t.Errorf("the loop ended: %v", err)
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); wg.Wait() }) }
	f.t.Cleanup(stop)
	return stop
}

// await waits until the run's record satisfies ok.
func (f *fixture) await(id automation.RunID, ok func(automation.Run) bool) automation.Run {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	wake, stop := f.st.Wake(store.TopicEntries)
	defer stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		run, err := f.st.Run(f.t.Context(), automation.DefaultTenant, id)
		if err != nil {
			f.t.Fatal(err)
		}
		if ok(run) {
			return run
		}
		select {
		case <-wake:
		case <-look.C:
		case <-ctx.Done():
			f.t.Fatalf("the run is still %s: %v", run.State, run.Error)
		}
	}
}

func ended(r automation.Run) bool { return r.State.Ended() }

// facts returns the kinds of the run's facts in order.
func (f *fixture) facts(id automation.RunID) []automation.FactKind {
	f.t.Helper()
	entries, err := f.st.RunEntries(f.t.Context(), automation.DefaultTenant, id, 0, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	var kinds []automation.FactKind
	for _, e := range entries {
		for _, fact := range e.Facts {
			kinds = append(kinds, fact.Kind)
		}
	}
	return kinds
}

func succeed(context.Context, automation.Attempt, worker.Intent) automation.Outcome {
	return automation.Outcome{State: automation.ItemSucceeded}
}

func TestRunGoesToItsEnd(t *testing.T) {
	t.Parallel()
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
	for _, tt := range []struct {
		effect automation.Effect
		intent bool
		want   automation.RunState
	}{
		{automation.EffectPure, false, automation.RunSucceeded},
		{automation.EffectOnce, false, automation.RunSucceeded},
		{automation.EffectOnce, true, automation.RunFailed},
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

// TestAnotherLeader: a loop whose leadership was taken stops what it runs and
// writes nothing more.
func TestAnotherLeader(t *testing.T) {
	t.Parallel()
	f := setup(t)
	stopped := make(chan error, 1)
	begun := make(chan struct{})
	f.start(f.st, executor(func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
		close(begun)
		<-ctx.Done()
		stopped <- context.Cause(ctx)
		return automation.Outcome{State: automation.ItemCancelled}
	}))
	id := f.submit(steps(automation.EffectPure, 1))
	<-begun
	other, err := f.st.RegisterHost(t.Context(), automation.Host{ID: "01900000-0000-7000-8000-000000000002", Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.st.Resign(t.Context(), 0, "01900000-0000-7000-8000-000000000001", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.st.Lead(t.Context(), 0, other.ID, 0, time.Hour); err != nil {
		t.Fatal(err)
	}
	f.submit(steps(automation.EffectPure, 1)) // the old leader tries to grant it
	select {
	case cause := <-stopped:
		if !errors.Is(cause, store.ErrFenced) {
			t.Errorf("stopped by %v; want the lost leadership", cause)
		}
	case <-t.Context().Done():
	}
	if got := f.facts(id); len(got) != 2 {
		t.Errorf("facts %v; want nothing after the grant", got)
	}
}
