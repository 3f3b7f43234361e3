package machine_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// fail runs a plan's only step to its end: items 0, 1, 2 … fail with errors, or
// succeed with nil.
func fail(t *testing.T, p machine.Program, errs ...*automation.Error) *timed {
	t.Helper()
	x := startTimedWith(t, machine.Limits{}, p)
	for range errs {
		for len(x.out) == 0 {
			x.after(0)
		}
		o := &automation.Outcome{State: automation.ItemSucceeded}
		if e := errs[x.out[0].Item]; e != nil {
			o = &automation.Outcome{State: automation.ItemFailed, Error: e}
			if e.Code == automation.CodeUnknownOutcome {
				o.State = automation.ItemUnknown
			}
		}
		x.report(o)
		x.after(0)
	}
	return x
}

// onTargets is a program of one step that runs on all targets of the plan.
type onTargets struct{ plain }

func (p onTargets) Elements(int, *workflow.Scope) ([]workflow.Element, error) {
	out := make([]workflow.Element, len(p.plan.Targets))
	for i := range out {
		out[i] = workflow.Element{Index: i, Target: &p.plan.Targets[i]}
	}
	return out, nil
}

func fleetOf(n int) onTargets {
	plan := &workflow.Plan{Workflow: "w", Steps: []workflow.PlanStep{{ID: "s", Retry: workflow.Retry{MaxAttempts: 1}, ForEach: &workflow.PlanForEach{Targets: true}}}}
	for i := range n {
		plan.Targets = append(plan.Targets, automation.Target{ID: automation.AssetID(fmt.Sprint("id-", i)), Name: fmt.Sprintf("web-%03d", i), Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)})
	}
	return onTargets{plain{plan}}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	p := fleetOf(13)
	errs := make([]*automation.Error, 13)
	for i := range 7 {
		errs[i] = automation.Errorf(automation.CodeUnreachable, "dial %s (%s:22): refused after %dms", p.plan.Targets[i].Name, p.plan.Targets[i].Address, 10+i)
	}
	errs[7] = automation.Errorf(automation.CodeTimeout, "dial %s (%s:22): refused after 3ms", p.plan.Targets[7].Name, p.plan.Targets[7].Address)
	errs[8], errs[9] = automation.Errorf("disk_full", "no space"), automation.Errorf("disk_full", "no space")
	errs[10] = automation.Errorf(automation.CodeUnknownOutcome, "cut off")
	x := fail(t, p, errs...)
	type group struct {
		Code      automation.Code
		Signature string
		Count     int
		First     []int
	}
	var got []group
	groups, total := x.fold.Failures()
	for _, g := range groups {
		s := group{Code: g.Code, Signature: g.Signature, Count: g.Count}
		for _, it := range g.First {
			s.First = append(s.First, it.Index)
			if it.Element.Target.Name != p.plan.Targets[it.Index].Name || it.Outcome.Error.Code != g.Code {
				t.Errorf("item %d: got %+v", it.Index, it)
			}
		}
		got = append(got, s)
		if g.Error != errs[g.First[0].Index] || g.StepID != "s" {
			t.Errorf("the example of %s is %v of step %s", g.Signature, g.Error, g.StepID)
		}
	}
	want := []group{
		{automation.CodeUnreachable, "dial <target> (<target>:#): refused after <time>", 7, []int{0, 1, 2, 3, 4}},
		{"disk_full", "no space", 2, []int{8, 9}},
		{automation.CodeTimeout, "dial <target> (<target>:#): refused after <time>", 1, []int{7}},
		{automation.CodeUnknownOutcome, "cut off", 1, []int{10}},
	}
	if diff := cmp.Diff(want, got); diff != "" || total != 11 {
		t.Errorf("%d items in groups (-want +got):\n%s", total, diff)
	}
	again, _ := x.fold.Failures()
	if diff := cmp.Diff(groups, again); diff != "" {
		t.Errorf("asked again (-first +second):\n%s", diff)
	}
}

// TestManyFailures: as many causes as items are bounded, and said to be more.
func TestManyFailures(t *testing.T) {
	t.Parallel()
	const n = 250
	errs := make([]*automation.Error, n)
	for i := range errs {
		errs[i] = automation.Errorf(automation.Code(fmt.Sprintf("code_%c%c", 'a'+i/26, 'a'+i%26)), "no")
	}
	x := fail(t, fleetOf(n), errs...)
	if groups, total := x.fold.Failures(); len(groups) != 100 || total != n || groups[0].Code != "code_aa" {
		t.Errorf("got %d groups of %d items, first %v", len(groups), total, groups[0])
	}
}

func TestNoFailures(t *testing.T) {
	t.Parallel()
	x := fail(t, fleetOf(2), nil, nil)
	if groups, total := x.fold.Failures(); len(groups) != 0 || total != 0 {
		t.Errorf("got %v", groups)
	}
	fresh := machine.NewFold(fleetOf(1), automation.Run{ID: "r"})
	if groups, total := fresh.Failures(); groups != nil || total != 0 {
		t.Errorf("before the first fact: got %v", groups)
	}
}

func BenchmarkFailures(b *testing.B) {
	const n = 10_000
	errs := make([]*automation.Error, n)
	p := fleetOf(n)
	fold := machine.NewFold(p, automation.Run{ID: "r"})
	apply := func(facts ...automation.Fact) {
		if _, err := fold.Apply(automation.Entry{Run: "r", Facts: facts}); err != nil {
			b.Fatal(err)
		}
	}
	apply(*accepted(start()))
	for i := range errs {
		e := automation.Errorf(automation.CodeUnreachable, "dial %s (%s:22): refused after %dms", p.plan.Targets[i].Name, p.plan.Targets[i].Address, i)
		apply(automation.Fact{Kind: automation.FactItemEnded, At: start(), Item: i, Outcome: &automation.Outcome{State: automation.ItemFailed, Error: e}})
	}
	for b.Loop() {
		if groups, total := fold.Failures(); len(groups) != 1 || total != n {
			b.Fatal(groups)
		}
	}
}
