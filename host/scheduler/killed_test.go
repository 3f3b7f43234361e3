package scheduler_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// TestKilledHost: a host that was killed has left a grant, and maybe an intent,
// and will never report. The next one goes on, whether it is the same host or another.
func TestKilledHost(t *testing.T) {
	t.Parallel()
	onBoth(t, testKilledHost)
}

func testKilledHost(t *testing.T, setup func(testing.TB) *fixture) {
	t.Helper()
	const same, other = automation.HostID("01900000-0000-7000-8000-000000000001"), automation.HostID("01900000-0000-7000-8000-000000000009")
	for _, tt := range []struct {
		host   automation.HostID
		intent bool
		want   automation.RunState
	}{
		{same, false, automation.RunSucceeded},
		{same, true, automation.RunSucceeded},
		{other, false, automation.RunSucceeded},
		{other, true, automation.RunSucceeded},
	} {
		f := setup(t)
		id := f.submit(steps(automation.EffectOnce, 1))
		dead, err := f.st.RegisterHost(t.Context(), automation.Host{ID: tt.host, Name: "dead"})
		if err != nil {
			t.Fatal(err)
		}
		epoch, err := f.st.Lead(t.Context(), 0, dead.ID, 0, time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().UTC()
		fact := automation.Fact{Kind: automation.FactAttemptGranted, At: now, Attempt: 1, Host: dead.ID, HostEpoch: dead.Epoch}
		facts := []automation.Fact{fact}
		if tt.intent {
			fact.Kind = automation.FactAttemptStarted
			facts = append(facts, fact)
		}
		err = f.st.Append(t.Context(), store.Batch{
			Host: dead.ID, Epoch: epoch, Entries: []automation.Entry{{Run: id, Facts: facts}},
			Runs: []automation.RunUpdate{{Run: id, State: automation.RunRunning, Started: now}},
		})
		if err != nil {
			t.Fatal(err)
		}
		f.start(f.st, executor(succeed))
		if tt.intent { // what is not known waits for somebody to say
			f.awaitFacts(id, automation.FactAttemptEnded, 1)
			f.tell(id, automation.FactItemResolved, 0, &automation.Told{
				Resolution: automation.ResolutionRan, Outcome: &automation.Outcome{State: automation.ItemSucceeded},
			})
		}
		if run := f.await(id, ended); run.State != tt.want {
			t.Errorf("host %s, intent %v: got %s, %+v; want %s", tt.host, tt.intent, run.State, run.Error, tt.want)
		}
	}
}
