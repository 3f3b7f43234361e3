package machine_test

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// TestEndedRunsAreForgotten: nothing of a run is kept in memory once it has ended,
// however far off its deadlines, those of its steps and those of its items are.
func TestEndedRunsAreForgotten(t *testing.T) {
	t.Parallel()
	m := machine.New(machine.Limits{})
	var programs []weak.Pointer[plain]
	for _, id := range []automation.RunID{"a", "b", "c"} {
		programs = append(programs, endOne(t, m, id))
	}
	runtime.GC()
	runtime.GC()
	for i, p := range programs {
		if p.Value() != nil {
			t.Errorf("run %d has ended, and the machine keeps it", i)
		}
	}
	if m.Timers() == 0 {
		t.Error("no timer was set: the test shows nothing")
	}
	runtime.KeepAlive(m)
}

// endOne lets a run with deadlines end, and returns its program.
func endOne(t *testing.T, m *machine.Machine, id automation.RunID) weak.Pointer[plain] {
	t.Helper()
	plan := bounded(func(s *workflow.PlanStep) { s.ItemTimeout, s.StepTimeout = time.Hour, time.Hour })
	plan.Timeout = 24 * time.Hour
	prog := &plain{plan}
	if err := m.Accept(id, accepted(start()), prog); err != nil {
		t.Fatal(err)
	}
	m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 1)
	d, err := m.Take()
	if err != nil || len(d.Attempts) != 1 {
		t.Fatalf("granted %v (%v)", d.Attempts, err)
	}
	if err := m.Handle(id, outcome(d.Attempts[0], start(), &automation.Outcome{State: automation.ItemSucceeded})); err != nil {
		t.Fatal(err)
	}
	if d, err = m.Take(); err != nil || d.Ended != 1 {
		t.Fatalf("%d runs ended (%v); want this one", d.Ended, err)
	}
	return weak.Make(prog)
}
