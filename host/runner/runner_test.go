package runner_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/hostfuncs"
)

const (
	pure       = automation.EffectPure
	idempotent = automation.EffectIdempotent
	once       = automation.EffectOnce
)

func TestExecute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	o := w.execute(t.Context(), w.attempt("mirror", `{"text":"hi"}`, pure))
	check(t, o, automation.ItemSucceeded, "")
	want := `{"envelope":{"with":{"text":"hi"},"target":{"name":"web-1","address":"10.0.0.1","port":22,"protocol":"ssh","os":"","tags":["web"],"vars":{}},"run":{"id":"r1","workflow":"demo-flow"},"step":"s1","item":0,"attempt":1}}`
	if diff := cmp.Diff(want, string(o.Output)); diff != "" {
		t.Errorf("the guest's input (-want +got):\n%s", diff)
	}
	u := o.Usage
	if u.InputBytes == 0 || u.OutputBytes != len(o.Output) || u.MemoryBytes < 1<<20 || u.Wall <= 0 || u.HostCalls != 0 {
		t.Errorf("usage: got %+v", u)
	}
	if o.StartedAt.IsZero() || o.EndedAt.Before(o.StartedAt) {
		t.Errorf("times: got %s to %s", o.StartedAt, o.EndedAt)
	}
}

func TestFailuresOfTheGuest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	for name, tc := range map[string]struct {
		action, with string
		code         automation.Code
		words        []string
		retry        bool
	}{
		"own code":         {"fail", `{"text":"{\"code\":\"disk_full\",\"message\":\"no room\",\"retryable\":true}"}`, "disk_full", []string{"no room"}, true},
		"host's own code":  {"fail", `{"text":"{\"code\":\"host_lost\",\"message\":\"x\"}"}`, automation.CodePluginFailed, nil, false},
		"a guarded one's":  {"fail", `{"text":"{\"code\":\"cut_off\",\"message\":\"x\",\"retryable\":true}"}`, automation.CodePluginFailed, nil, true},
		"text":             {"fail", `{"text":"it broke"}`, automation.CodePluginFailed, []string{"it broke"}, false},
		"output no JSON":   {"say", `{"text":"hello"}`, automation.CodeBadOutput, nil, false},
		"output not right": {"say", `{"text":"{\"envelope\":1}"}`, automation.CodeBadOutput, []string{"/envelope"}, false},
		"output a list":    {"say", `{"text":"[]"}`, automation.CodeBadOutput, nil, false},
		"input":            {"say", `{"txt":"x"}`, automation.CodeUnknownField, []string{"/with", "text"}, false},
		"unknown action":   {"walk", `{}`, automation.CodeUnknownName, []string{"walk"}, false},
		"crash":            {"actthencrash", `{"request":{}}`, automation.CodePluginCrashed, []string{"after the act"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := w.execute(t.Context(), w.attempt(tc.action, tc.with, pure))
			check(t, o, automation.ItemFailed, tc.code, tc.words...)
			if o.Error.CanRetry != tc.retry {
				t.Errorf("retryable: got %t, want %t", o.Error.CanRetry, tc.retry)
			}
			if o.Output != nil {
				t.Errorf("a failed attempt has the output %s", o.Output)
			}
		})
	}
	if o := w.execute(t.Context(), w.attempt("say", `{"text":""}`, pure)); string(o.Output) != "{}" {
		t.Errorf("no output at all: got %s, want {}", o.Output)
	}
}

func TestDeadlineAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, idempotent)
	a := w.attempt("actthenspin", `{"request":{}}`, idempotent)
	a.Timeout = 300 * time.Millisecond
	began := time.Now()
	o := w.execute(t.Context(), a)
	check(t, o, automation.ItemFailed, automation.CodeTimeout, "300ms")
	if d := time.Since(began); d > 15*time.Second || !o.Error.CanRetry {
		t.Errorf("ended after %s, retryable %t; want soon, and true for an idempotent action", d, o.Error.CanRetry)
	}
	a.Timeout = time.Minute
	ctx, cancel := context.WithCancelCause(t.Context())
	w.act = func(context.Context, *hostfuncs.Session) (any, error) {
		cancel(&automation.Error{Code: automation.CodeCancelled, Message: "admin asked for it"})
		return map[string]any{}, nil
	}
	check(t, w.execute(ctx, a), automation.ItemCancelled, automation.CodeCancelled, "admin asked for it")
}

// TestWhatCannotBeKnown is the promise: an attempt that may have acted once and
// was cut off is unknown, and the guest can't change that.
func TestWhatCannotBeKnown(t *testing.T) {
	t.Parallel()
	lost := func(phase hostfuncs.Phase, code hostfuncs.Code, begin bool) func(context.Context, *hostfuncs.Session) (any, error) {
		return func(ctx context.Context, s *hostfuncs.Session) (any, error) {
			if begin {
				if err := s.Begin(ctx, "c0ffee"); err != nil {
					return nil, err
				}
			}
			return nil, hostfuncs.Errorf(code, phase, "the connection broke")
		}
	}
	for name, tc := range map[string]struct {
		action string
		effect automation.Effect
		act    func(context.Context, *hostfuncs.Session) (any, error)
		state  automation.ItemState
		code   automation.Code
		retry  bool
	}{
		"once, lost after":               {"strict", once, lost(hostfuncs.After, hostfuncs.Lost, true), automation.ItemUnknown, automation.CodeUnknownOutcome, false},
		"once, timeout after":            {"strict", once, lost(hostfuncs.After, hostfuncs.Timeout, true), automation.ItemUnknown, automation.CodeUnknownOutcome, false},
		"once, cancelled after":          {"strict", once, lost(hostfuncs.After, hostfuncs.Cancelled, true), automation.ItemUnknown, automation.CodeUnknownOutcome, false},
		"once, the guest says success":   {"act", once, lost(hostfuncs.After, hostfuncs.Lost, true), automation.ItemUnknown, automation.CodeUnknownOutcome, false},
		"guarded, lost after":            {"strict", automation.EffectGuarded, lost(hostfuncs.After, hostfuncs.Lost, true), automation.ItemUnknown, automation.CodeUnknownOutcome, false},
		"guarded, with a journal":        {"strict", automation.EffectGuarded, journaled, automation.ItemFailed, automation.CodeCutOff, true},
		"guarded, the guest goes on":     {"act", automation.EffectGuarded, journaled, automation.ItemFailed, automation.CodeCutOff, true},
		"once, unreachable before":       {"strict", once, lost(hostfuncs.Before, hostfuncs.Unreachable, false), automation.ItemFailed, automation.CodeUnreachable, true},
		"once, known error after":        {"strict", once, lost(hostfuncs.After, hostfuncs.Denied, true), automation.ItemFailed, automation.CodeDenied, false},
		"once, too much after":           {"strict", once, lost(hostfuncs.After, hostfuncs.OutputLimit, true), automation.ItemUnknown, automation.CodeUnknownOutcome, false},
		"once, before, but after an act": {"strict", once, lost(hostfuncs.Before, hostfuncs.Unreachable, true), automation.ItemFailed, automation.CodeUnreachable, false},
		"idempotent, lost after":         {"strict", idempotent, lost(hostfuncs.After, hostfuncs.Lost, true), automation.ItemFailed, automation.CodeLost, false},
		"idempotent, guest goes on":      {"act", idempotent, lost(hostfuncs.After, hostfuncs.Lost, true), automation.ItemSucceeded, "", false},
		"once, crash after a good act":   {"actthencrash", once, nil, automation.ItemFailed, automation.CodePluginCrashed, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.effect)
			w.act = tc.act
			o := w.execute(t.Context(), w.attempt(tc.action, `{"request":{}}`, tc.effect))
			check(t, o, tc.state, tc.code)
			if o.Error != nil && o.Error.CanRetry != tc.retry {
				t.Errorf("retryable: got %t, want %t", o.Error.CanRetry, tc.retry)
			}
		})
	}
	t.Run("once, stopped for certain", func(t *testing.T) {
		t.Parallel()
		for _, code := range []hostfuncs.Code{hostfuncs.Timeout, hostfuncs.Cancelled, hostfuncs.OutputLimit} {
			w := newWorld(t, once)
			w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
				err := hostfuncs.Errorf(code, hostfuncs.After, "killed; confirmed dead")
				err.Stopped = true
				return nil, errors.Join(s.Begin(ctx, "c0ffee"), err)
			}
			o := w.execute(t.Context(), w.attempt("strict", `{"request":{}}`, once))
			check(t, o, automation.ItemFailed, automation.Code(code), "confirmed dead")
			if o.Error.CanRetry || o.Error.Phase != automation.PhaseAfter {
				t.Errorf("%s: retryable %t, phase %q; want not, and after", code, o.Error.CanRetry, o.Error.Phase)
			}
		}
	})
	t.Run("once, a host function that never answers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, once)
		ctx, cancel := context.WithCancel(t.Context())
		free := make(chan struct{})
		w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
			err := s.Begin(ctx, "c0ffee")
			cancel()
			<-free
			return map[string]any{}, err
		}
		check(t, w.execute(ctx, w.attempt("act", `{"request":{}}`, once)), automation.ItemUnknown, automation.CodeUnknownOutcome, "act did not stop")
		close(free)
	})
	t.Run("once, no intent after the end", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, once)
		ctx, cancel := context.WithCancel(t.Context())
		free, sent := make(chan struct{}), make(chan error, 1)
		w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
			cancel()
			<-free
			err := s.Begin(context.WithoutCancel(ctx), "c0ffee")
			sent <- err
			return nil, err
		}
		check(t, w.execute(ctx, w.attempt("act", `{"request":{}}`, once)), automation.ItemCancelled, automation.CodeCancelled)
		close(free)
		if err := <-sent; err == nil || len(w.intent) != 0 {
			t.Errorf("an intent after the attempt's end: %v, %v", err, w.intent)
		}
	})
}

// TestWhereTheEndCame: the error of an attempt whose time was over says what was
// under way then, and whether the remote side could have acted.
func TestWhereTheEndCame(t *testing.T) {
	t.Parallel()
	cause := &automation.Error{Code: automation.CodeCancelled, Message: "admin asked for it", Suggestion: "ask admin"}
	for _, phase := range []hostfuncs.Phase{hostfuncs.Before, hostfuncs.After} {
		w := newWorld(t, once)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
			if phase == hostfuncs.After {
				if err := s.Begin(ctx, "c0ffee"); err != nil {
					return nil, err
				}
			}
			cancel(cause)
			<-ctx.Done()
			err := hostfuncs.Ended(ctx, phase, "shake hands with web-1")
			err.Stopped = phase == hostfuncs.After
			return nil, err
		}
		o := w.execute(ctx, w.attempt("strict", `{"request":{}}`, once))
		check(t, o, automation.ItemCancelled, automation.CodeCancelled, "shake hands with web-1: admin asked for it")
		if string(o.Error.Phase) != string(phase) || o.Error.Suggestion != "ask admin" || strings.Contains(o.Error.Message, "ask admin") {
			t.Errorf("got %+v, want phase %s and the suggestion apart", o.Error, phase)
		}
	}
}

// TestNotTriedAgain: where retry would have applied but for the effect, the error
// says so, and what to do.
func TestNotTriedAgain(t *testing.T) {
	t.Parallel()
	for effect, want := range map[automation.Effect]bool{once: true, automation.EffectGuarded: true, idempotent: false, pure: false} {
		w := newWorld(t, effect)
		w.act = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
			if err := s.Begin(ctx, "c0ffee"); err != nil {
				return nil, err
			}
			return nil, hostfuncs.Errorf(hostfuncs.Unreachable, hostfuncs.Before, "the second connection broke")
		}
		o := w.execute(t.Context(), w.attempt("strict", `{"request":{}}`, effect))
		check(t, o, automation.ItemFailed, automation.CodeUnreachable)
		said := strings.Contains(o.Error.Suggestion, "effect is "+string(effect)) && strings.Contains(o.Error.Suggestion, "effect: idempotent")
		if said != want || o.Error.CanRetry == want {
			t.Errorf("%s: retryable %t, suggestion %q", effect, o.Error.CanRetry, o.Error.Suggestion)
		}
	}
}

func TestIntent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, once)
	check(t, w.execute(t.Context(), w.attempt("act", `{"request":{}}`, once)), automation.ItemSucceeded, "")
	if len(w.intent) != 1 || w.intent[0] != "c0ffee" {
		t.Errorf("intents: got %v, want one", w.intent)
	}
	w.fail = errors.New("the lease is over")
	check(t, w.execute(t.Context(), w.attempt("strict", `{"request":{}}`, once)), automation.ItemFailed, automation.CodeCancelled, "nothing was sent")
	p := newWorld(t, pure)
	check(t, p.execute(t.Context(), p.attempt("act", `{"request":{}}`, pure)), automation.ItemSucceeded, "")
	if len(p.intent) != 0 {
		t.Errorf("a pure action recorded the intents %v", p.intent)
	}
}

func TestStateAndGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	strict := w.attempt("strict", `{"request":{}}`, pure)
	w.set(func(p *automation.Plugin) { p.Grants = nil })
	check(t, w.execute(t.Context(), strict), automation.ItemFailed, automation.CodeDenied,
		"not granted act", `{"function":"act"`, "/v1/plugins/"+string(strict.Digest)+"/activate")
	w.set(func(p *automation.Plugin) { p.Grants = []automation.Grant{{Function: "act", Targets: []string{"*"}}} })
	check(t, w.execute(t.Context(), strict), automation.ItemSucceeded, "")
	for _, state := range []automation.PluginState{automation.PluginDisabled, automation.PluginVetted} {
		w.set(func(p *automation.Plugin) { p.State = state })
		check(t, w.execute(t.Context(), strict), automation.ItemFailed, automation.CodeDenied, string(state))
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	w.config.LogBytes = 2000
	o := w.execute(t.Context(), w.attempt("chatter", `{"text":"`+strings.Repeat("x", 100)+`","times":50}`, pure))
	check(t, o, automation.ItemSucceeded, "")
	last := o.Logs[len(o.Logs)-1]
	if len(o.Logs) < 5 || !strings.Contains(last.Message, "dropped") || o.Usage.LogBytes > 2000 {
		t.Errorf("got %d lines of %d bytes, the last %q; want at most 2000 bytes and a note", len(o.Logs), o.Usage.LogBytes, last.Message)
	}
}

func TestPanicsAreOutcomes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	w.act = func(context.Context, *hostfuncs.Session) (any, error) { panic("oops") }
	check(t, w.execute(t.Context(), w.attempt("strict", `{"request":{}}`, pure)), automation.ItemFailed, automation.CodeProtocol)
	w.config.Metrics = panicking{}
	o := w.execute(t.Context(), w.attempt("strict", `{"request":{}}`, pure))
	if o.State != automation.ItemFailed || o.Error == nil {
		t.Errorf("a panic in a hook: got %+v", o)
	}
}

type panicking struct{}

func (panicking) Attempt(string, string, automation.Outcome) {}
func (panicking) HostCall(string, hostfuncs.Code, time.Duration) {
	panic("oops")
}

func TestInProcess(t *testing.T) {
	t.Parallel()
	o := runner.InProcess{}.Execute(t.Context(), automation.Attempt{}, nil)
	if o.State != automation.ItemSucceeded || string(o.Output) != "{}" {
		t.Errorf("got %+v", o)
	}
}
