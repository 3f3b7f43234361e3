package machine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// bench is a machine with one run, and what it has recorded.
type bench struct {
	t *testing.T
	m *machine.Machine
	// last is the run's latest record; approvals what was recorded of decisions.
	last      automation.RunUpdate
	approvals []automation.Approval
	facts     []automation.Fact // of the run
	program   machine.Program
}

// loops is a program whose steps have as many items as their for_each's list, and
// whose inputs are the steps' own.
type loops struct{ plain }

func (p loops) Elements(step int, _ *workflow.Scope) ([]workflow.Element, error) {
	s := p.plan.Steps[step]
	if s.ForEach == nil {
		return []workflow.Element{{Target: target(p.plan)}}, nil
	}
	out := make([]workflow.Element, len(s.ForEach.List))
	for i := range out {
		out[i].Index = i
	}
	return out, nil
}

func target(p *workflow.Plan) *automation.Target {
	if len(p.Targets) == 0 {
		return nil
	}
	return &p.Targets[0]
}

func (p loops) Input(step int, _ *workflow.Scope, _ workflow.Element) (json.RawMessage, error) {
	return p.plan.Steps[step].With, nil
}

func asks(id, action, with string, items int) workflow.PlanStep {
	s := workflow.PlanStep{ID: id, Action: action, Scheduler: true, With: json.RawMessage(with)}
	if items > 0 {
		s.ForEach = &workflow.PlanForEach{List: make([]json.RawMessage, items)}
	}
	return s
}

func once(id string) workflow.PlanStep {
	return workflow.PlanStep{ID: id, Effect: automation.EffectOnce, Retry: workflow.Retry{MaxAttempts: 1}, Timeout: time.Minute}
}

func newBench(t *testing.T, limits machine.Limits, steps ...workflow.PlanStep) *bench {
	t.Helper()
	b := &bench{t: t, m: machine.New(limits)}
	b.accept("r", steps...)
	b.turn(start())
	return b
}

func (b *bench) accept(id automation.RunID, steps ...workflow.PlanStep) {
	b.t.Helper()
	plan := &workflow.Plan{Workflow: "w", Timeout: 10 * time.Hour, Steps: steps, Targets: []automation.Target{{ID: "a", Name: "web-1"}}}
	if b.program == nil {
		b.program = loops{plain{plan}}
	}
	if err := b.m.Accept(id, &automation.Fact{At: start(), By: "me", Tenant: "default"}, loops{plain{plan}}); err != nil {
		b.t.Fatal(err)
	}
}

// turn advances, grants and takes what was decided; it returns the attempts.
func (b *bench) turn(now time.Time) []automation.Attempt {
	b.t.Helper()
	b.m.Advance(now)
	b.m.Grant(now, machine.Lease{Host: "h", Epoch: 1}, 10)
	d, err := b.m.Take()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, u := range d.Runs {
		if u.Run == "r" {
			b.last = u
		}
	}
	for _, e := range d.Entries {
		if e.Run == "r" {
			b.facts = append(b.facts, e.Facts...)
		}
	}
	b.approvals = append(b.approvals, d.Approvals...)
	if fault := b.m.Fault(now, true); fault != "" {
		b.t.Fatal(fault)
	}
	return d.Attempts
}

func (b *bench) item(key string) machine.Item { return b.m.Snapshot()[key] }

// view is the run's first item as the fold of what was recorded has it.
func (b *bench) view() machine.ItemView {
	b.t.Helper()
	f := machine.NewFold(b.program, automation.Run{ID: "r"})
	facts := append([]automation.Fact{{Kind: automation.FactRunAccepted, At: start(), By: "me", Tenant: "default"}}, b.facts...)
	if _, err := f.Apply(automation.Entry{Run: "r", Facts: facts}); err != nil {
		b.t.Fatal(err)
	}
	return f.Items(0, 0, 1)[0]
}

func (b *bench) tell(now time.Time, f automation.Fact) error {
	b.t.Helper()
	f.At, f.By = now, "ann"
	err := b.m.Handle("r", f)
	b.turn(now)
	return err
}

func decide(d automation.Decision, item int) automation.Fact {
	return automation.Fact{Kind: automation.FactDecisionGiven, Item: item, Reason: "looks good", Told: &automation.Told{Decision: d}}
}

func event(name, payload string) automation.Fact {
	return automation.Fact{Kind: automation.FactEventReceived, Told: &automation.Told{Event: name, Payload: json.RawMessage(payload)}}
}

func resolve(r automation.Resolution, o *automation.Outcome) automation.Fact {
	return automation.Fact{Kind: automation.FactItemResolved, Reason: "saw it", Told: &automation.Told{Resolution: r, Outcome: o}}
}

// doubtful makes the one attempt of the run's first step unknown.
func (b *bench) doubtful(now time.Time) {
	b.t.Helper()
	b.m.Attempts(func(k automation.AttemptKey, host automation.HostID, epoch int64) {
		if k.Run != "r" {
			return
		}
		f := automation.Fact{
			Kind: automation.FactAttemptEnded, At: now, Step: k.Step, Item: k.Item, Attempt: k.Attempt, Host: host, HostEpoch: epoch,
			Outcome: &automation.Outcome{State: automation.ItemUnknown, Error: &automation.Error{Code: automation.CodeUnknownOutcome, Message: "who knows"}},
		}
		if err := b.m.Handle(k.Run, f); err != nil {
			b.t.Fatal(err)
		}
	})
	b.turn(now)
}

func (b *bench) want(state automation.RunState, text string) {
	b.t.Helper()
	message := ""
	if b.last.Error != nil {
		message = b.last.Error.Message
	}
	if b.last.State != state || !strings.Contains(message, text) {
		b.t.Errorf("got run %s, %q; want %s, %q", b.last.State, message, state, text)
	}
}

func TestApproval(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	for name, c := range map[string]struct {
		decisions []automation.Decision
		after     time.Duration
		want      automation.RunState
		message   string
		record    automation.ApprovalState
	}{
		"approved":      {[]automation.Decision{"approve"}, hour, automation.RunSucceeded, "", automation.ApprovalApproved},
		"rejected":      {[]automation.Decision{"reject"}, hour, automation.RunFailed, "rejected by ann: looks good", automation.ApprovalRejected},
		"decided twice": {[]automation.Decision{"approve", "reject"}, hour, automation.RunSucceeded, "", automation.ApprovalApproved},
		"too late":      {[]automation.Decision{"approve"}, 2 * hour, automation.RunFailed, "nobody decided within 2h0m0s", automation.ApprovalExpired},
		"nobody":        {nil, 2 * hour, automation.RunFailed, "nobody decided within 2h0m0s", automation.ApprovalExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, machine.Limits{}, asks("ask", "approval", `{"message":"go?","expires":"2h"}`, 0))
			b.want(automation.RunRunning, "")
			for i, d := range c.decisions {
				err := b.m.Handle("r", with(decide(d, 0), start().Add(c.after)))
				if refused := i > 0 || c.record == automation.ApprovalExpired; (err != nil) != refused {
					t.Errorf("decision %d: got %v, want it refused: %v", i, err, refused)
				}
			}
			b.turn(start().Add(c.after))
			b.want(c.want, c.message)
			if len(b.approvals) != 2 || b.approvals[0].State != automation.ApprovalPending || b.approvals[1].State != c.record {
				t.Fatalf("got records %+v, want pending and then %s", b.approvals, c.record)
			}
			got := b.approvals[1]
			if got.Message != "go?" || got.Requested != start() || got.Expires != start().Add(2*hour) || got.Step != "ask" || got.Tenant != "default" {
				t.Errorf("got %+v", got)
			}
			if decided := c.record != automation.ApprovalExpired; decided != (got.By == "ann" && got.Reason == "looks good" && got.Decided.Equal(start().Add(c.after))) {
				t.Errorf("got %+v, want who decided, why and when: %v", got, decided)
			}
		})
	}
}

func with(f automation.Fact, at time.Time) automation.Fact {
	f.At, f.By = at, "ann"
	return f
}

// TestApprovalOfEach: the items of a fan-out are decided one by one.
func TestApprovalOfEach(t *testing.T) {
	t.Parallel()
	b := newBench(t, machine.Limits{}, asks("ask", "approval", `{"message":"go?"}`, 3))
	for i, d := range []automation.Decision{"approve", "reject", "approve"} {
		if err := b.tell(start(), decide(d, i)); err != nil {
			t.Fatal(err)
		}
	}
	b.want(automation.RunFailed, "step ask failed on 1 of 3 items, first #1: rejected by ann")
}

func TestRefusedTelling(t *testing.T) {
	t.Parallel()
	b := newBench(t, machine.Limits{},
		asks("ask", "approval", `{"message":"go?","expires":"1h"}`, 0), asks("wait", "wait", `{"duration":"5h"}`, 0),
		asks("later", "approval", `{"message":"and now?"}`, 0))
	if err := b.tell(start(), decide("approve", 0)); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", automation.MaxEventName+1)
	for name, c := range map[string]struct {
		fact automation.Fact
		want string
	}{
		"decided":               {decide("reject", 0), "it was decided already: approve by ann"},
		"no such item":          {decide("approve", 1), "step ask has no item 1 yet"},
		"no such step":          {automation.Fact{Kind: automation.FactDecisionGiven, Step: 9, Told: &automation.Told{Decision: "approve"}}, "no such step"},
		"no approval":           {automation.Fact{Kind: automation.FactDecisionGiven, Step: 1, Told: &automation.Told{Decision: "approve"}}, "step wait is no approval"},
		"no decision":           {automation.Fact{Kind: automation.FactDecisionGiven, Step: 2, Told: &automation.Told{}}, "neither approve nor reject"},
		"nothing":               {automation.Fact{Kind: automation.FactDecisionGiven}, "nothing was told"},
		"not unknown":           {resolve(automation.ResolutionAbandon, nil), "only an item that is unknown can be resolved: this one is succeeded"},
		"an event without name": {event("", `{}`), "does not fit"},
		"a long name":           {event(long, `{}`), "does not fit"},
		"a long payload":        {event("x", `"`+strings.Repeat("x", automation.MaxEventPayload)+`"`), "does not fit"},
	} {
		before := b.m.Snapshot()
		err := b.tell(start(), c.fact)
		if automation.CodeOf(err) != automation.CodeConflict || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a conflict that says %q", name, err, c.want)
		}
		if after := b.m.Snapshot(); after["r/0/0"] != before["r/0/0"] {
			t.Errorf("%s: it changed the state", name)
		}
	}
	if err := b.m.Handle("r", automation.Fact{Kind: automation.FactCancelAsked, At: start(), By: "ann"}); err != nil {
		t.Fatal(err)
	}
	if err := b.tell(start(), decide("approve", 0)); err == nil {
		t.Error("a run that has ended was told something")
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t, machine.Limits{}, asks("each", "wait", `{"event":"go","timeout":"1h"}`, 2), asks("own", "wait", `{"event":"other"}`, 0))
	if err := b.tell(start().Add(time.Minute), event("go", `{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	if a, o := b.item("r/0/0"), b.item("r/1/0"); a.State != automation.ItemSucceeded || b.item("r/0/1").State != automation.ItemSucceeded || o.State != automation.ItemRunning {
		t.Errorf("got %s, %s, %s; want both that wait for it to have it, and no other", a.State, b.item("r/0/1").State, o.State)
	}
	if err := b.tell(start().Add(time.Minute), event("other", ``)); err != nil {
		t.Fatal(err)
	}
	b.want(automation.RunSucceeded, "")
}

// TestEventsKept: an event that nothing waits for is kept for one item that will,
// the oldest first; as many as may be.
func TestEventsKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, machine.Limits{}, asks("first", "wait", `{"duration":"1m"}`, 0), needing(asks("two", "wait", `{"event":"go","timeout":"1h"}`, 2), 0))
	for n := range automation.MaxKeptEvents {
		name := "go"
		if n > 0 {
			name = "nobody"
		}
		if err := b.tell(start(), event(name, `{"n":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.tell(start(), event("go", `{"n":2}`)); automation.CodeOf(err) != automation.CodeLimit {
		t.Errorf("one more than may be kept: got %v, want limit", err)
	}
	b.turn(start().Add(time.Minute))
	if a, o := b.item("r/1/0"), b.item("r/1/1"); a.State != automation.ItemSucceeded || o.State != automation.ItemRunning {
		t.Errorf("got %s and %s; want the first to have the kept event, and the other to wait", a.State, o.State)
	}
	if err := b.tell(start().Add(61*time.Minute), event("go", `{"n":3}`)); err != nil { // its time is over at this moment
		t.Error(err)
	}
	b.want(automation.RunFailed, "no event go came within 1h0m0s")
}

// TestEventsKeptBytes bounds what is kept in bytes.
func TestEventsKeptBytes(t *testing.T) {
	t.Parallel()
	b := newBench(t, machine.Limits{}, asks("first", "wait", `{"duration":"1m"}`, 0))
	full := `"` + strings.Repeat("x", automation.MaxEventPayload-2) + `"`
	for range automation.MaxKeptBytes / automation.MaxEventPayload {
		if err := b.tell(start(), event("big", full)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.tell(start(), event("big", `{}`)); automation.CodeOf(err) != automation.CodeLimit {
		t.Errorf("got %v, want limit", err)
	}
}

func needing(s workflow.PlanStep, needs ...int) workflow.PlanStep {
	s.Needs = needs
	return s
}
