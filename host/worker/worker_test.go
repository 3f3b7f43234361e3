package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
)

// executor is a func as an Executor.
type executor func(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome

func (e executor) Execute(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
	return e(ctx, a, intent)
}

func succeed(context.Context, automation.Attempt, worker.Intent) automation.Outcome {
	return automation.Outcome{State: automation.ItemSucceeded}
}

// cancelled waits for its context and says so.
func cancelled(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
	<-ctx.Done()
	state := automation.ItemCancelled
	cause := automation.AsError(context.Cause(ctx))
	if cause.Code == automation.CodeTimeout {
		state = automation.ItemFailed
	}
	return automation.Outcome{State: state, Error: cause}
}

type fixture struct {
	w       *worker.Worker
	results chan worker.Result
	intents int
}

func setup(e executor, intend error) *fixture {
	f := &fixture{results: make(chan worker.Result, 100)}
	f.w = worker.New(worker.Config{
		Executor: e, Report: func(r worker.Result) { f.results <- r },
		Intend: func(context.Context, automation.Attempt, automation.Digest) error { f.intents++; return intend },
	})
	return f
}

func attempt(effect automation.Effect, timeout time.Duration) []automation.Attempt {
	return []automation.Attempt{{
		AttemptKey: automation.AttemptKey{Run: "r", Attempt: 1}, StepID: "s", Effect: effect, Timeout: timeout,
	}}
}

func TestReportsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(succeed, nil)
		f.w.Start(t.Context(), attempt(automation.EffectPure, time.Minute))
		f.w.Drain(t.Context())
		if got := <-f.results; got.Outcome.State != automation.ItemSucceeded || got.Outcome.EndedAt.IsZero() {
			t.Errorf("got %+v; want succeeded, with its times", got.Outcome)
		}
		if len(f.results) != 0 || len(f.w.Running()) != 0 {
			t.Errorf("reported %d times more; %d at work", len(f.results), len(f.w.Running()))
		}
		f.w.Start(t.Context(), attempt(automation.EffectPure, time.Minute))
		synctest.Wait()
		if len(f.results) != 0 {
			t.Error("an attempt was started after Drain")
		}
	})
}

func TestDeadlineSaysWhichFired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(cancelled, nil)
		begin := time.Now()
		f.w.Start(t.Context(), attempt(automation.EffectPure, 3*time.Second))
		got := (<-f.results).Outcome
		if time.Since(begin) != 3*time.Second || got.Error.Code != automation.CodeTimeout || !strings.Contains(got.Error.Message, "timeout of 3s") {
			t.Errorf("after %s: got %+v; want a timeout that names its 3s", time.Since(begin), got.Error)
		}
	})
}

func TestCancelCarriesItsCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(cancelled, nil)
		a := attempt(automation.EffectPure, time.Minute)
		f.w.Start(t.Context(), a)
		f.w.Cancel(a[0].AttemptKey, automation.Errorf(automation.CodeCancelled, "cancelled by ann"))
		got := (<-f.results).Outcome
		if got.State != automation.ItemCancelled || got.Error.Message != "cancelled by ann" {
			t.Errorf("got %s, %+v", got.State, got.Error)
		}
	})
}

// TestStuckExecutor: the outcome comes in time even when the executor does not
// return, and is unknown when the attempt may have acted.
func TestStuckExecutor(t *testing.T) {
	t.Parallel()
	for _, acts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			f := setup(func(ctx context.Context, _ automation.Attempt, intent worker.Intent) automation.Outcome {
				if acts {
					if err := intent(ctx, "hash"); err != nil {
						t.Error(err)
					}
				}
				<-release
				return automation.Outcome{State: automation.ItemSucceeded}
			}, nil)
			begin := time.Now()
			f.w.Start(t.Context(), attempt(automation.EffectOnce, time.Second))
			got := (<-f.results).Outcome
			want := automation.ItemFailed
			if acts {
				want = automation.ItemUnknown
			}
			if got.State != want || got.Error.Code != automation.CodeTimeout || time.Since(begin) != 11*time.Second || f.w.Abandoned() != 1 {
				t.Errorf("acts=%v after %s: got %s, %+v; want %s by its timeout and grace", acts, time.Since(begin), got.State, got.Error, want)
			}
			close(release)
			synctest.Wait()
			if len(f.results) != 0 {
				t.Error("the abandoned executor was reported too")
			}
		})
	}
}

func TestPanicIsAnOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(func(context.Context, automation.Attempt, worker.Intent) automation.Outcome { panic("secret detail") }, nil)
		f.w.Start(t.Context(), attempt(automation.EffectPure, time.Minute))
		got := (<-f.results).Outcome
		if got.State != automation.ItemFailed || got.Error.Code != automation.CodeInternal || strings.Contains(got.Error.Message, "secret") {
			t.Errorf("got %s, %+v; want an internal failure without the panic's text", got.State, got.Error)
		}
	})
}

func TestIntentOnlyWhereTheEffectNeedsIt(t *testing.T) {
	t.Parallel()
	refused := errors.New("the lease is over")
	for effect, want := range map[automation.Effect]int{
		automation.EffectPure: 0, automation.EffectIdempotent: 0, automation.EffectOnce: 1, automation.EffectGuarded: 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			var got error
			f := setup(func(ctx context.Context, _ automation.Attempt, intent worker.Intent) automation.Outcome {
				got = intent(ctx, "hash")
				return automation.Outcome{State: automation.ItemFailed}
			}, refused)
			f.w.Start(t.Context(), attempt(effect, time.Minute))
			<-f.results
			if f.intents != want || errors.Is(got, refused) != (want == 1) {
				t.Errorf("%s: %d intents, error %v; want %d", effect, f.intents, got, want)
			}
		})
	}
}

// TestDrainHandsBack: what the stop cut short is the host's loss, not the run's cancel.
func TestDrainHandsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(cancelled, nil)
		f.w.Start(t.Context(), attempt(automation.EffectPure, time.Hour))
		drain, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		f.w.Drain(drain)
		got := (<-f.results).Outcome
		if got.State != automation.ItemFailed || got.Error.Code != automation.CodeHostLost || time.Since(begin) != 5*time.Second {
			t.Errorf("after %s: got %s, %+v; want failed by host_lost after the drain time", time.Since(begin), got.State, got.Error)
		}
	})
}

// TestBegunBefore: an attempt that its host has to give up, and that follows one which
// may have begun its command, does not end as if nothing had been begun.
func TestBegunBefore(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]executor{
		"it panics": func(context.Context, automation.Attempt, worker.Intent) automation.Outcome { panic("x") },
		"it does not stop": func(ctx context.Context, _ automation.Attempt, _ worker.Intent) automation.Outcome {
			<-ctx.Done()
			<-time.After(time.Hour)
			return automation.Outcome{State: automation.ItemSucceeded}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := setup(e, nil)
			a := attempt(automation.EffectGuarded, time.Second)
			a[0].Begun = &automation.Begun{At: time.Now()}
			f.w.Start(t.Context(), a)
			got := (<-f.results).Outcome
			if got.State != automation.ItemUnknown || got.Error.Phase != automation.PhaseAfter {
				t.Errorf("%s: %s, %+v; want unknown, after", name, got.State, got.Error)
			}
			<-time.After(2 * time.Hour) // what does not stop ends
		})
	}
}

// TestNoIntentAfterTheEnd: nothing is committed for an attempt that is to stop.
func TestNoIntentAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the lease is over")
		var got error
		f := setup(func(ctx context.Context, _ automation.Attempt, intent worker.Intent) automation.Outcome {
			<-ctx.Done()
			got = intent(ctx, "hash")
			return automation.Outcome{State: automation.ItemFailed}
		}, nil)
		a := attempt(automation.EffectGuarded, time.Minute)
		f.w.Start(t.Context(), a)
		f.w.Cancel(a[0].AttemptKey, cause)
		<-f.results
		if !errors.Is(got, cause) || f.intents != 0 {
			t.Errorf("%d intents, error %v; want none, and the cause of the end", f.intents, got)
		}
	})
}
