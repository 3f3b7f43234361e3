package scheduler_test

import (
	"encoding/json"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/workflow"
)

// tell leaves a command that says something about the first item of a step.
func (f *fixture) tell(id automation.RunID, kind automation.FactKind, step int, told *automation.Told) {
	f.t.Helper()
	now := time.Now().UTC()
	err := f.st.PutCommand(f.t.Context(), automation.Command{
		ID: automation.NewID[automation.CommandID](), Tenant: automation.DefaultTenant, Run: id, Kind: kind, Step: step,
		Told: told, By: "ann", Reason: "seen", At: now,
	}, automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: "tell", Object: string(id), At: now})
	if err != nil {
		f.t.Fatal(err)
	}
}

// until waits for a condition that the store shows.
func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	wake, stop := f.st.Wake(store.TopicEntries)
	defer stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	end := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-wake:
		case <-look.C:
		case <-end:
			f.t.Fatalf("it never came to %s", what)
		}
	}
}

// awaitFacts waits until the run has n facts of a kind.
func (f *fixture) awaitFacts(id automation.RunID, kind automation.FactKind, n int) {
	f.t.Helper()
	f.until(string(kind), func() bool {
		got := 0
		for _, k := range f.facts(id) {
			if k == kind {
				got++
			}
		}
		return got >= n
	})
}

func (f *fixture) approvals(state automation.ApprovalState) []automation.Approval {
	f.t.Helper()
	list, err := f.st.ListApprovals(f.t.Context(), automation.DefaultTenant, state, automation.Page{Limit: 100})
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

func own(action, with string) *workflow.Plan {
	p := steps(automation.EffectPure, 1)
	p.Steps[0].Scheduler, p.Steps[0].Action, p.Steps[0].With = true, action, json.RawMessage(with)
	return p
}

// TestApprovals: what is asked is listed while it waits, over a restart too, and
// what was decided is recorded with who, when and why.
func TestApprovals(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		t.Helper()
		f := setup(t)
		stop := f.start(f.st, executor(succeed))
		plan := own("approval", `{"message":"go on?","expires":"1h"}`)
		approved, rejected, cancelled := f.submit(plan), f.accept(plan, plan.Hash()), f.accept(plan, plan.Hash())
		expired := f.submit(own("approval", `{"message":"quick","expires":"1ms"}`))
		if run := f.await(expired, ended); run.State != automation.RunFailed {
			t.Errorf("expired: got %s, %v", run.State, run.Error)
		}
		f.until("three pending", func() bool { return len(f.approvals(automation.ApprovalPending)) == 3 })
		stop()
		f.start(f.st, executor(succeed))
		f.tell(approved, automation.FactDecisionGiven, 0, &automation.Told{Decision: automation.DecisionApprove})
		f.tell(rejected, automation.FactDecisionGiven, 0, &automation.Told{Decision: automation.DecisionReject})
		f.tell(cancelled, automation.FactCancelAsked, 0, nil)
		f.await(cancelled, ended)
		if run := f.await(rejected, ended); run.State != automation.RunFailed || run.Error.Message != "step a failed: rejected by ann: seen" {
			t.Errorf("rejected: got %s, %v", run.State, run.Error)
		}
		if run := f.await(approved, ended); run.State != automation.RunSucceeded {
			t.Errorf("approved: got %s, %v", run.State, run.Error)
		}
		f.tell(rejected, automation.FactDecisionGiven, 0, &automation.Told{Decision: automation.DecisionApprove}) // too late
		f.until("no commands", func() bool {
			left, err := f.st.Commands(t.Context(), 0, 10)
			return err == nil && len(left) == 0
		})
		want := map[automation.RunID]automation.ApprovalState{
			approved: automation.ApprovalApproved, rejected: automation.ApprovalRejected,
			cancelled: automation.ApprovalCancelled, expired: automation.ApprovalExpired,
		}
		for _, a := range f.approvals("") {
			decided := a.State == automation.ApprovalApproved || a.State == automation.ApprovalRejected
			if a.State != want[a.Run] || decided != (a.By == "ann" && a.Reason == "seen" && !a.Decided.IsZero()) {
				t.Errorf("got %+v; want %s", a, want[a.Run])
			}
			delete(want, a.Run)
		}
		if len(want) > 0 {
			t.Errorf("no record of %v", want)
		}
	})
}

// TestEventsOfARun: an event is for what waits for it, or is kept over a restart
// for what will.
func TestEventsOfARun(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setup func(testing.TB) *fixture) {
		t.Helper()
		f := setup(t)
		stop := f.start(f.st, executor(succeed))
		plan := own("wait", `{"event":"go"}`)
		later := own("wait", `{"duration":"300ms"}`)
		later.Steps = append(later.Steps, plan.Steps[0])
		later.Steps[1].ID, later.Steps[1].Needs = "b", []int{0}
		waits, kept := f.submit(plan), f.submit(later)
		f.awaitFacts(waits, automation.FactWaitStarted, 1)
		for _, id := range []automation.RunID{waits, kept} {
			f.tell(id, automation.FactEventReceived, 0, &automation.Told{Event: "go", Payload: json.RawMessage(`{"n":1}`)})
			f.awaitFacts(id, automation.FactEventReceived, 1)
		}
		stop()
		f.start(f.st, executor(succeed))
		for _, id := range []automation.RunID{waits, kept} {
			if run := f.await(id, ended); run.State != automation.RunSucceeded {
				t.Errorf("got %s, %v", run.State, run.Error)
			}
		}
	})
}
