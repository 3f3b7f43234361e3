package machine

import (
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// limitStep starts a step's time: it opens now.
func (m *Machine) limitStep(s *step, at time.Time) {
	if d := s.plan.StepTimeout; d > 0 {
		m.wake(timer{at: at.Add(d), run: s.run.id, step: s.index, deadline: automation.TimerStep})
	}
}

// limitItem starts an item's time: it is granted, or begins to wait, for the first
// time. What it waited for a limit before that is not its own time.
func (m *Machine) limitItem(it *item, at time.Time) {
	if d := it.step.plan.ItemTimeout; d > 0 {
		m.wake(timer{at: at.Add(d), run: it.step.run.id, step: it.step.index, item: it.index, deadline: automation.TimerItem})
	}
}

// fireDeadline records that a deadline has passed, unless what it bounds has ended
// or is being stopped already.
func (m *Machine) fireDeadline(r *run, t timer, now time.Time) {
	f := automation.Fact{Kind: automation.FactTimerFired, At: now, Reason: t.deadline, Step: t.step, Item: t.item}
	if r.stopping == "" && r.checkTimer(&f) == nil {
		m.mustHandle(r, f)
	}
}

// checkTimer says whether a deadline that passed still bounds something.
func (r *run) checkTimer(f *automation.Fact) error {
	if r.state.Ended() {
		return stale("run %s has ended", r.id)
	}
	switch f.Reason {
	case automation.TimerStep:
		if f.Step < 0 || f.Step >= len(r.steps) || r.steps[f.Step].items == nil {
			return stale("run %s has no step %d that is open", r.id, f.Step)
		}
		if s := &r.steps[f.Step]; s.state.Ended() || s.late != nil {
			return stale("the time of a step that is %s", s.state)
		}
	case automation.TimerItem:
		it := r.item(f.Step, f.Item)
		if it == nil {
			return stale("run %s has no step %d with an item %d", r.id, f.Step, f.Item)
		}
		if it.state.Ended() || it.late != nil {
			return stale("the time of an item that is %s", it.state)
		}
	}
	return nil
}

// timeUp draws the consequences of a deadline that has passed.
func (m *Machine) timeUp(r *run, f *automation.Fact) {
	switch f.Reason {
	case automation.TimerStep:
		s := &r.steps[f.Step]
		s.halted = true
		s.late = tooLong("the step", "step_timeout", s.plan.StepTimeout)
		for i := range s.items {
			m.stopLate(&s.items[i], s.late, f.At)
		}
	case automation.TimerItem:
		it := r.item(f.Step, f.Item)
		m.stopLate(it, tooLong("the item", "item_timeout", it.step.plan.ItemTimeout), f.At)
	default:
		m.stop(r, automation.RunFailed, tooLong("the run", "timeout", r.timeout), f.At)
	}
}

func tooLong(what, field string, d time.Duration) *automation.Error {
	return automation.Errorf(automation.CodeTimeout, "%s took longer than its %s of %s", what, field, d)
}

// stopLate fails an item whose time is up; one that is out on a host is told to
// stop, and ends with what comes back.
func (m *Machine) stopLate(it *item, why *automation.Error, at time.Time) {
	switch {
	case it.state.Ended():
	case it.child != "" && it.state == automation.ItemRunning:
		if it.late == nil && !it.cancel {
			it.late, it.cancel = why, true
			m.children.asked = append(m.children.asked, asking{it.child, automation.Fact{
				Kind: automation.FactCancelAsked, At: at, By: "run " + string(it.step.run.id), Reason: why.Message,
			}})
		}
	case it.state == automation.ItemUnknown: // there is nothing to stop: it waits for somebody to say what happened
		if it.late == nil {
			it.late = why
		}
	case it.state.Open() && !it.step.plan.Scheduler:
		if it.late == nil {
			it.late = why
		}
		if !it.cancel {
			it.cancel = true
			m.out.cancel(it, why)
		}
	default:
		m.endItem(it, &automation.Outcome{State: automation.ItemFailed, Error: it.lateError(why)}, at)
	}
}

// lateError is the error of an item that failed because its time was up while
// it was not at work: after a failed attempt it says what that one came to.
func (it *item) lateError(why *automation.Error) *automation.Error {
	if it.outcome == nil || it.outcome.Error == nil {
		return why
	}
	e := *why
	e.Message += "; its last attempt: " + it.outcome.Error.Message
	e.Suggestion = it.outcome.Error.Suggestion
	return &e
}

// lateOutcome is what becomes of an attempt's outcome that comes back after its
// item's time: cancelled is the time's failure; what had happened before the
// attempt was told to stop stays, and is not tried again.
func (it *item) lateOutcome(o *automation.Outcome) *automation.Outcome {
	if o.Error == nil || o.State != automation.ItemCancelled && !automation.Retryable(o.Error) {
		return o
	}
	out, e := *o, *o.Error
	if o.State == automation.ItemCancelled {
		e = *it.late
		e.Phase = o.Error.Phase
		if strings.Contains(o.Error.Message, e.Message) { // and what was being done then
			e.Message = o.Error.Message
		}
		out.State = automation.ItemFailed
	} else {
		e.Message += "; not tried again: " + it.late.Message
	}
	out.Error = &e
	return &out
}
