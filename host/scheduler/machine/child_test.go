package machine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// parent is a program whose one step is a sub-workflow; it would try everything again.
type parent struct {
	plain
	child plain
}

func (p parent) Child(int, json.RawMessage) (machine.Program, json.RawMessage, error) {
	return p.child, json.RawMessage(`{"a":1}`), nil
}

func (p parent) Retry(int, *workflow.Scope, workflow.Element, workflow.Failure) (bool, error) {
	return true, nil
}

// nest starts a run with a child whose one attempt is out; change may alter the
// parent's plan first.
func nest(t *testing.T, change func(*workflow.Plan)) (m *machine.Machine, child automation.Run, attempt automation.Attempt, begin *automation.Begin) {
	t.Helper()
	outer := &workflow.Plan{Workflow: "outer", Steps: []workflow.PlanStep{{
		ID: "s", Plugin: automation.WorkflowPlugin, Action: "inner", Version: "1", Scheduler: true, Retry: workflow.Retry{MaxAttempts: 3}, Timeout: time.Hour,
	}}}
	if change != nil {
		change(outer)
	}
	inner := &workflow.Plan{Workflow: "inner", Template: true, Steps: []workflow.PlanStep{{ID: "a", Plugin: "core", Retry: workflow.Retry{MaxAttempts: 1}}}}
	m = machine.New(machine.Limits{})
	if err := m.Accept("r", accepted(start()), parent{plain{outer}, plain{inner}}); err != nil {
		t.Fatal(err)
	}
	m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 10)
	d := taken(t, m)
	if len(d.Accepted) != 1 || len(d.Attempts) != 1 {
		t.Fatalf("%d children, %d attempts; want one each", len(d.Accepted), len(d.Attempts))
	}
	if _, err := automation.ParseID[automation.RunID](string(d.Accepted[0].ID)); err != nil {
		t.Errorf("the child's identifier: %v", err)
	}
	for _, e := range d.Entries {
		if e.Run == d.Accepted[0].ID {
			begin = e.Facts[0].Begin
		}
	}
	return m, d.Accepted[0], d.Attempts[0], begin
}

func taken(t *testing.T, m *machine.Machine) machine.Decisions {
	t.Helper()
	d, err := m.Take()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// updateOf returns what a commit changes in the record of a run.
func updateOf(d machine.Decisions, id automation.RunID) automation.RunUpdate {
	for _, u := range d.Runs {
		if u.Run == id {
			return u
		}
	}
	return automation.RunUpdate{}
}

// TestChildNotTriedAgain: whatever retry.if says, a child that somebody cancelled
// or of which it is not known what it did is not started again.
func TestChildNotTriedAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		outcome automation.Outcome
		cancel  bool
		want    automation.Code
	}{
		"cancelled": {automation.Outcome{State: automation.ItemCancelled, Error: &automation.Error{Code: automation.CodeCancelled}}, true, automation.CodeStepFailed},
		"unknown":   {automation.Outcome{State: automation.ItemUnknown, Error: &automation.Error{Code: automation.CodeLost}}, false, automation.CodeStepFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, child, a, _ := nest(t, nil)
			if tt.cancel {
				if err := m.Handle(child.ID, automation.Fact{Kind: automation.FactCancelAsked, At: start(), By: "ann"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.Handle(child.ID, outcome(a, start(), &tt.outcome)); err != nil {
				t.Fatal(err)
			}
			if !tt.cancel { // nobody will find out
				if d := taken(t, m); len(d.Runs) > 0 {
					t.Errorf("got %+v; want parent and child to wait for what is unknown", d.Runs)
				}
				if err := m.Handle(child.ID, with(resolve(automation.ResolutionAbandon, nil), start())); err != nil {
					t.Fatal(err)
				}
			}
			m.Advance(start())
			u := updateOf(taken(t, m), "r")
			if u.State != automation.RunFailed || u.Error.Code != tt.want || !strings.Contains(u.Error.Message, "run "+string(child.ID)+" of workflow inner@1") {
				t.Errorf("the parent is %s: %v; want it failed, naming the child", u.State, u.Error)
			}
		})
	}
}

// TestLateChild: a child whose item's time is up is cancelled, and the item fails
// by that time.
func TestLateChild(t *testing.T) {
	t.Parallel()
	m, child, a, _ := nest(t, func(p *workflow.Plan) { p.Steps[0].ItemTimeout = time.Minute })
	m.Advance(start().Add(time.Minute))
	d := taken(t, m)
	if len(d.Cancels) != 1 || d.Cancels[0].Attempt != a.AttemptKey || !m.Has("r") {
		t.Fatalf("cancels %v; want the child's attempt told to stop, and the parent to wait for it", d.Cancels)
	}
	late := &automation.Outcome{State: automation.ItemCancelled, Error: &automation.Error{Code: automation.CodeCancelled}}
	if err := m.Handle(child.ID, outcome(a, start(), late)); err != nil {
		t.Fatal(err)
	}
	m.Advance(start().Add(time.Minute))
	d = taken(t, m)
	if u := updateOf(d, child.ID); u.State != automation.RunCancelled {
		t.Errorf("the child is %s", u.State)
	}
	if u := updateOf(d, "r"); u.State != automation.RunFailed || !strings.Contains(u.Error.Message, "the item took longer than its item_timeout of 1m0s") {
		t.Errorf("the parent is %s: %v", u.State, u.Error)
	}
}

// TestChildTime: a child has its step's time, and never more than its parent has left.
func TestChildTime(t *testing.T) {
	t.Parallel()
	if _, _, _, begin := nest(t, nil); begin.Timeout != time.Hour || string(begin.Inputs) != `{"a":1}` {
		t.Errorf("the child begins with %+v", begin)
	}
	if _, _, _, begin := nest(t, func(p *workflow.Plan) { p.Timeout = 10 * time.Second }); begin.Timeout != 10*time.Second {
		t.Errorf("the child has %s; want the 10 s that its parent has left", begin.Timeout)
	}
}

// TestEndOfAnotherChild: only the run that carries out an item can end it.
func TestEndOfAnotherChild(t *testing.T) {
	t.Parallel()
	m, child, _, _ := nest(t, nil)
	good := automation.Fact{Kind: automation.FactChildEnded, At: start(), Attempt: 1, Child: child.ID, Outcome: &automation.Outcome{State: automation.ItemSucceeded}}
	for name, change := range map[string]func(*automation.Fact){
		"another child": func(f *automation.Fact) { f.Child = "x" }, "an earlier attempt": func(f *automation.Fact) { f.Attempt = 0 }, "no outcome": func(f *automation.Fact) { f.Outcome = nil },
	} {
		f := good
		change(&f)
		if err := m.Handle("r", f); automation.CodeOf(err) != automation.CodeConflict {
			t.Errorf("%s: %v; want a conflict", name, err)
		}
	}
	if err := m.Handle("r", good); err != nil {
		t.Errorf("the child's own end: %v", err)
	}
}

// TestOrphans: after a replay, a child without its parent is cancelled, and an
// item whose child is not there ends.
func TestOrphans(t *testing.T) {
	t.Parallel()
	m := machine.New(machine.Limits{})
	lonely := accepted(start())
	lonely.Begin = &automation.Begin{Parent: &automation.Parent{Run: "gone", Step: "s", Attempt: 1}}
	if err := m.Accept("child", lonely, plain{&workflow.Plan{Steps: []workflow.PlanStep{{ID: "a", Plugin: "core"}}}}); err != nil {
		t.Fatal(err)
	}
	outer := &workflow.Plan{Steps: []workflow.PlanStep{{ID: "s", Plugin: automation.WorkflowPlugin, Action: "inner", Version: "1", Scheduler: true}}}
	if err := m.Accept("r", accepted(start()), plain{outer}); err != nil {
		t.Fatal(err)
	}
	if err := m.Replay(automation.Entry{Run: "r", Facts: []automation.Fact{{Kind: automation.FactChildStarted, At: start(), Attempt: 1, Child: "lost"}}}); err != nil {
		t.Fatal(err)
	}
	m.Recovered(start())
	d := taken(t, m)
	if u := updateOf(d, "child"); u.State != automation.RunCancelled {
		t.Errorf("the child without a parent is %s: %v", u.State, u.Error)
	}
	if u := updateOf(d, "r"); u.State != automation.RunFailed || !strings.Contains(u.Error.Message, "run lost, which carried it out, has ended") {
		t.Errorf("the parent without its child is %s: %v", u.State, u.Error)
	}
}

// outputless is a program whose outputs have no value.
type outputless struct{ plain }

func (outputless) Outputs(*workflow.Scope) (json.RawMessage, error) {
	return nil, &automation.Error{Code: automation.CodeExpression, Message: "output n: no such key"}
}

// TestOutputsThatFail: a run whose outputs can't be evaluated fails, and says why.
func TestOutputsThatFail(t *testing.T) {
	t.Parallel()
	m := machine.New(machine.Limits{})
	if err := m.Accept("r", accepted(start()), outputless{plain{&workflow.Plan{Steps: []workflow.PlanStep{{ID: "a", Plugin: "core"}}}}}); err != nil {
		t.Fatal(err)
	}
	m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 10)
	a := taken(t, m).Attempts[0]
	if err := m.Handle("r", outcome(a, start(), &automation.Outcome{State: automation.ItemSucceeded})); err != nil {
		t.Fatal(err)
	}
	if u := updateOf(taken(t, m), "r"); u.State != automation.RunFailed || u.Error.Message != "output n: no such key" || u.Outputs != nil {
		t.Errorf("got %s, %v, %s", u.State, u.Error, u.Outputs)
	}
}
