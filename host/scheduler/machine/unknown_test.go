package machine_test

import (
	"encoding/json"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// TestUnknownHoldsItsLimits: nothing else acts on the target before somebody has
// said what became of the attempt, whatever that is.
func TestUnknownHoldsItsLimits(t *testing.T) {
	t.Parallel()
	good := &automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{"a":1}`)}
	bad := &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodePluginFailed, Message: "no space"}}
	for name, c := range map[string]struct {
		tell    automation.Fact
		want    automation.RunState
		message string
		item    automation.ItemState
		code    automation.Code
	}{
		"it ran":               {resolve(automation.ResolutionRan, good), automation.RunSucceeded, "", automation.ItemSucceeded, ""},
		"it ran and failed":    {resolve(automation.ResolutionRan, bad), automation.RunFailed, "no space", automation.ItemFailed, automation.CodePluginFailed},
		"abandoned":            {resolve(automation.ResolutionAbandon, nil), automation.RunFailed, "abandoned by ann: saw it", automation.ItemFailed, automation.CodeUnknownOutcome},
		"it did not run":       {resolve(automation.ResolutionDidNotRun, nil), automation.RunRunning, "", "", ""},
		"the run is cancelled": {automation.Fact{Kind: automation.FactCancelAsked}, automation.RunCancelled, "cancelled by ann", automation.ItemCancelled, automation.CodeUnknownOutcome},
		"the run's time is up": {automation.Fact{Kind: automation.FactTimerFired, Reason: automation.TimerRun}, automation.RunFailed, "timeout", automation.ItemFailed, automation.CodeUnknownOutcome},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, machine.Limits{PerTarget: 1}, once("s"), asks("beside", "assert", `{"that":true}`, 0))
			b.doubtful(start())
			b.want(automation.RunRunning, "")
			if got := b.item("r/0/0"); got.State != automation.ItemUnknown || b.item("r/1").State != automation.ItemSucceeded {
				t.Fatalf("got %+v; want it unknown, and the rest to go on", got)
			}
			b.accept("other", once("s"))
			if got := b.turn(start()); len(got) != 0 {
				t.Fatalf("got %+v; want the target's slot held", got)
			}
			if err := b.m.Handle("r", with(c.tell, start())); err != nil {
				t.Fatal(err)
			}
			got := b.turn(start())
			b.want(c.want, c.message)
			if v := b.view(); c.item != "" && (v.State != c.item || codeOf(v.Outcome) != c.code) {
				t.Errorf("got the item %s, %v; want %s, %s", v.State, v.Outcome.Error, c.item, c.code)
			}
			if len(got) != 1 { // of one of the runs: the other waits for the target
				t.Errorf("got %d attempts, want the slot free for one", len(got))
			}
		})
	}
}

func codeOf(o *automation.Outcome) automation.Code {
	if o.Error == nil {
		return ""
	}
	return o.Error.Code
}

// TestDidNotRunIsNoRetry: what did not run does not count, and what did does.
func TestDidNotRunIsNoRetry(t *testing.T) {
	t.Parallel()
	b := newBench(t, machine.Limits{}, once("s"))
	for n := 1; n <= 8; n++ { // more often than hosts may be lost
		b.doubtful(start())
		if err := b.m.Handle("r", with(resolve(automation.ResolutionDidNotRun, nil), start())); err != nil {
			t.Fatal(err)
		}
		if got := b.turn(start()); len(got) != 1 || got[0].Attempt != n+1 {
			t.Fatalf("got %+v; want attempt %d", got, n+1)
		}
	}
	b.want(automation.RunRunning, "")
}

// TestDidNotRunLeavesTheRetries: after it, all attempts of the step's retry are left.
func TestDidNotRunLeavesTheRetries(t *testing.T) {
	t.Parallel()
	s := once("s")
	s.Effect, s.Retry = automation.EffectPure, workflow.Retry{MaxAttempts: 2}
	b := newBench(t, machine.Limits{}, s)
	b.doubtful(start())
	if err := b.tell(start(), resolve(automation.ResolutionDidNotRun, nil)); err != nil {
		t.Fatal(err)
	}
	f := outcome(automation.Attempt{AttemptKey: automation.AttemptKey{Run: "r", Attempt: 2}, Host: "h", HostEpoch: 1}, start(), unreachable())
	if err := b.m.Handle("r", f); err != nil {
		t.Fatal(err)
	}
	if got := b.item("r/0/0"); got.State != automation.ItemWaitingRetry {
		t.Errorf("got %s after the first attempt that counts; want a second one", got.State)
	}
}

// TestUnknownWhileEnding: a run that ends already asks nobody.
func TestUnknownWhileEnding(t *testing.T) {
	t.Parallel()
	b := newBench(t, machine.Limits{PerTarget: 1}, once("s"))
	if err := b.tell(start(), automation.Fact{Kind: automation.FactCancelAsked}); err != nil {
		t.Fatal(err)
	}
	b.doubtful(start())
	b.want(automation.RunCancelled, "cancelled by ann")
	if b.m.Len() != 0 {
		t.Error("the run is still there")
	}
}

// TestWaveWaitsForUnknown: the next wave of a step does not start while it is not
// known how the one before has ended, and starts after that.
func TestWaveWaitsForUnknown(t *testing.T) {
	t.Parallel()
	s := once("s")
	s.ForEach = &workflow.PlanForEach{List: make([]json.RawMessage, 2), Batches: []workflow.Amount{{Count: 1}}}
	for _, halted := range []bool{false, true} {
		b := newBench(t, machine.Limits{}, s)
		b.doubtful(start())
		if got := b.turn(start()); len(got) != 0 {
			t.Fatalf("got %+v; want the second wave to wait", got)
		}
		o := &automation.Outcome{State: automation.ItemSucceeded}
		if halted {
			o = &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Message: "bad"}}
		}
		if err := b.m.Handle("r", with(resolve(automation.ResolutionRan, o), start())); err != nil {
			t.Fatal(err)
		}
		if got := b.turn(start()); len(got) == 1 == halted {
			t.Errorf("failed %v: got %+v", halted, got)
		}
	}
}
