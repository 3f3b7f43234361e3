package machine_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// onTarget is a program of one step that runs on the plan's one target.
type onTarget struct{ plain }

func (p onTarget) Elements(int, *workflow.Scope) ([]workflow.Element, error) {
	return []workflow.Element{{Target: &p.plan.Targets[0]}}, nil
}

// TestPauseGivesUpItsPlace: an item that was woken to use a target, and whose run
// is paused before it does, lets another run's item have it.
func TestPauseGivesUpItsPlace(t *testing.T) {
	t.Parallel()
	p := onTarget{plain{&workflow.Plan{
		Workflow: "w", Targets: []automation.Target{{ID: "t", Name: "t"}},
		Steps: []workflow.PlanStep{{ID: "s", Timeout: time.Minute, Retry: workflow.Retry{MaxAttempts: 1}, ForEach: &workflow.PlanForEach{Targets: true}}},
	}}}
	m := machine.New(machine.Limits{PerTarget: 1})
	granted := func() []automation.Attempt {
		t.Helper()
		m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 10)
		d, err := m.Take()
		if err != nil {
			t.Fatal(err)
		}
		return d.Attempts
	}
	for _, id := range []automation.RunID{"first", "paused", "other"} {
		if err := m.Accept(id, accepted(start()), p); err != nil {
			t.Fatal(err)
		}
	}
	first := granted()
	if len(first) != 1 || first[0].Run != "first" {
		t.Fatalf("granted %v; want the first run's item alone", first)
	}
	if err := m.Handle("first", outcome(first[0], start(), &automation.Outcome{State: automation.ItemSucceeded})); err != nil {
		t.Fatal(err)
	}
	if err := m.Handle("paused", automation.Fact{Kind: automation.FactPauseAsked, At: start()}); err != nil {
		t.Fatal(err)
	}
	next := granted()
	if len(next) != 1 || next[0].Run != "other" {
		t.Fatalf("granted %v; want the other run's item", next)
	}
	if err := m.Handle("other", outcome(next[0], start(), &automation.Outcome{State: automation.ItemSucceeded})); err != nil {
		t.Fatal(err)
	}
	if got := granted(); len(got) != 0 {
		t.Fatalf("granted %v of a paused run", got)
	}
	if err := m.Handle("paused", automation.Fact{Kind: automation.FactResumeAsked, At: start()}); err != nil {
		t.Fatal(err)
	}
	if got := granted(); len(got) != 1 || got[0].Run != "paused" {
		t.Fatalf("granted %v; want the resumed run's item", got)
	}
}
