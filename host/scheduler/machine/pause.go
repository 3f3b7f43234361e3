package machine

import (
	"time"

	"opsconductor.dev/host/automation"
)

// pause lets nothing more of a run start until it is resumed: what is out on a
// host goes on, timers go on, what becomes ready stays ready. The items give up
// their places at limits, for other runs to use.
func (m *Machine) pause(r *run, at time.Time) {
	r.paused = at
	m.setRun(r, automation.RunPaused, at)
	for i := range r.steps {
		for j := range r.steps[i].items {
			if it := &r.steps[i].items[j]; it.state == automation.ItemParked {
				m.toReady(it, at)
			}
		}
	}
	// An item that was ready may have been woken to use the room of a limit, and
	// will not use it now: somebody else may.
	for _, it := range r.ready {
		if it.state == automation.ItemReady {
			m.wake(it, at)
		}
	}
}

// resume lets a paused run go on where it was.
func (m *Machine) resume(r *run, at time.Time) {
	state := automation.RunQueued
	if !r.started.IsZero() {
		state = automation.RunRunning
	}
	m.setRun(r, state, at)
	m.waits = append(m.waits, r.waits...)
	r.waits = nil
	if len(r.ready) > 0 {
		m.ring.add(r)
	}
}
