package runner_test

import (
	"context"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/hostfuncs"
)

// journaled begins, and loses contact with a command that has a journal.
func journaled(ctx context.Context, s *hostfuncs.Session) (any, error) {
	if err := s.Begin(ctx, "c0ffee"); err != nil {
		return nil, err
	}
	e := hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "the connection broke")
	e.Journaled = true
	return nil, e
}

// TestNotHeardOf: an attempt that does not find out what an earlier one has begun
// can't say that it failed.
func TestNotHeardOf(t *testing.T) {
	t.Parallel()
	fails := func(heard bool, code hostfuncs.Code) func(context.Context, *hostfuncs.Session) (any, error) {
		return func(_ context.Context, s *hostfuncs.Session) (any, error) {
			if s.Guard.Since.IsZero() {
				t.Error("the function is not told that there was an attempt before")
			}
			if heard {
				s.Guard.Hear()
			}
			return nil, hostfuncs.Errorf(code, hostfuncs.Before, "no")
		}
	}
	for name, tc := range map[string]struct {
		act   func(context.Context, *hostfuncs.Session) (any, error)
		state automation.ItemState
		code  automation.Code
	}{
		"it may pass":     {fails(false, hostfuncs.Unreachable), automation.ItemFailed, automation.CodeCutOff},
		"it does not":     {fails(false, hostfuncs.AuthFailed), automation.ItemUnknown, automation.CodeUnknownOutcome},
		"heard":           {fails(true, hostfuncs.AuthFailed), automation.ItemFailed, automation.CodeAuthFailed},
		"another command": {journaled, automation.ItemUnknown, automation.CodeUnknownOutcome},
		"cut off again":   {cutAgain, automation.ItemFailed, automation.CodeCutOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, automation.EffectGuarded)
			w.act = tc.act
			a := w.attempt("strict", `{"request":{}}`, automation.EffectGuarded)
			a.Begun = &automation.Begun{At: time.Now(), Command: "decaf"}
			check(t, w.execute(t.Context(), a), tc.state, tc.code)
		})
	}
}

// cutAgain is journaled with the command that was begun.
func cutAgain(ctx context.Context, s *hostfuncs.Session) (any, error) {
	if err := s.Begin(ctx, "decaf"); err != nil {
		return nil, err
	}
	e := hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "the connection broke")
	e.Journaled = true
	return nil, e
}

// ending is a cause for which a guarded attempt's context ends while nobody knows what
// became of its command, and its outcome then.
type ending struct {
	cause error
	state automation.ItemState
	code  automation.Code
}

func endings() map[string]ending {
	return map[string]ending{
		"the host stops": {worker.ErrDraining, automation.ItemFailed, automation.CodeCutOff},
		"the lease ends": {automation.Errorf(automation.CodeHostLost, "over"), automation.ItemFailed, automation.CodeCutOff},
		"cancelled":      {automation.Errorf(automation.CodeCancelled, "by me"), automation.ItemUnknown, automation.CodeUnknownOutcome},
	}
}

// TestLeftAtWork: what a guarded attempt has begun is left at work when its host
// stops, and is not when somebody cancels.
func TestLeftAtWork(t *testing.T) {
	t.Parallel()
	for name, tc := range endings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, automation.EffectGuarded)
			ctx, cancel := context.WithCancelCause(t.Context())
			w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
				if err := s.Begin(ctx, "c0ffee"); err != nil {
					return nil, err
				}
				cancel(tc.cause)
				<-ctx.Done()
				e := hostfuncs.Ended(ctx, hostfuncs.After, "act")
				e.Journaled = s.Guard.Leave(context.Cause(ctx))
				return nil, e
			}
			check(t, w.execute(ctx, w.attempt("act", `{"request":{}}`, automation.EffectGuarded)), tc.state, tc.code)
		})
	}
}

// TestOneNameForAllAttempts: the journals of an item's attempts have the same
// names, those of others and of later rounds have not.
func TestOneNameForAllAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, automation.EffectGuarded)
	name := ""
	w.act = func(_ context.Context, s *hostfuncs.Session) (any, error) {
		name = s.Guard.Next()
		return map[string]any{}, nil
	}
	named := func(change func(*automation.Attempt)) string {
		a := w.attempt("act", `{"request":{}}`, automation.EffectGuarded)
		change(&a)
		check(t, w.execute(t.Context(), a), automation.ItemSucceeded, "")
		return name
	}
	first := named(func(*automation.Attempt) {})
	if again := named(func(a *automation.Attempt) { a.Attempt, a.Host, a.HostEpoch = 2, "other", 7 }); again != first || len(first) != 32 {
		t.Errorf("attempt 2 on another host has the name %q, attempt 1 %q", again, first)
	}
	for what, change := range map[string]func(*automation.Attempt){
		"run":    func(a *automation.Attempt) { a.Run = "another" },
		"step":   func(a *automation.Attempt) { a.Step++ },
		"item":   func(a *automation.Attempt) { a.Item++ },
		"round":  func(a *automation.Attempt) { a.Round++ },
		"tenant": func(a *automation.Attempt) { a.Tenant = "another" },
	} {
		if got := named(change); got == first {
			t.Errorf("another %s has the same name", what)
		}
	}
}
