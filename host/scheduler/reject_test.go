package scheduler_test

import (
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// TestRunThatCannotBeScheduled: a plan that can't be read, or facts that
// contradict each other, end their own run with the cause and no other one.
func TestRunThatCannotBeScheduled(t *testing.T) {
	t.Parallel()
	onBoth(t, testRunThatCannotBeScheduled)
}

func testRunThatCannotBeScheduled(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	f := setup(t)
	plan := steps(automation.EffectPure, 2)
	garbage := automation.Digest(strings.Repeat("0", 64))
	if err := f.st.PutPlan(t.Context(), automation.DefaultTenant, garbage, []byte(`{"schema":"from the future"}`), time.Now().UTC()); err != nil {
		t.Fatal(err)
	}
	before := f.accept(plan, garbage)
	contradicting := f.submit(plan)
	dead, err := f.st.RegisterHost(t.Context(), automation.Host{ID: "01900000-0000-7000-8000-000000000009", Name: "dead"})
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := f.st.Lead(t.Context(), 0, dead.ID, 0, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	err = f.st.Append(t.Context(), store.Batch{Host: dead.ID, Epoch: epoch, Entries: []automation.Entry{{Run: contradicting, Facts: []automation.Fact{
		{Kind: automation.FactAttemptGranted, At: now, Step: 0, Attempt: 1, Host: dead.ID, HostEpoch: dead.Epoch},
		{Kind: automation.FactAttemptGranted, At: now, Step: 0, Attempt: 2, Host: dead.ID, HostEpoch: dead.Epoch}, // while the first is out
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	f.start(f.st, executor(succeed))
	good := f.submit(plan)
	after := f.accept(plan, garbage)
	for name, id := range map[string]automation.RunID{"unreadable, replayed": before, "contradicting": contradicting, "unreadable, accepted": after} {
		run := f.await(id, ended)
		if run.State != automation.RunFailed || run.Error == nil || run.Error.Code != automation.CodeInternal {
			t.Errorf("%s: got %s, %+v; want failed by an internal fault", name, run.State, run.Error)
		}
	}
	if run := f.await(good, ended); run.State != automation.RunSucceeded {
		t.Errorf("a good run beside them: got %s, %v", run.State, run.Error)
	}
}
