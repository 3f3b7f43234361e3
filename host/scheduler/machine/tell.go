package machine

import (
	"encoding/json"
	"time"

	"opsconductor.dev/host/automation"
)

// early is an event that came before anything waited for it.
type early struct {
	name    string
	payload json.RawMessage
}

// checkTold says whether what somebody told fits the state; it changes nothing.
// Its errors are for the one who told it.
func (m *Machine) checkTold(r *run, f *automation.Fact) error {
	if f.Told == nil {
		return stale("nothing was told")
	}
	if r.state.Ended() {
		return stale("the run has ended already: %s", r.state)
	}
	if f.Kind == automation.FactEventReceived {
		return r.checkEvent(f.Told, f.At)
	}
	if f.Step < 0 || f.Step >= len(r.steps) {
		return stale("the run has no such step")
	}
	s := &r.steps[f.Step]
	if f.Kind == automation.FactDecisionGiven && !s.asks() {
		return stale("step %s is no approval", s.plan.ID)
	}
	it := r.item(f.Step, f.Item)
	if it == nil {
		return stale("step %s has no item %d yet", s.plan.ID, f.Item)
	}
	if f.Kind == automation.FactItemResolved {
		return it.checkResolution(f.Told)
	}
	return it.checkDecision(f)
}

func (r *run) checkEvent(t *automation.Told, at time.Time) error {
	switch {
	case r.stopping != "":
		return stale("the run is ending: nothing in it waits for an event any more")
	case !automation.ValidEventName(t.Event) || len(t.Payload) > automation.MaxEventPayload:
		return stale("an event whose name or payload does not fit")
	case r.listens(t.Event, at):
		return nil
	case len(r.early) >= automation.MaxKeptEvents || r.earlyBytes+len(t.Payload) > automation.MaxKeptBytes:
		return &automation.Error{
			Code: automation.CodeLimit, Message: "the run keeps as many events as it may that nothing in it has waited for yet",
			Allowed:    itoa(automation.MaxKeptEvents) + " events, " + itoa(automation.MaxKeptBytes) + " bytes",
			Suggestion: "send it again when the run waits for it",
		}
	}
	return nil
}

// listens reports whether an item waits for the event now.
func (r *run) listens(name string, at time.Time) bool {
	for _, it := range r.listening[name] {
		if it.listens(at) {
			return true
		}
	}
	return false
}

// listens reports whether the item waits for an event, and its time is not over.
func (it *item) listens(at time.Time) bool {
	return it.waitsFor(automation.WaitForEvent) && at.Before(it.due)
}

// waitsFor reports whether the item waits for something that somebody outside gives.
func (it *item) waitsFor(what automation.WaitFor) bool {
	return it.state == automation.ItemRunning && it.wait != nil && it.wait.For == what
}

// asks reports whether the step's items ask for decisions.
func (s *step) asks() bool {
	return s.plan.Scheduler && s.plan.Plugin != automation.WorkflowPlugin && s.plan.Action == actionApproval
}

func (it *item) checkDecision(f *automation.Fact) error {
	switch {
	case f.Told.Decision != automation.DecisionApprove && f.Told.Decision != automation.DecisionReject:
		return stale("a decision that is neither approve nor reject")
	case it.answer != nil:
		return stale("it was decided already: %s by %s", it.answer.Decision, it.answer.By)
	case it.state.Ended():
		return stale("nobody is asked any more: the item is %s", it.state)
	case !it.waitsFor(automation.WaitForApproval):
		return stale("nobody is asked yet: the item is %s", it.state)
	case !f.At.Before(it.due):
		return stale("the time to decide was over at %s", it.due.UTC().Format(time.RFC3339))
	}
	return nil
}

func (it *item) checkResolution(t *automation.Told) error {
	if it.state != automation.ItemUnknown {
		if a := it.answer; a != nil && a.Resolution != "" {
			return stale("it was resolved already: %s, says %s; the item is %s", a.Resolution, a.By, it.state)
		}
		return stale("only an item that is unknown can be resolved: this one is %s", it.state)
	}
	switch t.Resolution {
	case automation.ResolutionDidNotRun, automation.ResolutionAbandon:
		return nil
	case automation.ResolutionRan:
		if o := t.Outcome; o != nil && (o.State == automation.ItemSucceeded || o.State == automation.ItemFailed && o.Error != nil) {
			return nil
		}
		return stale("an item that ran has succeeded or failed")
	}
	return stale("a resolution that is none")
}

// told folds what somebody told the run.
func (m *Machine) told(r *run, f *automation.Fact) {
	if f.Kind == automation.FactEventReceived {
		r.delivered = m.receive(r, f)
		return
	}
	it := r.item(f.Step, f.Item)
	it.answer = &automation.Answer{Decision: f.Told.Decision, Resolution: f.Told.Resolution, By: f.By, Reason: f.Reason, At: f.At}
	if f.Kind == automation.FactDecisionGiven {
		m.endItem(it, decided(it, f), f.At)
		return
	}
	m.resolve(it, f)
}

// decided is the outcome of an approval.
func decided(it *item, f *automation.Fact) *automation.Outcome {
	o := &automation.Outcome{State: automation.ItemSucceeded, StartedAt: it.started, EndedAt: f.At}
	if f.Told.Decision == automation.DecisionReject {
		o.State = automation.ItemFailed
		o.Error = &automation.Error{Code: automation.CodeRejected, Message: "rejected by " + f.By + reason(f.Reason)}
		return o
	}
	o.Output, _ = json.Marshal(map[string]string{
		"approved_by": f.By, "approved_at": f.At.UTC().Format(time.RFC3339Nano), "reason": f.Reason,
	})
	return o
}

// receive gives an event to every item that waits for it now, and returns how
// many did; without any it is kept for the first one that will.
func (m *Machine) receive(r *run, f *automation.Fact) int {
	waiting := r.listening[f.Told.Event]
	delete(r.listening, f.Told.Event)
	n := 0
	for _, it := range waiting {
		if !it.listens(f.At) { // its time was up, or an item before it stopped the run
			continue
		}
		n++
		m.endItem(it, happened(it, f.Told.Payload, f.At), f.At)
	}
	if n == 0 {
		r.early = append(r.early, early{name: f.Told.Event, payload: f.Told.Payload})
		r.earlyBytes += len(f.Told.Payload)
	}
	return n
}

// takeEarly takes the oldest kept event of a name.
func (r *run) takeEarly(name string) (json.RawMessage, bool) {
	for i, k := range r.early {
		if k.name == name {
			r.early = append(r.early[:i:i], r.early[i+1:]...)
			r.earlyBytes -= len(k.payload)
			return k.payload, true
		}
	}
	return nil, false
}

// happened is the outcome of a wait for an event.
func happened(it *item, payload json.RawMessage, at time.Time) *automation.Outcome {
	if payload == nil {
		payload = json.RawMessage(`{}`)
	}
	output, _ := json.Marshal(struct {
		Event  json.RawMessage `json:"event"`
		Waited int64           `json:"waited_ms"`
	}{payload, at.Sub(it.started).Milliseconds()})
	return &automation.Outcome{State: automation.ItemSucceeded, Output: output, StartedAt: it.started, EndedAt: at}
}

// waitStarted folds the beginning of a wait: it ends at once when what it waits
// for has come already.
func (m *Machine) waitStarted(it *item, f *automation.Fact) {
	r := it.step.run
	it.granted, it.started, it.due, it.wait = f.At, f.At, f.At.Add(f.Delay), f.Wait
	m.begin(r, f.At)
	m.acquire(it)
	m.setItem(it, automation.ItemRunning, f.At)
	switch {
	case it.waitsFor(automation.WaitForEvent):
		if payload, ok := r.takeEarly(it.wait.Event); ok {
			m.endItem(it, happened(it, payload, f.At), f.At)
			return
		}
		if r.listening == nil {
			r.listening = map[string][]*item{}
		}
		r.listening[it.wait.Event] = append(r.listening[it.wait.Event], it)
	case it.waitsFor(automation.WaitForApproval):
		m.out.approvals = append(m.out.approvals, it)
	}
	m.wake(timer{at: it.due, run: r.id, step: it.step.index, item: it.index})
	m.limitItem(it, f.At)
}

// over is the outcome of a wait whose time is over.
func (it *item) over(now time.Time) *automation.Outcome {
	o := &automation.Outcome{State: automation.ItemFailed, StartedAt: it.started, EndedAt: now}
	switch {
	case it.waitsFor(automation.WaitForApproval):
		o.Error = automation.Errorf(automation.CodeExpired, "nobody decided within %s", it.due.Sub(it.started))
	case it.waitsFor(automation.WaitForEvent):
		o.Error = automation.Errorf(automation.CodeTimeout, "no event %s came within %s", it.wait.Event, it.due.Sub(it.started))
	default:
		return waited(it.started, now)
	}
	return o
}

// doubt makes an item unknown, or ends it where its run ends and nobody will be
// asked. It goes on to hold its limits: what it may have begun may still go on.
func (m *Machine) doubt(it *item, o *automation.Outcome, at time.Time) {
	it.outcome = o
	if it.step.run.stopping == "" {
		m.setItem(it, automation.ItemUnknown, at)
		return
	}
	m.release(it, at)
	m.endItem(it, it.undecided(), at)
}

// undecided is the outcome of an unknown item whose run ends.
func (it *item) undecided() *automation.Outcome {
	if it.step.run.stopping == automation.RunCancelled {
		o := abandoned(it, "the run was cancelled before anybody said whether it ran")
		o.State = automation.ItemCancelled
		return o
	}
	return abandoned(it, "the run ended before anybody said whether it ran")
}

// abandoned is the outcome of an item of which nobody will know whether it ran.
func abandoned(it *item, why string) *automation.Outcome {
	o := &automation.Outcome{State: automation.ItemFailed}
	if it.outcome != nil {
		*o = *it.outcome
		o.State, o.Output = automation.ItemFailed, nil
	}
	o.Error = &automation.Error{
		Code: automation.CodeUnknownOutcome, Phase: automation.PhaseAfter, Message: why,
		Suggestion: "look at the target before anything is run on it again",
	}
	return o
}

// resolve goes on with an unknown item by what somebody says became of it.
func (m *Machine) resolve(it *item, f *automation.Fact) {
	switch f.Told.Resolution {
	case automation.ResolutionRan:
		o := *f.Told.Outcome
		if it.outcome != nil {
			o.StartedAt, o.Usage = it.outcome.StartedAt, it.outcome.Usage
		}
		m.endItem(it, &o, f.At)
	case automation.ResolutionAbandon:
		m.endItem(it, abandoned(it, "abandoned by "+f.By+reason(f.Reason)+": it may or may not have run"), f.At)
	case automation.ResolutionDidNotRun:
		if it.late != nil {
			m.endItem(it, &automation.Outcome{State: automation.ItemFailed, Error: it.late}, f.At)
			return
		}
		it.uncounted++
		it.outcome, it.begun, it.lost, it.back = nil, nil, 0, 0
		it.round++
		m.release(it, f.At)
		m.toReady(it, f.At)
		if it.step.halted {
			m.endItem(it, &automation.Outcome{State: automation.ItemSkipped, Error: &automation.Error{
				Code: automation.CodeStepFailed, Message: "its step was stopped before it could run",
			}}, f.At)
		}
	}
}

// approval is the record of the decision that an item asked for.
func (it *item) approval() automation.Approval {
	r := it.step.run
	a := automation.Approval{
		Tenant: r.tenant, Run: r.id, StepIndex: it.step.index, Step: it.step.plan.ID, Item: it.index,
		State: automation.ApprovalCancelled, Message: it.wait.Message, Requested: it.started, Expires: it.due,
	}
	switch {
	case it.waitsFor(automation.WaitForApproval):
		a.State = automation.ApprovalPending
	case it.answer != nil:
		a.State = automation.ApprovalApproved
		if it.answer.Decision == automation.DecisionReject {
			a.State = automation.ApprovalRejected
		}
		a.By, a.Reason, a.Decided = it.answer.By, it.answer.Reason, it.answer.At
	case it.state == automation.ItemFailed:
		a.State = automation.ApprovalExpired
	}
	return a
}

// records are the approvals of items, each once.
func records(items []*item) []automation.Approval {
	var out []automation.Approval
	told := make(map[*item]bool, len(items))
	for _, it := range items {
		if told[it] || it.step.run.plan == nil { // a run that was rejected has nothing left
			continue
		}
		told[it] = true
		out = append(out, it.approval())
	}
	return out
}
