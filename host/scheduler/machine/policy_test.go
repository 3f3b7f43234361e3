package machine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// listed is a program whose steps with for_each loop over their list.
type listed struct{ plain }

func (p listed) Elements(step int, _ *workflow.Scope) ([]workflow.Element, error) {
	f := p.plan.Steps[step].ForEach
	if f == nil {
		return make([]workflow.Element, 1), nil
	}
	return make([]workflow.Element, len(f.List)), nil
}

// drive runs a plan to its end, one round of outcomes after the other, in which
// fails says what becomes of an item ("step" or "step/3"); it returns each round's
// grants, how the steps ended, and the run's state.
func drive(t *testing.T, plan *workflow.Plan, fails ...string) (rounds []string, steps map[string]automation.ItemState, run automation.RunState) {
	t.Helper()
	for i := range plan.Steps {
		plan.Steps[i].Retry.MaxAttempts = 1
	}
	p := listed{plain{plan}}
	fold := machine.NewFold(p, automation.Run{ID: "r", Tenant: "default"})
	apply := func(e automation.Entry) {
		if _, err := fold.Apply(e); err != nil {
			t.Fatalf("the fold: %v", err)
		}
	}
	apply(automation.Entry{Run: "r", Facts: []automation.Fact{{Kind: automation.FactRunAccepted, At: start()}}})
	m := machine.New(machine.Limits{})
	if err := m.Accept("r", accepted(start()), p); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 1000)
		d, err := m.Take()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range d.Entries {
			apply(e)
		}
		if !m.Has("r") {
			break
		}
		var round []string
		for _, a := range d.Attempts {
			name := a.StepID
			if plan.Steps[a.Step].ForEach != nil {
				name += "/" + string('0'+rune(a.Item))
			}
			round = append(round, name)
			o := &automation.Outcome{State: automation.ItemSucceeded}
			for _, f := range fails {
				if f == name {
					o = &automation.Outcome{State: automation.ItemFailed, Error: automation.Errorf(automation.CodePluginFailed, "no")}
				}
			}
			if err := m.Handle("r", outcome(a, start(), o)); err != nil {
				t.Fatal(err)
			}
		}
		rounds = append(rounds, strings.Join(round, " "))
	}
	steps = map[string]automation.ItemState{}
	for _, s := range fold.Steps() {
		steps[s.ID] = s.State
	}
	run, _ = fold.State()
	return rounds, steps, run
}

func fanOut(id string, n int, batches ...workflow.Amount) workflow.PlanStep {
	return workflow.PlanStep{ID: id, Timeout: time.Minute, ForEach: &workflow.PlanForEach{List: make([]json.RawMessage, n), Batches: batches}}
}

func TestWaves(t *testing.T) {
	t.Parallel()
	count, percent := func(n int) workflow.Amount { return workflow.Amount{Count: n} }, func(p float64) workflow.Amount { return workflow.Amount{Percent: p} }
	tests := []struct {
		name  string
		step  workflow.PlanStep
		stop  workflow.Amount
		fails []string
		want  []string
		state automation.ItemState
	}{
		{name: "canary then all", step: fanOut("s", 6, count(1), percent(30), percent(100)), want: []string{"s/0", "s/1 s/2", "s/3 s/4 s/5"}, state: automation.ItemSucceeded},
		{name: "the last size again", step: fanOut("s", 5, count(2)), want: []string{"s/0 s/1", "s/2 s/3", "s/4"}, state: automation.ItemSucceeded},
		{name: "a failed canary stops", step: fanOut("s", 6, count(1), percent(100)), fails: []string{"s/0"}, want: []string{"s/0"}, state: automation.ItemFailed},
		{name: "fewer failures than allowed", step: fanOut("s", 6, count(2), percent(100)), stop: count(2), fails: []string{"s/0"}, want: []string{"s/0 s/1", "s/2 s/3 s/4 s/5"}, state: automation.ItemFailed},
		{name: "as many failures as allowed", step: fanOut("s", 6, count(2)), stop: percent(33), fails: []string{"s/0", "s/1"}, want: []string{"s/0 s/1"}, state: automation.ItemFailed},
		{name: "a share of few is one", step: fanOut("s", 3, count(1)), stop: percent(1), fails: []string{"s/1"}, want: []string{"s/0", "s/1"}, state: automation.ItemFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rounds, steps, _ := drive(t, &workflow.Plan{StopIfFailed: tt.stop, Steps: []workflow.PlanStep{tt.step}}, tt.fails...)
			if diff := cmp.Diff(tt.want, rounds); diff != "" || steps["s"] != tt.state {
				t.Errorf("step %s; want %s; grants (-want +got):\n%s", steps["s"], tt.state, diff)
			}
		})
	}
}

// TestStopIfFailed: what max_parallel holds back is skipped once the step stops.
func TestStopIfFailed(t *testing.T) {
	t.Parallel()
	s := fanOut("s", 9)
	s.ForEach.MaxParallel = 2
	rounds, _, run := drive(t, &workflow.Plan{StopIfFailed: workflow.Amount{Count: 2}, Steps: []workflow.PlanStep{s}}, "s/1", "s/3")
	if diff := cmp.Diff([]string{"s/0 s/1", "s/2 s/3"}, rounds); diff != "" || run != automation.RunFailed {
		t.Errorf("run %s; grants (-want +got):\n%s", run, diff)
	}
}

func TestNeedsAndFailures(t *testing.T) {
	t.Parallel()
	step := func(id string, needs ...int) workflow.PlanStep {
		return workflow.PlanStep{ID: id, Needs: needs, Timeout: time.Minute}
	}
	with := func(s workflow.PlanStep, change func(*workflow.PlanStep)) workflow.PlanStep { change(&s); return s }
	policy := func(p workflow.NeedsPolicy) func(*workflow.PlanStep) {
		return func(s *workflow.PlanStep) { s.Policy = p }
	}
	failure := func(f workflow.OnFailure) func(*workflow.PlanStep) {
		return func(s *workflow.PlanStep) { s.OnFailure = f }
	}
	undo := func(s *workflow.PlanStep) { s.Compensates = s.Needs }
	tests := []struct {
		name  string
		steps []workflow.PlanStep
		fails []string
		want  string // of the steps in order: s(ucceeded), f(ailed), k(skipped), c(ancelled)
		run   automation.RunState
	}{
		{"all", []workflow.PlanStep{step("a"), step("b"), step("c", 0, 1)}, []string{"a"}, "fsk", automation.RunFailed},
		{"any", []workflow.PlanStep{step("a"), step("b"), with(step("c", 0, 1), policy(workflow.NeedsAny))}, []string{"a"}, "fss", automation.RunFailed},
		{"any of none", []workflow.PlanStep{step("a"), with(step("b", 0), policy(workflow.NeedsAny))}, []string{"a"}, "fk", automation.RunFailed},
		{"always", []workflow.PlanStep{step("a"), with(step("b", 0), policy(workflow.NeedsAlways))}, []string{"a"}, "fs", automation.RunFailed},
		{"always after skipped", []workflow.PlanStep{step("a"), step("b", 0), with(step("c", 1), policy(workflow.NeedsAlways))}, []string{"a"}, "fks", automation.RunFailed},
		{"continue", []workflow.PlanStep{with(step("a"), failure(workflow.FailureContinue)), step("b", 0)}, []string{"a"}, "fs", automation.RunSucceeded},
		{"other branches go on", []workflow.PlanStep{step("a"), step("b"), step("c", 1)}, []string{"a"}, "fss", automation.RunFailed},
		{"stop", []workflow.PlanStep{with(step("a"), failure(workflow.FailureStop)), step("b"), step("c", 1)}, []string{"a"}, "fsc", automation.RunFailed},
		{"compensation", []workflow.PlanStep{step("a"), with(step("b", 0), undo), step("c", 1)}, []string{"a"}, "fss", automation.RunFailed},
		{"nothing to make good", []workflow.PlanStep{step("a"), with(step("b", 0), undo)}, nil, "sk", automation.RunSucceeded},
		{"compensation that fails", []workflow.PlanStep{step("a"), with(step("b", 0), undo)}, []string{"a", "b"}, "ff", automation.RunFailed},
		{"compensation of several", []workflow.PlanStep{step("a"), step("b"), with(step("c", 0, 1), undo)}, []string{"b"}, "sfs", automation.RunFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, states, run := drive(t, &workflow.Plan{Steps: tt.steps}, tt.fails...)
			got := ""
			for _, s := range tt.steps {
				got += map[automation.ItemState]string{
					automation.ItemSucceeded: "s", automation.ItemFailed: "f", automation.ItemSkipped: "k", automation.ItemCancelled: "c",
				}[states[s.ID]]
			}
			if got != tt.want || run != tt.run {
				t.Errorf("got steps %s, run %s; want %s, %s", got, run, tt.want, tt.run)
			}
		})
	}
}
