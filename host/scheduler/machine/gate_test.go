package machine_test

import (
	"slices"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/calendar"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// windowed returns a calendar with one window on assets of a tag.
func windowed(t *testing.T, kind automation.WindowKind, tag string, from, until time.Duration) *calendar.Calendar {
	t.Helper()
	c, err := calendar.New([]automation.Window{{Name: "w", Tenant: "default", WindowSpec: automation.WindowSpec{
		Kind: kind, Scope: automation.WindowChanges, Tags: []string{tag}, From: start().Add(from), Until: start().Add(until),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWindows: an asset that is closed gets nothing until it opens, and others are
// not held up by it; what only reads goes on.
func TestWindows(t *testing.T) {
	t.Parallel()
	each := &workflow.PlanForEach{Targets: true}
	plan := fleetPlan(
		workflow.PlanStep{ForEach: each, Effect: automation.EffectOnce},
		workflow.PlanStep{ForEach: each, Effect: automation.EffectPure},
	)
	plan.Targets[1].Tags = []string{"prod"}
	m := machine.New(machine.Limits{PerTarget: 5})
	m.SetCalendar(windowed(t, automation.WindowMaintenance, "prod", time.Hour, 2*time.Hour), start())
	if err := m.Accept("r", accepted(start()), fleet{plain: plain{plan}}); err != nil {
		t.Fatal(err)
	}
	granted := func(after time.Duration) (names []string) {
		now := start().Add(after)
		m.Advance(now)
		m.Grant(now, machine.Lease{Host: "h", Epoch: 1}, 100)
		d, err := m.Take()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range d.Attempts {
			names = append(names, a.StepID+"/"+string('0'+rune(a.Item)))
		}
		slices.Sort(names)
		return names
	}
	if got, want := granted(0), []string{"a/0", "a/2", "b/0", "b/1", "b/2"}; !slices.Equal(got, want) {
		t.Errorf("while it is closed: got %v, want %v", got, want)
	}
	if got, want := granted(30*time.Minute), []string(nil); !slices.Equal(got, want) {
		t.Errorf("later: got %v, want nothing", got)
	}
	if next, ok := m.NextTimer(); !ok || !next.Equal(start().Add(time.Hour)) {
		t.Errorf("the next timer is at %v, want the opening", next)
	}
	if got, want := granted(time.Hour), []string{"a/1"}; !slices.Equal(got, want) {
		t.Errorf("once it is open: got %v, want %v", got, want)
	}
}

// TestWindowsChange: windows that come and go hold from then on.
func TestWindowsChange(t *testing.T) {
	t.Parallel()
	plan := fleetPlan(workflow.PlanStep{ForEach: &workflow.PlanForEach{Targets: true, MaxParallel: 1}, Effect: automation.EffectOnce})
	for i := range plan.Targets {
		plan.Targets[i].Tags = []string{"prod"}
	}
	m := machine.New(machine.Limits{PerTarget: 1})
	if err := m.Accept("r", accepted(start()), fleet{plain: plain{plan}}); err != nil {
		t.Fatal(err)
	}
	step := func(want int) []automation.Attempt {
		t.Helper()
		m.Advance(start())
		m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 100)
		d, err := m.Take()
		if err != nil || len(d.Attempts) != want {
			t.Fatalf("got %d attempts, %v; want %d", len(d.Attempts), err, want)
		}
		return d.Attempts
	}
	first := step(1)
	m.SetCalendar(windowed(t, automation.WindowFreeze, "prod", -time.Hour, time.Hour), start())
	if err := m.Handle("r", outcome(first[0], start(), &automation.Outcome{State: automation.ItemSucceeded})); err != nil {
		t.Fatal(err)
	}
	step(0)
	m.SetCalendar(windowed(t, automation.WindowFreeze, "other", -time.Hour, time.Hour), start())
	second := step(1)
	m.SetCalendar(nil, start())
	if err := m.Handle("r", outcome(second[0], start(), &automation.Outcome{State: automation.ItemSucceeded})); err != nil {
		t.Fatal(err)
	}
	step(1)
}
