package machine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// fleet is a program whose steps with for_each loop over the plan's targets;
// reads are the steps that read results of steps.
type fleet struct {
	plain
	reads []int
}

func (p fleet) ReadsSteps(step int) bool { return slices.Contains(p.reads, step) }

func (p fleet) Elements(step int, _ *workflow.Scope) ([]workflow.Element, error) {
	if p.plan.Steps[step].ForEach == nil {
		return make([]workflow.Element, 1), nil
	}
	out := make([]workflow.Element, len(p.plan.Targets))
	for i := range out {
		out[i] = workflow.Element{Index: i, Target: &p.plan.Targets[i]}
	}
	return out, nil
}

func fleetPlan(steps ...workflow.PlanStep) *workflow.Plan {
	plan := &workflow.Plan{Workflow: "w", Steps: steps, Targets: []automation.Target{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	for i := range plan.Steps {
		s := &plan.Steps[i]
		s.ID, s.Timeout, s.Retry.MaxAttempts = string('a'+rune(i)), time.Minute, 1
	}
	return plan
}

// carry runs a plan to its end; what is in fails ("step/item") fails. It returns
// the attempts in order and the run's fold.
func carry(t *testing.T, p machine.Program, begin *automation.Begin, fails ...string) (ran []string, fold *machine.Fold) {
	t.Helper()
	fold = machine.NewFold(p, automation.Run{ID: "r", Tenant: "default"})
	first := accepted(start())
	first.Begin = begin
	entries := []automation.Entry{{Run: "r", Facts: []automation.Fact{*first}}}
	m := machine.New(machine.Limits{})
	if err := m.Accept("r", first, p); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 1000)
		d, err := m.Take()
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, d.Entries...)
		for _, a := range d.Attempts {
			name := fmt.Sprintf("%s/%d", a.StepID, a.Item)
			ran = append(ran, name)
			o := &automation.Outcome{State: automation.ItemSucceeded, Output: []byte(`{"of":"` + name + `"}`)}
			if slices.Contains(fails, name) {
				o = &automation.Outcome{State: automation.ItemFailed, Error: automation.Errorf(automation.CodePluginFailed, "no")}
			}
			if err := m.Handle("r", outcome(a, start(), o)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, e := range entries {
		if _, err := fold.Apply(e); err != nil {
			t.Fatalf("the fold: %v", err)
		}
	}
	if s, _ := fold.State(); !s.Ended() {
		t.Fatalf("the run has not ended: %s", s)
	}
	return ran, fold
}

func TestRerun(t *testing.T) {
	t.Parallel()
	each := &workflow.PlanForEach{Targets: true}
	waves := &workflow.PlanForEach{Targets: true, Batches: []workflow.Amount{{Count: 1}}}
	tests := []struct {
		name    string
		steps   []workflow.PlanStep
		reads   []int
		fails   []string
		targets string // what runs again, target by target
		whole   string // and by whole steps
	}{
		{
			name: "one target of a step", steps: []workflow.PlanStep{{}, {ForEach: each, Needs: []int{0}}, {ForEach: each, Needs: []int{1}}},
			fails: []string{"b/1"}, targets: "b/1 c/0 c/1 c/2", whole: "b/0 b/1 b/2 c/0 c/1 c/2",
		},
		{
			name: "what follows on the good targets is kept", steps: []workflow.PlanStep{
				{ForEach: each}, {ForEach: each, Needs: []int{0}, Policy: workflow.NeedsAlways}, {Needs: []int{1}},
			},
			fails: []string{"a/1"}, targets: "a/1 b/1 c/0", whole: "a/0 a/1 a/2 b/0 b/1 b/2 c/0",
		},
		{
			name: "a step that reads results runs again whole", steps: []workflow.PlanStep{
				{ForEach: each}, {ForEach: each, Needs: []int{0}, Policy: workflow.NeedsAlways},
			},
			reads: []int{1}, fails: []string{"a/1"}, targets: "a/1 b/0 b/1 b/2", whole: "a/0 a/1 a/2 b/0 b/1 b/2",
		},
		{
			name: "what was made good for runs again whole", steps: []workflow.PlanStep{
				{ForEach: each}, {ForEach: each, Needs: []int{0}, Compensates: []int{0}},
			},
			fails: []string{"a/1"}, targets: "a/0 a/1 a/2", whole: "a/0 a/1 a/2",
		},
		{
			name: "so does a good step that was made good for with a failed one", steps: []workflow.PlanStep{
				{ForEach: each}, {ForEach: each}, {Needs: []int{0, 1}, Compensates: []int{0, 1}},
			},
			fails: []string{"a/1"}, targets: "a/0 a/1 a/2 b/0 b/1 b/2", whole: "a/0 a/1 a/2 b/0 b/1 b/2",
		},
		{
			name: "a failure in the middle of waves", steps: []workflow.PlanStep{{ForEach: waves}, {Needs: []int{0}}},
			fails: []string{"a/1"}, targets: "a/1 a/2 b/0", whole: "a/0 a/1 a/2 b/0",
		},
		{
			name: "steps beside the failed one are kept", steps: []workflow.PlanStep{{}, {}, {Needs: []int{0, 1}}},
			fails: []string{"b/0"}, targets: "b/0 c/0", whole: "b/0 c/0",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := fleet{plain{fleetPlan(tt.steps...)}, tt.reads}
			_, before := carry(t, p, nil, tt.fails...)
			for whole, want := range map[bool]string{false: tt.targets, true: tt.whole} {
				ran, after := carry(t, p, &automation.Begin{Kept: before.Kept(whole)})
				if got := strings.Join(ran, " "); got != want {
					t.Errorf("whole %v: got %q run again; want %q", whole, got, want)
				}
				if state, _ := after.State(); state != automation.RunSucceeded {
					t.Errorf("whole %v: the rerun is %s", whole, state)
				}
				for step := range tt.steps {
					for _, it := range after.Items(step, 0, 10) {
						if it.State != automation.ItemSucceeded {
							continue
						}
						name := fmt.Sprintf("%s/%d", it.StepID, it.Index)
						if it.Attempt != 1 {
							t.Errorf("%s: attempt %d; want 1", name, it.Attempt)
						}
						if diff := cmp.Diff(`{"of":"`+name+`"}`, string(it.Outcome.Output)); diff != "" || it.Kept == slices.Contains(ran, name) {
							t.Errorf("%s: kept %v, output -want +got:\n%s", name, it.Kept, diff)
						}
					}
				}
			}
		})
	}
}
