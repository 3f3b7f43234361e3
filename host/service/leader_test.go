package service_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/workflow"
)

// leader writes facts as the scheduler's leader does, one entry a call, so that a
// test says exactly what the log holds.
type leader struct {
	*fixture
	host  automation.Host
	epoch int64
}

func (f *fixture) lead(t testing.TB) *leader {
	t.Helper()
	host, err := f.store.RegisterHost(t.Context(), automation.Host{ID: automation.NewID[automation.HostID](), Name: "h", Slots: 8})
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := f.store.Lead(t.Context(), 0, host.ID, 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &leader{f, host, epoch}
}

// commit adds one entry, with the run's new record where update is not nil.
func (l *leader) commit(t testing.TB, run automation.RunID, update *automation.RunUpdate, facts ...automation.Fact) int64 {
	t.Helper()
	for i := range facts {
		facts[i].At = l.clock.Now()
		switch facts[i].Kind {
		case automation.FactAttemptGranted, automation.FactAttemptEnded, automation.FactAttemptStarted:
			facts[i].Host, facts[i].HostEpoch = l.host.ID, l.host.Epoch
		}
	}
	b := store.Batch{Host: l.host.ID, Epoch: l.epoch, Entries: []automation.Entry{{Run: run, Facts: facts}}}
	if update != nil {
		update.Run = run
		b.Runs = []automation.RunUpdate{*update}
	}
	if err := l.store.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b.Entries[0].Seq
}

func granted(step, item, attempt int) automation.Fact {
	return automation.Fact{Kind: automation.FactAttemptGranted, Step: step, Item: item, Attempt: attempt}
}

func succeeded(step, item, attempt int, output string) automation.Fact {
	return automation.Fact{Kind: automation.FactAttemptEnded, Step: step, Item: item, Attempt: attempt, Outcome: &automation.Outcome{
		State: automation.ItemSucceeded, Output: json.RawMessage(output),
		StartedAt: time.Unix(100, 0).UTC(), EndedAt: time.Unix(100, 1_500_000).UTC(),
	}}
}

func failed(step, item, attempt int) automation.Fact {
	return automation.Fact{Kind: automation.FactAttemptEnded, Step: step, Item: item, Attempt: attempt, Outcome: &automation.Outcome{
		State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeUnreachable, Message: "no answer"},
	}}
}

func (l *leader) running() *automation.RunUpdate {
	return &automation.RunUpdate{State: automation.RunRunning, Started: l.clock.Now()}
}

func (l *leader) ended(state automation.RunState) *automation.RunUpdate {
	return &automation.RunUpdate{State: state, Started: l.clock.Now(), Ended: l.clock.Now()}
}

// fanPlan has a step "fan" over n values and a step "sum" that needs it, of an
// active plugin.
func (f *fixture) fanPlan(t testing.TB, n int) automation.Digest {
	t.Helper()
	pl, _, err := f.EnsureBuiltin(t.Context(), artifact(manifest("core", "1.0.0"), ""))
	if err != nil {
		t.Fatal(err)
	}
	step := workflow.PlanStep{
		Plugin: "core", Version: "1.0.0", Action: "act", Digest: pl.Digest, Effect: automation.EffectPure,
		With: json.RawMessage(`{}`), Constant: true, Retry: workflow.Retry{MaxAttempts: 1}, Timeout: time.Minute,
	}
	fan, sum := step, step
	fan.ID, sum.ID, sum.Needs = "fan", "sum", []int{0}
	fan.ForEach = &workflow.PlanForEach{}
	for i := range n {
		fan.ForEach.List = append(fan.ForEach.List, json.RawMessage(fmt.Sprint(i)))
	}
	return f.putPlan(t, &workflow.Plan{
		Schema: workflow.PlanSchema, Workflow: "demo", Inputs: json.RawMessage(`{}`), Steps: []workflow.PlanStep{fan, sum},
	})
}

func (f *fixture) putPlan(t testing.TB, p *workflow.Plan) automation.Digest {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	hash := p.Hash()
	if err := f.store.PutPlan(t.Context(), automation.DefaultTenant, hash, b, f.clock.Now()); err != nil {
		t.Fatal(err)
	}
	return hash
}

func (f *fixture) submit(t testing.TB, hash automation.Digest) automation.Run {
	t.Helper()
	run, created, err := f.Submit(t.Context(), principal(automation.RoleSubmitter), service.SubmitRequest{PlanHash: hash})
	if err != nil || !created {
		t.Fatalf("submit: %v, created %v", err, created)
	}
	return run
}

// wholeRun commits a whole run with n items, an entry a fact, and returns the
// number of its last entry.
func (l *leader) wholeRun(t testing.TB, run automation.RunID, n int) int64 {
	t.Helper()
	for i := range n {
		update := l.running()
		l.commit(t, run, update, granted(0, i, 1))
		l.commit(t, run, nil, succeeded(0, i, 1, fmt.Sprintf(`{"i":%d}`, i)))
	}
	l.commit(t, run, nil, granted(1, 0, 1))
	return l.commit(t, run, l.ended(automation.RunSucceeded), succeeded(1, 0, 1, `{}`))
}
