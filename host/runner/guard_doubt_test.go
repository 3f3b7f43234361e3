package runner_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/hostfuncs"
)

// away is a target that an attempt can't reach, of which one before it may have
// begun the command.
func away(context.Context, *hostfuncs.Session) (any, error) {
	e := hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "nobody answers")
	e.Journaled = true
	return nil, e
}

// fails returns an act that ends with an error without having heard of anything.
func fails(code hostfuncs.Code, phase hostfuncs.Phase) func(context.Context, *hostfuncs.Session) (any, error) {
	return func(context.Context, *hostfuncs.Session) (any, error) {
		return nil, hostfuncs.Errorf(code, phase, "no")
	}
}

// TestSuccessWithoutHearing: an action that passes over an error, and says that all
// went well, does not make a command that nobody has heard of one that succeeded.
func TestSuccessWithoutHearing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		act   func(context.Context, *hostfuncs.Session) (any, error)
		state automation.ItemState
		code  automation.Code
		words string
	}{
		"it stays away":   {away, automation.ItemFailed, automation.CodeCutOff, "nobody answers"},
		"it is refused":   {fails(hostfuncs.AuthFailed, hostfuncs.Before), automation.ItemUnknown, automation.CodeUnknownOutcome, "did not find out"},
		"no word of it":   {func(context.Context, *hostfuncs.Session) (any, error) { return map[string]any{}, nil }, automation.ItemUnknown, automation.CodeUnknownOutcome, "did not find out"},
		"heard of it":     {heard, automation.ItemSucceeded, "", ""},
		"not its journal": {lostFirst, automation.ItemUnknown, automation.CodeUnknownOutcome, "it is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, automation.EffectGuarded)
			w.act = tc.act
			a := w.attempt("act", `{"request":{}}`, automation.EffectGuarded)
			a.Begun = &automation.Begun{At: time.Now()} // of a host that wrote down no hash
			o := w.execute(t.Context(), a)
			check(t, o, tc.state, tc.code, tc.words)
			if o.State != automation.ItemSucceeded && o.Output != nil {
				t.Errorf("the output %s is kept", o.Output)
			}
		})
	}
}

// heard finds the earlier attempt's command.
func heard(ctx context.Context, s *hostfuncs.Session) (any, error) {
	s.Guard.Hear()
	return map[string]any{}, s.Begin(ctx, "c0ffee")
}

// lostFirst begins, and is lost with no journal to tell.
func lostFirst(ctx context.Context, s *hostfuncs.Session) (any, error) {
	if err := s.Begin(ctx, "c0ffee"); err != nil {
		return nil, err
	}
	return nil, hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "it is gone")
}

// TestNotEvenOpened: an attempt that did not come so far as to open a session has
// not heard of what was begun either.
func TestNotEvenOpened(t *testing.T) {
	t.Parallel()
	w := newWorld(t, automation.EffectGuarded)
	a := w.attempt("walk", `{}`, automation.EffectGuarded) // no such action
	check(t, w.execute(t.Context(), a), automation.ItemFailed, automation.CodeUnknownName)
	a.Begun = &automation.Begun{At: time.Now(), Command: "decaf"}
	check(t, w.execute(t.Context(), a), automation.ItemUnknown, automation.CodeUnknownOutcome, "walk")
}

// TestStoppedBeforeHearing: a host that stops hands on an attempt that has not found
// out what was begun; a cancel ends it, and the item is unknown.
func TestStoppedBeforeHearing(t *testing.T) {
	t.Parallel()
	for name, tc := range endings() {
		for _, journal := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, automation.EffectGuarded)
				ctx, cancel := context.WithCancelCause(t.Context())
				w.act = func(ctx context.Context, _ *hostfuncs.Session) (any, error) {
					cancel(tc.cause)
					<-ctx.Done()
					e := hostfuncs.Ended(ctx, hostfuncs.After, "act")
					e.Journaled = journal
					return nil, e
				}
				a := w.attempt("act", `{"request":{}}`, automation.EffectGuarded)
				a.Begun = &automation.Begun{At: time.Now()}
				check(t, w.execute(ctx, a), tc.state, tc.code)
			})
		}
	}
}

// TestStillActing: what a host function that does not stop is doing can't be given
// to another attempt, also when a call before it could be.
func TestStillActing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, automation.EffectGuarded)
	ctx, cancel := context.WithCancelCause(t.Context())
	free := make(chan struct{})
	w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
		err := s.Begin(ctx, "c0ffee")
		lost := hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After, "the connection broke")
		lost.Journaled = true
		s.Unsure("act", lost) // a part of it
		cancel(worker.ErrDraining)
		<-free
		return map[string]any{}, err
	}
	check(t, w.execute(ctx, w.attempt("act", `{"request":{}}`, automation.EffectGuarded)), automation.ItemUnknown, automation.CodeUnknownOutcome, "act did not stop")
	close(free)
}

// TestOnlyGuardedHasAJournal: the session of another effect has none, and what an
// error says of journals counts for nothing there.
func TestOnlyGuardedHasAJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, once)
	w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
		if s.Guard != nil {
			t.Error("a session of effect once has a journal")
		}
		out, err := journaled(ctx, s)
		return out, errors.Join(err)
	}
	check(t, w.execute(t.Context(), w.attempt("act", `{"request":{}}`, once)), automation.ItemUnknown, automation.CodeUnknownOutcome, "the connection broke")
}

// TestIntentThatComesTooLate: an intent that is committed after the attempt's outcome
// was made lets nothing be sent any more.
func TestIntentThatComesTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, automation.EffectGuarded)
	ctx, cancel := context.WithCancel(t.Context())
	free, sent := make(chan struct{}), make(chan error, 1)
	w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
		err := s.Begin(ctx, "c0ffee")
		sent <- err
		return nil, err
	}
	r, err := runner.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	o := r.Execute(ctx, w.attempt("act", `{"request":{}}`, automation.EffectGuarded), func(context.Context, automation.Digest) error {
		cancel()
		<-free
		return nil
	})
	check(t, o, automation.ItemCancelled, automation.CodeCancelled)
	close(free)
	if err := <-sent; err == nil {
		t.Error("the command may be sent after the attempt's end")
	}
}
