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
		m.disperse(&r.steps[i], at)
	}
	m.askChildren(r, automation.Fact{Kind: automation.FactPauseAsked, At: at, By: "run " + string(r.id)})
}

// resume lets a paused run go on where it was.
func (m *Machine) resume(r *run, at time.Time) {
	state := automation.RunQueued
	if !r.started.IsZero() {
		state = automation.RunRunning
	}
	m.setRun(r, state, at)
	m.askChildren(r, automation.Fact{Kind: automation.FactResumeAsked, At: at, By: "run " + string(r.id)})
	for i := range r.steps {
		for _, f := range r.steps[i].flows {
			if f.waits() {
				m.enqueue(f)
			}
		}
	}
}
