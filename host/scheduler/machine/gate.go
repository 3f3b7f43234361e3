package machine

import (
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// Calendar says when assets are closed by their maintenance windows.
// *calendar.Calendar implements it.
type Calendar interface {
	// Closed reports whether an attempt with the effect must not start on the target
	// now, and what keeps it.
	Closed(tenant automation.TenantID, t *automation.Target, effect automation.Effect, now time.Time) (automation.Closure, bool)
}

// limitWindow is the kind of an item's gate, of which there are no rules.
const limitWindow automation.LimitKind = "window"

// gate is the maintenance windows of one item's target: a limit that has room for
// any number, or for none.
type gate struct {
	calendar Calendar
	tenant   automation.TenantID
	target   *automation.Target
	effect   automation.Effect
}

func (g *gate) closed(now time.Time) (automation.Closure, bool) {
	return g.calendar.Closed(g.tenant, g.target, g.effect, now)
}

// SetCalendar replaces the maintenance windows; nil: there are none. What waits is
// looked at again.
func (m *Machine) SetCalendar(c Calendar, now time.Time) {
	if c == nil && m.calendar == nil {
		return
	}
	m.calendar = c
	m.SetLimits(m.limits, now)
}

// own returns the limits of an item's target alone: its gate, and the asset's.
func (m *Machine) own(it *item, t *automation.Target) []*limit {
	if it.alone != nil {
		return it.alone.limits
	}
	var out []*limit
	if m.calendar != nil {
		out = append(out, &limit{
			counter: counter{limitWindow, it.step.run.tenant, string(t.ID)}, match: t.Name,
			gate: &gate{m.calendar, it.step.run.tenant, t, it.step.plan.Effect},
		})
	}
	if l := m.asset(t); l != nil {
		out = append(out, l)
	}
	return out
}

// ownFull returns the flow in which an item waits for its target; nil: it need not.
func (m *Machine) ownFull(f *flow, it *item, now time.Time) *flow {
	t := it.element.Target
	if t == nil || it.step.plan.Scheduler {
		return nil
	}
	limits := m.own(it, t)
	if !slices.ContainsFunc(limits, func(l *limit) bool { return l.full(now) }) {
		return nil
	}
	if it.alone == nil {
		it.alone = &flow{step: f.step, lane: f.lane, queue: f.queue, limits: limits, above: f}
		f.step.bind(limits)
	}
	return it.alone
}

// armGate sets the timer at which a closed asset may open.
func (m *Machine) armGate(l *limit, now time.Time) {
	c, shut := l.gate.closed(now)
	if !shut || c.Until.IsZero() || len(l.lines) == 0 || l.armed == c.Until.UnixNano() {
		return
	}
	l.armed = c.Until.UnixNano()
	m.wake(timer{at: c.Until, limit: l})
}

// opened lets in what waits for an asset, if it is open.
func (m *Machine) opened(l *limit, now time.Time) {
	if !l.full(now) {
		m.offerQueues(l, now)
	}
	m.armGate(l, now)
}
