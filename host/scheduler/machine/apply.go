package machine

import (
	"time"

	"opsconductor.dev/host/automation"
)

// check says whether a fact fits the state; it changes nothing.
func (m *Machine) check(r *run, f *automation.Fact) error {
	switch f.Kind {
	case automation.FactCancelAsked:
		if r.state.Ended() {
			return stale("run %s has ended", r.id)
		}
		return nil
	case automation.FactTimerFired:
		return r.checkTimer(f)
	case automation.FactPauseAsked, automation.FactResumeAsked:
		if r.state.Ended() || r.stopping != "" || (r.state == automation.RunPaused) == (f.Kind == automation.FactPauseAsked) {
			return stale("run %s is %s", r.id, r.state)
		}
		return nil
	case automation.FactDecisionGiven, automation.FactEventReceived, automation.FactItemResolved:
		return m.checkTold(r, f)
	case automation.FactAttemptGranted, automation.FactAttemptStarted, automation.FactAttemptEnded,
		automation.FactItemEnded, automation.FactWaitStarted, automation.FactChildStarted, automation.FactChildEnded:
	case automation.FactRunAccepted:
		return stale("run %s is accepted already", r.id)
	default:
		return stale("a fact of kind %q", f.Kind)
	}
	it := r.item(f.Step, f.Item)
	if it == nil {
		return stale("run %s has no step %d with an item %d", r.id, f.Step, f.Item)
	}
	return it.check(f)
}

func (it *item) check(f *automation.Fact) error {
	switch f.Kind {
	case automation.FactAttemptGranted:
		if it.state.Ended() || it.holds() || it.state == automation.ItemBlocked {
			return stale("an item that is %s can't be granted", it.state)
		}
		if f.Attempt != it.attempt+1 {
			return stale("attempt %d granted after attempt %d", f.Attempt, it.attempt)
		}
	case automation.FactAttemptStarted, automation.FactAttemptEnded:
		if !it.state.Open() || it.step.plan.Scheduler {
			return stale("an item that is %s has no attempt that could start or end", it.state)
		}
		if f.Attempt != it.attempt || f.Host != it.host || f.HostEpoch != it.epoch {
			return stale("attempt %d of host %s at epoch %d is not the latest", f.Attempt, f.Host, f.HostEpoch)
		}
		if f.Kind == automation.FactAttemptStarted && it.intent {
			return stale("attempt %d has started already", f.Attempt)
		}
		if f.Kind == automation.FactAttemptEnded && f.Outcome == nil {
			return stale("an end without an outcome")
		}
	case automation.FactChildStarted:
		if it.state.Ended() || it.state.Open() || it.state == automation.ItemBlocked || f.Attempt != it.attempt+1 || f.Child == "" {
			return stale("an item that is %s can't be given to a run as attempt %d", it.state, f.Attempt)
		}
	case automation.FactChildEnded:
		if it.state != automation.ItemRunning || it.child != f.Child || f.Attempt != it.attempt || f.Outcome == nil {
			return stale("run %s does not carry out the item", f.Child)
		}
	case automation.FactWaitStarted:
		if it.state != automation.ItemReady {
			return stale("an item that is %s can't begin to wait", it.state)
		}
	case automation.FactItemEnded:
		if it.state.Ended() || it.holds() && !it.step.plan.Scheduler || f.Outcome == nil {
			return stale("an item that is %s can't be ended by the scheduler", it.state)
		}
	case automation.FactRunAccepted, automation.FactCancelAsked, automation.FactTimerFired, automation.FactPauseAsked, automation.FactResumeAsked,
		automation.FactDecisionGiven, automation.FactEventReceived, automation.FactItemResolved:
	}
	return nil
}

// fold changes the state by a fact. It does not look at limits: a grant that was
// committed happened.
func (m *Machine) fold(r *run, f *automation.Fact) error {
	if err := m.check(r, f); err != nil {
		return err
	}
	switch f.Kind {
	case automation.FactAttemptGranted:
		m.granted(r.item(f.Step, f.Item), f)
	case automation.FactAttemptStarted:
		it := r.item(f.Step, f.Item)
		it.intent, it.started, it.command = true, f.At, f.CommandHash
		m.setItem(it, automation.ItemRunning, f.At)
	case automation.FactAttemptEnded:
		m.attemptEnded(r.item(f.Step, f.Item), f)
	case automation.FactWaitStarted:
		m.waitStarted(r.item(f.Step, f.Item), f)
	case automation.FactItemEnded:
		m.endItem(r.item(f.Step, f.Item), f.Outcome, f.At)
	case automation.FactChildStarted:
		m.childStarted(r.item(f.Step, f.Item), f)
	case automation.FactChildEnded:
		m.childEnded(r.item(f.Step, f.Item), f)
	case automation.FactDecisionGiven, automation.FactEventReceived, automation.FactItemResolved:
		m.told(r, f)
	case automation.FactCancelAsked:
		m.stop(r, automation.RunCancelled, &automation.Error{
			Code: automation.CodeCancelled, Message: "cancelled by " + f.By + reason(f.Reason),
		}, f.At)
	case automation.FactPauseAsked:
		m.pause(r, f.At)
	case automation.FactResumeAsked:
		m.resume(r, f.At)
	case automation.FactTimerFired:
		m.timeUp(r, f)
	case automation.FactRunAccepted:
	}
	m.settle(r, f.At)
	return nil
}

func reason(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

func (m *Machine) granted(it *item, f *automation.Fact) {
	r := it.step.run
	m.begin(r, f.At)
	if it.state != automation.ItemReady { // a backoff that the grant shows to be over
		m.setItem(it, automation.ItemReady, f.At)
	}
	it.attempt, it.host, it.epoch = f.Attempt, f.Host, f.HostEpoch
	it.granted, it.started, it.intent, it.cancel = f.At, time.Time{}, false, false
	m.acquire(it)
	if f.Attempt == 1 {
		m.limitItem(it, f.At)
	}
	m.goesOut(it)
	m.setItem(it, automation.ItemLeased, f.At)
}

// begin marks the run as running at its first grant or wait.
func (m *Machine) begin(r *run, at time.Time) {
	if r.state != automation.RunQueued {
		return
	}
	r.started = at
	m.setRun(r, automation.RunRunning, at)
}

func (m *Machine) attemptEnded(it *item, f *automation.Fact) {
	m.comesIn(it)
	o := f.Outcome
	if o.State == automation.ItemUnknown {
		m.doubt(it, o, f.At)
		return
	}
	if o.State == automation.ItemFailed && o.Error != nil && wentDown(o.Error.Code) {
		m.lost(it, o, f.At)
		return
	}
	m.release(it, f.At)
	if it.late != nil {
		m.endItem(it, it.lateOutcome(o), f.At)
		return
	}
	again, o := it.again(o)
	if again {
		m.waitForRetry(it, o, f.At)
		return
	}
	m.endItem(it, o, f.At)
}

// wentDown reports whether an attempt ended for a cause that is not its own.
func wentDown(c automation.Code) bool {
	return c == automation.CodeHostLost || c == automation.CodeReturned || c == automation.CodeCutOff
}

// lost handles an attempt that went down with its host, that its host gave back, or
// that was cut off from its guarded command. It may have acted and must not again:
// unknown. Otherwise it is granted again at once, outside the retries, unless it
// keeps taking its hosts down. What is guarded may always be: the next attempt finds
// what this one began.
func (m *Machine) lost(it *item, o *automation.Outcome, at time.Time) {
	it.lost++
	if o.Error.Code == automation.CodeReturned {
		it.back++
	}
	it.open()
	if it.acted() && it.begun == nil || it.begun != nil && (it.late != nil || it.step.run.stopping != "" || it.step.halted || it.lost-it.back >= m.limits.MaxLost) {
		m.doubt(it, unknown(it, o), at)
		return
	}
	it.uncounted++
	m.release(it, at)
	switch {
	case it.late != nil:
		m.endItem(it, &automation.Outcome{State: automation.ItemFailed, Error: it.late}, at)
	case it.step.run.stopping != "":
		m.endItem(it, &automation.Outcome{State: automation.ItemCancelled, Error: it.step.run.err}, at)
	case it.lost-it.back >= m.limits.MaxLost:
		m.endItem(it, &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{
			Code: automation.CodeHostLost, Message: "its host was lost " + itoa(it.lost-it.back) + " times while it ran: it may be what takes hosts down",
		}}, at)
	default:
		if it.state == automation.ItemRunning { // by the table a running item goes on through waiting_retry
			m.setItem(it, automation.ItemWaitingRetry, at)
		}
		m.toReady(it, at)
		if it.step.halted {
			m.endItem(it, &automation.Outcome{State: automation.ItemSkipped, Error: o.Error}, at)
		}
	}
}

// open notes what the latest attempt of a guarded item may have begun.
func (it *item) open() {
	if it.step.plan.Effect == automation.EffectGuarded && it.intent && it.begun == nil {
		it.begun = &automation.Begun{At: it.started, Command: it.command}
	}
}

func unknown(it *item, o *automation.Outcome) *automation.Outcome {
	u := *o
	u.State = automation.ItemUnknown
	u.Error = &automation.Error{
		Code: automation.CodeUnknownOutcome, Phase: automation.PhaseAfter,
		Message:    "the host was lost after attempt " + itoa(it.attempt) + " had begun to act: it may or may not have run",
		Suggestion: "look at the target, then resolve the item: it ran, it did not run, or abandon it; an action that may run twice can be given effect: idempotent",
	}
	if it.begun != nil {
		u.Error.Message = "contact with its guarded command was lost " + itoa(it.lost-it.back) + " times (" + o.Error.Message + "): it may or may not have run, and may be at work"
	}
	return &u
}
