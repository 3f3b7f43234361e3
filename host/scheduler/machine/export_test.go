package machine

import (
	"time"

	"opsconductor.dev/host/automation"
)

// Sweep forgets the buckets that are full, as the machine does from time to time.
func (m *Machine) Sweep(now time.Time) { m.sweep(now) }

// Stopping reports whether a run that is open ends already.
func (m *Machine) Stopping(id automation.RunID) bool { return m.runs[id].stopping != "" }

// Timers returns how many timers the machine keeps.
func (m *Machine) Timers() int { return len(m.timers.h) }

// Question is an item that waits for somebody outside.
type Question struct {
	Run        automation.RunID
	Step, Item int
	State      automation.ItemState
	For        automation.WaitFor
	Event      string
	Due        time.Time
	Lost       int
	Attempt    int
}

// Asked returns the items of a run that wait for somebody outside.
func (m *Machine) Asked(id automation.RunID) []Question {
	r := m.runs[id]
	if r == nil {
		return nil
	}
	var out []Question
	for i := range r.steps {
		for j := range r.steps[i].items {
			it := &r.steps[i].items[j]
			q := Question{Run: id, Step: i, Item: j, State: it.state, Lost: it.lost, Attempt: it.attempt}
			switch {
			case it.state == automation.ItemUnknown:
			case it.state == automation.ItemRunning && it.wait != nil:
				q.For, q.Event, q.Due = it.wait.For, it.wait.Event, it.due
			default:
				continue
			}
			out = append(out, q)
		}
	}
	return out
}

// Kept returns how many events of a run wait for somebody to want them.
func (m *Machine) Kept(id automation.RunID) int {
	if r := m.runs[id]; r != nil {
		return len(r.early)
	}
	return 0
}
