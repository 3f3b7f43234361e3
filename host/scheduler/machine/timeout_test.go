package machine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// timed is a machine with one run, and its fold beside it.
type timed struct {
	t    *testing.T
	m    *machine.Machine
	fold *machine.Fold
	now  time.Time
	out  []automation.Attempt
	told []machine.Cancel
}

func startTimed(t *testing.T, l machine.Limits, plan *workflow.Plan) *timed {
	t.Helper()
	return startTimedWith(t, l, listed{plain{plan}})
}

func startTimedWith(t *testing.T, l machine.Limits, p machine.Program) *timed {
	t.Helper()
	x := &timed{t: t, m: machine.New(l), now: start(), fold: machine.NewFold(p, automation.Run{ID: "r", Tenant: "default"})}
	x.apply(automation.Entry{Run: "r", Facts: []automation.Fact{{Kind: automation.FactRunAccepted, At: start()}}})
	if err := x.m.Accept("r", accepted(start()), p); err != nil {
		t.Fatal(err)
	}
	x.take()
	return x
}

func (x *timed) apply(e automation.Entry) {
	x.t.Helper()
	if _, err := x.fold.Apply(e); err != nil {
		x.t.Fatalf("the fold: %v", err)
	}
}

func (x *timed) take() {
	x.t.Helper()
	d, err := x.m.Take()
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range d.Entries {
		x.apply(e)
	}
	x.out, x.told = append(x.out, d.Attempts...), append(x.told, d.Cancels...)
}

// after lets time pass, and grants.
func (x *timed) after(d time.Duration) {
	x.t.Helper()
	x.now = x.now.Add(d)
	x.m.Advance(x.now)
	x.m.Grant(x.now, machine.Lease{Host: "h", Epoch: 1}, 100)
	x.take()
}

// report gives the oldest attempt that is out an outcome.
func (x *timed) report(o *automation.Outcome) {
	x.t.Helper()
	if err := x.m.Handle("r", outcome(x.out[0], x.now, o)); err != nil {
		x.t.Fatal(err)
	}
	x.out = x.out[1:]
	x.take()
}

// items are the states of a step's items as the fold has them, with their errors.
func (x *timed) items(step int) []string {
	var out []string
	for _, v := range x.fold.Items(step, 0, 100) {
		s := string(v.State)
		if v.Outcome != nil && v.Outcome.Error != nil {
			s += ": " + string(v.Outcome.Error.Code) + ": " + v.Outcome.Error.Message
		}
		out = append(out, s)
	}
	return out
}

func (x *timed) want(step int, want ...string) {
	x.t.Helper()
	if got := x.items(step); strings.Join(got, "\n") != strings.Join(want, "\n") {
		x.t.Errorf("items:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func unreachable() *automation.Outcome {
	return &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeUnreachable, Message: "no route", CanRetry: true}}
}

func stopped() *automation.Outcome {
	return &automation.Outcome{State: automation.ItemCancelled, Error: &automation.Error{Code: automation.CodeCancelled, Message: "the attempt was cancelled"}}
}

// bounded is a plan of one step with three attempts, 5 s apart.
func bounded(change func(*workflow.PlanStep)) *workflow.Plan {
	s := workflow.PlanStep{ID: "s", Timeout: time.Minute, Retry: workflow.Retry{MaxAttempts: 3, Initial: 5 * time.Second, Factor: 1}}
	change(&s)
	return &workflow.Plan{Workflow: "w", Steps: []workflow.PlanStep{s}}
}

const itemLate = "timeout: the item took longer than its item_timeout of 10s"

func TestItemTimeout(t *testing.T) {
	t.Parallel()
	plan := func() *workflow.Plan {
		return bounded(func(s *workflow.PlanStep) { s.ItemTimeout = 10 * time.Second })
	}
	for name, tt := range map[string]struct {
		outcome *automation.Outcome
		want    string
	}{
		"stopped":          {stopped(), "failed: " + itemLate},
		"ended before":     {&automation.Outcome{State: automation.ItemSucceeded}, "succeeded"},
		"failed before":    {unreachable(), "failed: unreachable: no route; not tried again: the item took longer than its item_timeout of 10s"},
		"not known":        {&automation.Outcome{State: automation.ItemUnknown, Error: automation.Errorf(automation.CodeUnknownOutcome, "cut off")}, "unknown: unknown_outcome: cut off"},
		"with its host":    {&automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeHostLost, CanRetry: true}}, "failed: " + itemLate},
		"stopped at place": {&automation.Outcome{State: automation.ItemCancelled, Error: automation.Errorf(automation.CodeCancelled, "the item took longer than its item_timeout of 10s: while connecting")}, "failed: " + itemLate + ": while connecting"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := startTimed(t, machine.Limits{}, plan())
			x.after(0)
			x.after(10*time.Second - time.Nanosecond)
			if len(x.told) > 0 {
				t.Fatal("told to stop before its time was up")
			}
			x.after(time.Nanosecond)
			if len(x.told) != 1 || x.told[0].Why.Code != automation.CodeTimeout || x.told[0].Why.Message != strings.TrimPrefix(itemLate, "timeout: ") {
				t.Fatalf("told %+v; want the item, with its time as the cause", x.told)
			}
			x.want(0, "leased")
			x.report(tt.outcome)
			x.want(0, tt.want)
			if tt.outcome.State == automation.ItemUnknown { // it asks what happened, and does not start again for it
				f := with(resolve(automation.ResolutionDidNotRun, nil), x.now)
				if err := x.m.Handle("r", f); err != nil {
					t.Fatal(err)
				}
				x.take()
				x.want(0, "failed: "+itemLate)
			}
			if x.m.Has("r") {
				t.Error("the run goes on")
			}
		})
	}
}

// TestItemTimeoutHoldsBackoffs: the item's time goes on between its attempts.
func TestItemTimeoutHoldsBackoffs(t *testing.T) {
	t.Parallel()
	x := startTimed(t, machine.Limits{}, bounded(func(s *workflow.PlanStep) { s.ItemTimeout = 10 * time.Second }))
	x.after(0)
	x.after(2 * time.Second)
	x.report(unreachable())
	x.after(5 * time.Second)
	x.after(2 * time.Second)
	x.report(unreachable())
	x.want(0, "waiting_retry: unreachable: no route")
	x.after(time.Second)
	x.want(0, "failed: "+itemLate+"; its last attempt: no route")
	if len(x.told) > 0 || x.m.Has("r") {
		t.Errorf("told %v to stop, and the run goes on: %v", x.told, x.m.Has("r"))
	}
}

// TestItemTimeoutFromFirstGrant: what an item waits for a limit is not its time;
// what its run is paused is.
func TestItemTimeoutFromFirstGrant(t *testing.T) {
	t.Parallel()
	plan := bounded(func(s *workflow.PlanStep) {
		*s = fanOut("s", 2)
		s.ForEach.MaxParallel, s.ItemTimeout = 1, 10*time.Second
		s.Retry = workflow.Retry{MaxAttempts: 2}
	})
	x := startTimed(t, machine.Limits{}, plan)
	x.after(0)
	x.after(9 * time.Second)
	x.report(&automation.Outcome{State: automation.ItemSucceeded})
	x.after(0) // the second item is granted 9 s later
	x.after(9 * time.Second)
	x.want(0, "succeeded", "leased")
	if err := x.m.Handle("r", automation.Fact{Kind: automation.FactPauseAsked, At: x.now}); err != nil {
		t.Fatal(err)
	}
	x.report(unreachable())
	x.after(time.Second)
	x.want(0, "succeeded", "failed: "+itemLate+"; its last attempt: no route")
}

// TestStepTimeout: nothing of a step starts after its time, and its run goes on.
func TestStepTimeout(t *testing.T) {
	t.Parallel()
	late := "failed: timeout: the step took longer than its step_timeout of 30s"
	plan := bounded(func(s *workflow.PlanStep) {
		*s = fanOut("s", 5, workflow.Amount{Count: 4})
		s.ForEach.MaxParallel, s.StepTimeout = 2, 30*time.Second
		s.Retry = workflow.Retry{MaxAttempts: 2}
	})
	plan.Steps = append(plan.Steps, workflow.PlanStep{ID: "after", Needs: []int{0}, Policy: workflow.NeedsAlways, Timeout: time.Minute})
	x := startTimed(t, machine.Limits{}, plan)
	x.after(0)
	x.after(30 * time.Second)
	x.want(0, "leased", "leased", late, late, late)
	if len(x.told) != 2 {
		t.Fatalf("told %v to stop; want the two items at work", x.told)
	}
	x.report(stopped())
	x.report(&automation.Outcome{State: automation.ItemSucceeded})
	x.want(0, late, "succeeded", late, late, late)
	x.after(0)
	if len(x.out) != 1 || x.out[0].StepID != "after" {
		t.Errorf("granted %v; want what comes after the step", x.out)
	}
}

// TestWaitTimeout: a wait of the scheduler's own is bounded as well.
func TestWaitTimeout(t *testing.T) {
	t.Parallel()
	plan := bounded(func(s *workflow.PlanStep) {
		s.Scheduler, s.Action, s.With, s.ItemTimeout = true, "wait", []byte(`{"duration":"1h"}`), 10*time.Second
	})
	x := startTimed(t, machine.Limits{}, plan)
	x.after(0)
	x.want(0, "running")
	x.after(10 * time.Second)
	x.want(0, "failed: "+itemLate)
}

// TestTimersDoNotPileUp: deadlines that are far off don't keep what has ended.
func TestTimersDoNotPileUp(t *testing.T) {
	t.Parallel()
	m := machine.New(machine.Limits{})
	for i := range 5000 {
		endOne(t, m, automation.RunID(fmt.Sprint("r", i)))
	}
	if n := m.Timers(); n > 2000 {
		t.Errorf("%d timers are kept for no run at all", n)
	}
}

// TestCancelledBeforeItsTime: what was told to stop by a cancel stays cancelled.
func TestCancelledBeforeItsTime(t *testing.T) {
	t.Parallel()
	x := startTimed(t, machine.Limits{}, bounded(func(s *workflow.PlanStep) { s.ItemTimeout = 10 * time.Second }))
	x.after(0)
	if err := x.m.Handle("r", automation.Fact{Kind: automation.FactCancelAsked, At: x.now, By: "me"}); err != nil {
		t.Fatal(err)
	}
	x.after(20 * time.Second)
	x.report(stopped())
	x.want(0, "cancelled: cancelled: the attempt was cancelled")
	if len(x.told) != 1 || x.told[0].Why.Code != automation.CodeCancelled {
		t.Errorf("told %+v; want the cancel alone", x.told)
	}
}
