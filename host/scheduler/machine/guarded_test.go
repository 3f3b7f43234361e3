package machine_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// cutOff grants an attempt, commits its intent if it is to, and cuts it off.
func cutOff(t *testing.T, m *machine.Machine, attempt int, intent bool, code automation.Code) automation.Attempt {
	t.Helper()
	m.Grant(start(), machine.Lease{Host: "h", Epoch: int64(attempt)}, 1)
	d, err := m.Take()
	if err != nil || len(d.Attempts) != 1 || d.Attempts[0].Attempt != attempt {
		t.Fatalf("grant %d: got %+v, %v", attempt, d.Attempts, err)
	}
	a := d.Attempts[0]
	if intent {
		f := automation.Fact{Kind: automation.FactAttemptStarted, At: start().Add(time.Duration(attempt) * time.Second), Attempt: attempt, Host: a.Host, HostEpoch: a.HostEpoch, CommandHash: "c0ffee"}
		if err := m.Handle("r", f); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Handle("r", outcome(a, start(), &automation.Outcome{
		State: automation.ItemFailed, Error: &automation.Error{Code: code, CanRetry: true, Message: "cut"},
	})); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestGuardedIsGrantedAgain: the attempts after one that was cut off know when the
// command may have begun, and that there is one; the retries are not used up; after
// too many the item is unknown, never failed.
func TestGuardedIsGrantedAgain(t *testing.T) {
	t.Parallel()
	for _, code := range []automation.Code{automation.CodeHostLost, automation.CodeCutOff} {
		m := machine.New(machine.Limits{MaxLost: 4})
		if err := m.Accept("r", accepted(start()), one(automation.EffectGuarded)); err != nil {
			t.Fatal(err)
		}
		if a := cutOff(t, m, 1, false, code); a.Begun != nil {
			t.Errorf("%s: the first attempt has %+v begun before it", code, a.Begun)
		}
		if a := cutOff(t, m, 2, true, code); a.Begun != nil {
			t.Errorf("%s: nothing was begun, and attempt 2 has %+v", code, a.Begun)
		}
		for n := 3; n <= 4; n++ {
			if a := cutOff(t, m, n, n == 3, code); a.Begun == nil || a.Begun.Command != "c0ffee" || !a.Begun.At.Equal(start().Add(2*time.Second)) {
				t.Errorf("%s: attempt %d has %+v begun before it", code, n, a.Begun)
			}
		}
		if got := m.Snapshot()["r/0/0"].State; got != automation.ItemUnknown {
			t.Errorf("%s: after four times: %s, want unknown", code, got)
		}
	}
}

// TestGuardedEndsHonestly: an item whose command nobody has heard of does not end
// as if it had not begun.
func TestGuardedEndsHonestly(t *testing.T) {
	t.Parallel()
	for effect, want := range map[automation.Effect]automation.Code{
		automation.EffectGuarded: automation.CodeUnknownOutcome, automation.EffectIdempotent: automation.CodeCancelled,
	} {
		f := machine.NewFold(one(effect), automation.Run{ID: "r"})
		lost := &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeHostLost}}
		if _, err := f.Apply(automation.Entry{Seq: 1, Run: "r", Facts: []automation.Fact{
			*accepted(start()),
			{Kind: automation.FactAttemptGranted, At: start(), Attempt: 1, Host: "h", HostEpoch: 1},
			{Kind: automation.FactAttemptStarted, At: start(), Attempt: 1, Host: "h", HostEpoch: 1, CommandHash: "c0ffee"},
			{Kind: automation.FactAttemptEnded, At: start(), Attempt: 1, Host: "h", HostEpoch: 1, Outcome: lost},
			{Kind: automation.FactCancelAsked, At: start(), By: "me"},
		}}); err != nil {
			t.Fatal(err)
		}
		items := f.Items(0, 0, 1)
		if len(items) != 1 || items[0].State != automation.ItemCancelled || items[0].Outcome == nil || items[0].Outcome.Error.Code != want {
			t.Errorf("%s: got %+v, want it cancelled with %s", effect, items, want)
		}
	}
}

// TestGuardedLostWhileItEnds: contact with a guarded command is lost when its item,
// step or run is to end already: nobody finds out what became of it, and the item
// says so.
func TestGuardedLostWhileItEnds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tell  automation.Fact
		state automation.ItemState
	}{
		"the run is cancelled":  {automation.Fact{Kind: automation.FactCancelAsked, By: "me"}, automation.ItemCancelled},
		"the run's time is up":  {automation.Fact{Kind: automation.FactTimerFired, Reason: automation.TimerRun}, automation.ItemFailed},
		"the step's time is up": {automation.Fact{Kind: automation.FactTimerFired, Reason: automation.TimerStep}, automation.ItemUnknown},
		"the item's time is up": {automation.Fact{Kind: automation.FactTimerFired, Reason: automation.TimerItem}, automation.ItemUnknown},
	} {
		f := machine.NewFold(one(automation.EffectGuarded), automation.Run{ID: "r"})
		tc.tell.At = start()
		if _, err := f.Apply(automation.Entry{Seq: 1, Run: "r", Facts: []automation.Fact{
			*accepted(start()),
			{Kind: automation.FactAttemptGranted, At: start(), Attempt: 1, Host: "h", HostEpoch: 1},
			{Kind: automation.FactAttemptStarted, At: start(), Attempt: 1, Host: "h", HostEpoch: 1, CommandHash: "c0ffee"},
			tc.tell,
			{Kind: automation.FactAttemptEnded, At: start(), Attempt: 1, Host: "h", HostEpoch: 1, Outcome: &automation.Outcome{
				State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeCutOff},
			}},
		}}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		items := f.Items(0, 0, 1)
		if len(items) != 1 || items[0].State != tc.state || items[0].Outcome == nil || items[0].Outcome.Error.Code != automation.CodeUnknownOutcome {
			t.Errorf("%s: got %+v, want it %s with %s", name, items, tc.state, automation.CodeUnknownOutcome)
		}
	}
}

// TestGuardedLostInAHaltedStep: the step has stopped for its failures, so nobody finds
// out what became of the command that contact was lost with.
func TestGuardedLostInAHaltedStep(t *testing.T) {
	t.Parallel()
	s := fanOut("s", 2)
	s.Effect, s.Retry.MaxAttempts = automation.EffectGuarded, 1
	m := machine.New(machine.Limits{})
	if err := m.Accept("r", accepted(start()), listed{plain{&workflow.Plan{StopIfFailed: workflow.Amount{Count: 1}, Steps: []workflow.PlanStep{s}}}}); err != nil {
		t.Fatal(err)
	}
	m.Grant(start(), machine.Lease{Host: "h", Epoch: 1}, 10)
	d, err := m.Take()
	if err != nil || len(d.Attempts) != 2 {
		t.Fatalf("got %+v, %v; want two attempts", d.Attempts, err)
	}
	failed, lost := d.Attempts[0], d.Attempts[1]
	for _, f := range []automation.Fact{
		{Kind: automation.FactAttemptStarted, At: start(), Item: lost.Item, Attempt: 1, Host: "h", HostEpoch: 1, CommandHash: "c0ffee"},
		outcome(failed, start(), &automation.Outcome{State: automation.ItemFailed, Error: automation.Errorf(automation.CodePluginFailed, "no")}),
		outcome(lost, start(), &automation.Outcome{State: automation.ItemFailed, Error: automation.Errorf(automation.CodeCutOff, "cut")}),
	} {
		if err := m.Handle("r", f); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.Snapshot()["r/0/1"].State; got != automation.ItemUnknown {
		t.Errorf("got it %s, want unknown", got)
	}
}

// TestLossesAreNoRetries: an attempt that went down with its host, or was cut off from
// its command, does not use a retry up.
func TestLossesAreNoRetries(t *testing.T) {
	t.Parallel()
	for _, code := range []automation.Code{automation.CodeHostLost, automation.CodeCutOff} {
		p := one(automation.EffectGuarded)
		p.plan.Steps[0].Retry.MaxAttempts = 2
		m := machine.New(machine.Limits{})
		if err := m.Accept("r", accepted(start()), p); err != nil {
			t.Fatal(err)
		}
		cutOff(t, m, 1, false, code)
		cutOff(t, m, 2, false, code)
		cutOff(t, m, 3, false, automation.CodeUnreachable)
		if got := m.Snapshot()["r/0/0"].State; got != automation.ItemWaitingRetry && got != automation.ItemReady {
			t.Errorf("%s: after two losses and the first of two tries: %s, want another one to come", code, got)
		}
	}
}

// TestDidNotRunIsAnotherRound: what somebody says did not run is run under journals of
// its own, and nothing was begun before it.
func TestDidNotRunIsAnotherRound(t *testing.T) {
	t.Parallel()
	m := machine.New(machine.Limits{MaxLost: 1})
	if err := m.Accept("r", accepted(start()), one(automation.EffectGuarded)); err != nil {
		t.Fatal(err)
	}
	if a := cutOff(t, m, 1, true, automation.CodeCutOff); a.Round != 0 {
		t.Errorf("the first attempt has round %d", a.Round)
	}
	if err := m.Handle("r", with(resolve(automation.ResolutionDidNotRun, nil), start())); err != nil {
		t.Fatal(err)
	}
	if a := cutOff(t, m, 2, false, automation.CodeUnreachable); a.Round != 1 || a.Begun != nil {
		t.Errorf("got round %d, %+v begun before; want 1, nothing", a.Round, a.Begun)
	}
}

// TestGuardedSkippedIsNot: an item that waits for its next attempt when its step stops
// is not skipped: its command may have run.
func TestGuardedSkippedIsNot(t *testing.T) {
	t.Parallel()
	s := fanOut("s", 2)
	s.Effect, s.Retry.MaxAttempts = automation.EffectGuarded, 1
	f := machine.NewFold(listed{plain{&workflow.Plan{StopIfFailed: workflow.Amount{Count: 1}, Steps: []workflow.PlanStep{s}}}}, automation.Run{ID: "r"})
	granted := automation.Fact{Kind: automation.FactAttemptGranted, At: start(), Attempt: 1, Host: "h", HostEpoch: 1}
	of := func(item int, fact automation.Fact) automation.Fact { fact.Item = item; return fact }
	ended := func(code automation.Code) automation.Fact {
		e := granted
		e.Kind, e.Outcome = automation.FactAttemptEnded, &automation.Outcome{State: automation.ItemFailed, Error: automation.Errorf(code, "no")}
		return e
	}
	begun := granted
	begun.Kind, begun.CommandHash = automation.FactAttemptStarted, "c0ffee"
	if _, err := f.Apply(automation.Entry{Seq: 1, Run: "r", Facts: []automation.Fact{
		*accepted(start()), granted, of(1, granted), of(1, begun), of(1, ended(automation.CodeCutOff)), ended(automation.CodePluginFailed),
	}}); err != nil {
		t.Fatal(err)
	}
	items := f.Items(0, 1, 1)
	if len(items) != 1 || items[0].State != automation.ItemFailed || items[0].Outcome.Error.Code != automation.CodeUnknownOutcome {
		t.Errorf("got %+v, want it failed with %s", items, automation.CodeUnknownOutcome)
	}
}

// TestGuardedKnown: an item whose earlier attempt was cut off ends with what is known:
// what a later attempt, or a person, says of the command; and where nobody knows, the
// cause of the item's end comes first.
func TestGuardedKnown(t *testing.T) {
	t.Parallel()
	granted := automation.Fact{Kind: automation.FactAttemptGranted, At: start(), Attempt: 1, Host: "h", HostEpoch: 1}
	ended := func(attempt int, o automation.Outcome) automation.Fact {
		e := granted
		e.Kind, e.Attempt, e.Outcome = automation.FactAttemptEnded, attempt, &o
		return e
	}
	begun, second := granted, granted
	begun.Kind, begun.CommandHash, second.Attempt = automation.FactAttemptStarted, "c0ffee", 2
	failed := automation.Errorf(automation.CodePluginFailed, "exit code 3")
	for name, tc := range map[string]struct {
		facts   []automation.Fact
		state   automation.ItemState
		message string // the error's; "": there is none
	}{
		"a later attempt succeeds": {[]automation.Fact{second, ended(2, automation.Outcome{State: automation.ItemSucceeded})}, automation.ItemSucceeded, ""},
		"a later attempt fails":    {[]automation.Fact{second, ended(2, automation.Outcome{State: automation.ItemFailed, Error: failed})}, automation.ItemFailed, "exit code 3"},
		"a person says that it ran": {[]automation.Fact{
			second, ended(2, automation.Outcome{State: automation.ItemUnknown, Error: automation.Errorf(automation.CodeUnknownOutcome, "who knows")}),
			with(resolve(automation.ResolutionRan, &automation.Outcome{State: automation.ItemSucceeded}), start()),
		}, automation.ItemSucceeded, ""},
		"the run is cancelled": {
			[]automation.Fact{{Kind: automation.FactCancelAsked, At: start(), By: "me"}},
			automation.ItemCancelled,
			"cancelled by me: it ended before anybody found out what became of the guarded command that it had begun",
		},
	} {
		f := machine.NewFold(one(automation.EffectGuarded), automation.Run{ID: "r"})
		cut := ended(1, automation.Outcome{State: automation.ItemFailed, Error: automation.Errorf(automation.CodeCutOff, "cut")})
		facts := append([]automation.Fact{*accepted(start()), granted, begun, cut}, tc.facts...)
		if _, err := f.Apply(automation.Entry{Seq: 1, Run: "r", Facts: facts}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		items, got := f.Items(0, 0, 1), ""
		if len(items) == 1 && items[0].Outcome != nil && items[0].Outcome.Error != nil {
			got = items[0].Outcome.Error.Message
		}
		if len(items) != 1 || items[0].State != tc.state || got != tc.message {
			t.Errorf("%s: got %+v with error %q; want it %s with %q", name, items, got, tc.state, tc.message)
		}
	}
}
