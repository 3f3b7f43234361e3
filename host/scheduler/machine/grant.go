package machine

import (
	"encoding/json"
	"time"

	"opsconductor.dev/host/automation"
)

// limit is a bound on what runs at the same time, and the items parked on it.
type limit struct {
	max, used int
	name      string
	parked    []*item // may hold items that are not parked here any more
}

// next returns the oldest item that is still parked here, taking it off.
func (l *limit) next() *item {
	for len(l.parked) > 0 {
		it := l.parked[0]
		l.parked[0] = nil
		l.parked = l.parked[1:]
		if it.state == automation.ItemParked && it.parked == l {
			return it
		}
	}
	return nil
}

// ring holds the runs that have ready items, so that each gets its turn.
type ring struct{ runs []*run }

func (q *ring) add(r *run) {
	if !r.inRing {
		r.inRing = true
		q.runs = append(q.runs, r)
	}
}

// pop takes the next ready item of the next run and puts the run at the end.
func (q *ring) pop() *item {
	for len(q.runs) > 0 {
		r := q.runs[0]
		q.runs[0] = nil
		q.runs = q.runs[1:]
		r.inRing = false
		if r.state == automation.RunPaused {
			continue // resume puts it back
		}
		for len(r.ready) > 0 {
			it := r.ready[0]
			r.ready[0] = nil
			r.ready = r.ready[1:]
			if !it.queued {
				continue
			}
			it.queued = false
			if it.state != automation.ItemReady {
				continue
			}
			if len(r.ready) > 0 {
				q.add(r)
			}
			return it
		}
	}
	return nil
}

// Lease says to whom Grant gives attempts.
type Lease struct {
	Host  automation.HostID
	Epoch int64
}

// Grant begins the waits that are ready and gives ready items to a host, at most
// slots of them. The attempts are in Take's answer.
func (m *Machine) Grant(now time.Time, to Lease, slots int) {
	m.beginWaits(now, to)
	for slots > 0 {
		it := m.ring.pop()
		if it == nil {
			return
		}
		if m.try(it, now, to) {
			slots--
		}
		m.beginWaits(now, to) // an item that could not start may have let a wait be next
	}
}

// beginWaits begins the waits that are ready; those of paused runs are put aside.
func (m *Machine) beginWaits(now time.Time, to Lease) {
	for len(m.waits) > 0 {
		it := m.waits[0]
		m.waits = m.waits[1:]
		it.queued = false
		switch {
		case it.state != automation.ItemReady:
		case it.step.run.state == automation.RunPaused:
			it.queued = true
			it.step.run.waits = append(it.step.run.waits, it)
		default:
			m.try(it, now, to)
		}
	}
}

// try starts an item unless a limit blocks it, and reports whether it did.
func (m *Machine) try(it *item, now time.Time, to Lease) bool {
	if l := m.blocking(it); l != nil {
		m.park(it, l, now)
		return false
	}
	return m.start(it, now, to)
}

// start grants an item, or carries it out where that is the scheduler's part, and
// reports whether it granted it; an item whose input can't be evaluated ends here.
func (m *Machine) start(it *item, now time.Time, to Lease) bool {
	r, s := it.step.run, it.step
	f := automation.Fact{At: now, Step: s.index, Item: it.index}
	input, err := r.program.Input(s.index, r.scope, it.element)
	if err == nil && s.plan.Scheduler {
		err = carryOut(s.plan.Action, input, &f)
	}
	if err != nil {
		f.Kind = automation.FactItemEnded
		f.Outcome = &automation.Outcome{State: automation.ItemFailed, Error: automation.AsError(err)}
	}
	if f.Kind != "" {
		m.mustHandle(r, f)
		return false
	}
	f.Kind, f.Attempt, f.Host, f.HostEpoch = automation.FactAttemptGranted, it.attempt+1, to.Host, to.Epoch
	if !s.plan.Constant {
		f.Input = input
	}
	m.mustHandle(r, f)
	m.out.attempts = append(m.out.attempts, m.attempt(it, input, to))
	return true
}

// mustHandle records a fact that the machine itself made from its own state.
func (m *Machine) mustHandle(r *run, f automation.Fact) {
	if err := m.Handle(r.id, f); err != nil {
		m.out.fault = err
	}
}

func (m *Machine) attempt(it *item, input json.RawMessage, to Lease) automation.Attempt {
	r, p := it.step.run, it.step.plan
	return automation.Attempt{
		AttemptKey: it.key(), Tenant: r.tenant, Workflow: r.plan.Workflow, StepID: p.ID,
		Plugin: p.Plugin, Action: p.Action, Digest: p.Digest, Effect: p.Effect,
		Input: input, Target: it.element.Target, Timeout: p.Timeout, Host: to.Host, HostEpoch: to.Epoch,
	}
}

func (it *item) key() automation.AttemptKey {
	return automation.AttemptKey{Run: it.step.run.id, Step: it.step.index, Item: it.index, Attempt: it.attempt}
}

// each calls fn with every limit that the item counts against.
func (m *Machine) each(it *item, fn func(*limit) bool) {
	if it.step.limit != nil && !fn(it.step.limit) {
		return
	}
	if t := it.element.Target; t != nil && m.limits.PerTarget > 0 && !it.step.plan.Scheduler {
		fn(m.target(t))
	}
}

func (m *Machine) target(t *automation.Target) *limit {
	l := m.targets[t.ID]
	if l == nil {
		l = &limit{max: m.limits.PerTarget, name: "asset " + t.Name}
		m.targets[t.ID] = l
	}
	return l
}

// blocking returns the first limit that has no room for the item.
func (m *Machine) blocking(it *item) (full *limit) {
	m.each(it, func(l *limit) bool {
		if l.used >= l.max {
			full = l
		}
		return full == nil
	})
	return full
}

func (m *Machine) acquire(it *item) {
	m.each(it, func(l *limit) bool { l.used++; return true })
}

// release frees the item's limits and wakes one item for each.
func (m *Machine) release(it *item, at time.Time) {
	m.each(it, func(l *limit) bool { l.used--; return true })
	m.wake(it, at)
}

// wake makes one item ready for each of the item's limits that has room, and
// forgets a target that nothing counts against. It is called when an item frees
// its limits, and when one ends that may have been woken to use them.
func (m *Machine) wake(it *item, at time.Time) {
	m.each(it, func(l *limit) bool {
		if l.used < l.max {
			if next := l.next(); next != nil {
				m.toReady(next, at)
			}
		}
		return true
	})
	if t := it.element.Target; t != nil {
		if l := m.targets[t.ID]; l != nil && l.used == 0 && len(l.parked) == 0 {
			delete(m.targets, t.ID)
		}
	}
}

// park puts an item aside until the limit has room. Its other limits may have
// room that it was woken to use: somebody else may.
func (m *Machine) park(it *item, l *limit, now time.Time) {
	it.parked = l
	m.setItem(it, automation.ItemParked, now)
	l.parked = append(l.parked, it)
	m.each(it, func(other *limit) bool {
		if other != l && other.used < other.max {
			if next := other.next(); next != nil {
				m.toReady(next, now)
			}
		}
		return true
	})
}
