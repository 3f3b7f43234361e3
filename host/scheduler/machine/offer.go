package machine

import (
	"maps"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// offerQueues lets in the next flow of each queue that waits for a limit: which
// of them starts first is the hosts' business.
func (m *Machine) offerQueues(l *limit, now time.Time) {
	if len(l.lines) == 0 {
		return
	}
	for _, queue := range slices.Sorted(maps.Keys(l.lines)) {
		m.offer(l, queue, now)
	}
}

// handOn offers the room of a flow's limits, and of those ready below it, to others.
func (m *Machine) handOn(f *flow, now time.Time) {
	m.offerAll(f.limits, f.queue, now)
	for _, c := range f.ready {
		m.handOn(c, now)
	}
}

func (m *Machine) offerAll(limits []*limit, queue string, now time.Time) {
	for _, l := range limits {
		m.offer(l, queue, now)
	}
}

// offer lets the next flow of a queue in that waits for a limit, if it has room.
// A flow that something else keeps waits for that from then on, and the next is let in.
func (m *Machine) offer(l *limit, queue string, now time.Time) {
	for q := l.lines[queue]; q != nil && q.Len() > 0; {
		if l.full(now) {
			m.arm(l, now)
			return
		}
		f := q.first().flows[0]
		f.remove()
		if m.admit(f, now) {
			return
		}
	}
}

// admit lets a flow stand in its queue's line again, and reports whether it does:
// it then uses the room that it was let in for, or hands it on.
func (m *Machine) admit(f *flow, now time.Time) bool {
	switch {
	case !f.waits():
		return false
	case f.at != nil:
		return f.parked == nil
	case f.above == nil && f.step.run.state == automation.RunPaused:
		return false
	}
	if !f.listed {
		if l := f.full(now); l != nil {
			m.wait(f, l, now)
			return false
		}
	}
	if f.above == nil {
		m.enqueue(f)
		return true
	}
	m.list(f)
	return m.admit(f.above, now)
}

// list notes with the flow above that a flow is ready.
func (m *Machine) list(f *flow) {
	if !f.listed && f.at == nil {
		f.listed = true
		f.above.ready = append(f.above.ready, f)
	}
}

// unlist forgets the flows below, which have nothing that is ready.
func (f *flow) unlist() {
	for _, c := range f.ready {
		c.listed = false
	}
	f.ready = nil
}

// wait lets a flow stand in the line of what it waits for.
func (m *Machine) wait(f *flow, l *limit, now time.Time) {
	q := l.lines[f.queue]
	if q == nil {
		q = &line{}
		if l.lines == nil {
			l.lines = map[string]*line{}
		}
		l.lines[f.queue] = q
	}
	q.add(f)
	f.parked = l
	m.arm(l, now)
}

// arm sets the timer of a rate that has given all that it had, for what waits.
func (m *Machine) arm(l *limit, now time.Time) {
	if l.gate != nil {
		m.armGate(l, now)
		return
	}
	if at := l.tat - l.window; l.spent(now) && len(l.lines) > 0 && l.armed != at {
		l.armed = at
		m.wake(timer{at: l.refill(), limit: l})
	}
}

// refilled lets in as many as a rate has room for again.
func (m *Machine) refilled(l *limit, at, now time.Time) {
	if at.UnixNano() != l.armed {
		return // another timer was set since
	}
	l.armed = 0
	if l.gate != nil {
		m.opened(l, now)
		return
	}
	for n := 1 + (l.window-max(l.tat-now.UnixNano(), 0))/l.gap; n > 0 && len(l.lines) > 0 && !l.full(now); n-- {
		m.offerQueues(l, now)
	}
	m.arm(l, now)
}

// disperse takes the flows of a step out of their lines.
func (m *Machine) disperse(s *step, now time.Time) {
	for _, f := range s.flows {
		if f.at == nil {
			continue
		}
		stood := f.parked == nil
		f.remove()
		if stood {
			m.handOn(f, now)
		}
	}
}
