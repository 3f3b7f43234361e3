package machine_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// plain is a program without expressions.
type plain struct{ plan *workflow.Plan }

func (p plain) Plan() *workflow.Plan                         { return p.plan }
func (p plain) Condition(int, *workflow.Scope) (bool, error) { return true, nil }
func (p plain) Elements(int, *workflow.Scope) ([]workflow.Element, error) {
	return make([]workflow.Element, 1), nil
}

func (p plain) ConcurrencyKey(step int, _ *workflow.Scope, _ workflow.Element) (string, error) {
	return p.plan.Steps[step].ConcurrencyKey, nil
}

func (p plain) ReadsSteps(int) bool { return false }

func (p plain) Retry(_ int, _ *workflow.Scope, _ workflow.Element, f workflow.Failure) (bool, error) {
	return automation.Retryable(f.Error), nil
}

func (p plain) Outputs(*workflow.Scope) (json.RawMessage, error) { return nil, nil }

func (p plain) Input(step int, _ *workflow.Scope, _ workflow.Element) (json.RawMessage, error) {
	if with := p.plan.Steps[step].With; with != nil {
		return with, nil
	}
	return json.RawMessage(`{}`), nil
}

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func one(effect automation.Effect) plain {
	return plain{&workflow.Plan{Workflow: "w", Steps: []workflow.PlanStep{{
		ID: "s", Effect: effect, Retry: workflow.Retry{MaxAttempts: 1}, Timeout: time.Minute,
	}}}}
}

// lose grants an attempt, commits its intent if it is to, and loses its host.
func lose(t *testing.T, m *machine.Machine, attempt int, intent bool) {
	t.Helper()
	m.Grant(start(), machine.Lease{Host: "h", Epoch: int64(attempt)}, 1)
	d, err := m.Take()
	if err != nil || len(d.Attempts) != 1 || d.Attempts[0].Attempt != attempt {
		t.Fatalf("grant %d: got %+v, %v", attempt, d.Attempts, err)
	}
	a := d.Attempts[0]
	if intent {
		f := automation.Fact{Kind: automation.FactAttemptStarted, At: start(), Attempt: attempt, Host: a.Host, HostEpoch: a.HostEpoch}
		if err := m.Handle("r", f); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Handle("r", outcome(a, start(), &automation.Outcome{
		State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeHostLost, CanRetry: true},
	})); err != nil {
		t.Fatal(err)
	}
}

func TestLostHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		effect automation.Effect
		intent bool
		again  bool
		want   automation.RunState
	}{
		{effect: automation.EffectPure, intent: false, again: true},
		{effect: automation.EffectIdempotent, intent: true, again: true},
		{effect: automation.EffectOnce, intent: false, again: true},
		{effect: automation.EffectOnce, intent: true, again: false},
		{effect: automation.EffectGuarded, intent: true, again: true},
	}
	for _, tt := range tests {
		t.Run(string(tt.effect)+"/intent="+strconv.FormatBool(tt.intent), func(t *testing.T) {
			t.Parallel()
			m := machine.New(machine.Limits{})
			if err := m.Accept("r", accepted(start()), one(tt.effect)); err != nil {
				t.Fatal(err)
			}
			lose(t, m, 1, tt.intent)
			if tt.again {
				lose(t, m, 2, tt.intent) // outside the retries: max_attempts is 1
				if !m.Has("r") || m.Len() != 1 {
					t.Errorf("the run is gone")
				}
				return
			}
			d, err := m.Take()
			if err != nil || len(d.Runs) != 0 {
				t.Fatalf("got %+v, %v; want the run to go on", d.Runs, err)
			}
			if item := m.Snapshot()["r/0/0"]; item.State != automation.ItemUnknown {
				t.Errorf("got %+v, want it unknown", item)
			}
			m.Grant(start(), machine.Lease{Host: "h", Epoch: 2}, 10)
			if d, err = m.Take(); err != nil || len(d.Attempts) != 0 {
				t.Errorf("got %+v, %v; want no second attempt before somebody says what became of the first", d.Attempts, err)
			}
		})
	}
}

// TestLostAgainAndAgain: an item that takes every host down with it ends.
func TestLostAgainAndAgain(t *testing.T) {
	t.Parallel()
	m := machine.New(machine.Limits{MaxLost: 3})
	if err := m.Accept("r", accepted(start()), one(automation.EffectPure)); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		lose(t, m, n, false)
	}
	d, err := m.Take()
	if err != nil || len(d.Runs) != 1 || d.Runs[0].State != automation.RunFailed {
		t.Errorf("after three lost hosts: got %+v, %v; want the run failed", d.Runs, err)
	}
}

// accepted is the first fact of a run.
func accepted(at time.Time) *automation.Fact {
	return &automation.Fact{Kind: automation.FactRunAccepted, Tenant: "default", By: "me", At: at}
}
