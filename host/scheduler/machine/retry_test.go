package machine_test

import (
	"errors"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// asked is a program whose retry.if has one answer.
type asked struct {
	plain
	again bool
	err   error
	seen  *[]int
}

func (p asked) Retry(_ int, _ *workflow.Scope, _ workflow.Element, f workflow.Failure) (bool, error) {
	*p.seen = append(*p.seen, f.Attempt)
	return p.again, p.err
}

// TestRetryIf: the condition decides whether an error is tried again, as far as
// that is safe and attempts are left.
func TestRetryIf(t *testing.T) {
	t.Parallel()
	refused := &automation.Error{Code: "x", Message: "refused"}
	condition := &automation.Error{Code: automation.CodeExpression, Message: "a division by zero", Suggestion: "ask first"}
	tests := map[string]struct {
		effect automation.Effect
		intent bool
		max    int
		p      asked
		err    *automation.Error
		state  automation.ItemState
		text   string
		asked  int
	}{
		"yes":                    {automation.EffectPure, false, 2, asked{again: true}, refused, automation.ItemWaitingRetry, "refused", 1},
		"no":                     {automation.EffectPure, false, 2, asked{}, unreachable().Error, automation.ItemFailed, "no route", 1},
		"no attempt left":        {automation.EffectPure, false, 1, asked{again: true}, refused, automation.ItemFailed, "refused", 0},
		"once, not begun":        {automation.EffectOnce, false, 2, asked{again: true}, refused, automation.ItemWaitingRetry, "refused", 1},
		"once, begun":            {automation.EffectOnce, true, 2, asked{again: true}, unreachable().Error, automation.ItemFailed, "no route", 0},
		"once, intent alone":     {automation.EffectOnce, true, 2, asked{again: true}, &automation.Error{Code: "x", Phase: automation.PhaseBefore}, automation.ItemWaitingRetry, "", 1},
		"guarded, begun":         {automation.EffectGuarded, true, 2, asked{again: true}, refused, automation.ItemFailed, "refused", 0},
		"no answer":              {automation.EffectPure, false, 2, asked{again: true, err: condition}, unreachable().Error, automation.ItemFailed, "no route; not tried again, because retry.if has no answer: a division by zero", 1},
		"no answer, inner fault": {automation.EffectPure, false, 2, asked{err: errors.New("secret")}, refused, automation.ItemFailed, "refused; not tried again, because retry.if has no answer: a fault of the host; its log has the cause", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := bounded(func(s *workflow.PlanStep) { s.Effect, s.Retry.MaxAttempts = tt.effect, tt.max })
			var seen []int
			tt.p.plain, tt.p.seen = plain{plan}, &seen
			x := startTimedWith(t, machine.Limits{}, tt.p)
			x.after(0)
			a := x.out[0]
			if tt.intent {
				f := automation.Fact{Kind: automation.FactAttemptStarted, At: x.now, Attempt: a.Attempt, Host: a.Host, HostEpoch: a.HostEpoch}
				if err := x.m.Handle("r", f); err != nil {
					t.Fatal(err)
				}
			}
			x.report(&automation.Outcome{State: automation.ItemFailed, Error: tt.err})
			got := x.fold.Items(0, 0, 1)[0]
			if got.State != tt.state || got.Outcome.Error.Message != tt.text || got.Outcome.Error.Code != tt.err.Code {
				t.Errorf("got %s: %v; want %s: %s", got.State, got.Outcome.Error, tt.state, tt.text)
			}
			if len(seen) != 2*tt.asked { // by the machine, and by the fold
				t.Errorf("asked for attempts %v; want %d times", seen, 2*tt.asked)
			}
			x.after(time.Minute)
			if granted := len(x.out) > 0; granted != (tt.state == automation.ItemWaitingRetry) {
				t.Errorf("another attempt: %v", granted)
			}
		})
	}
}
