package machine

import (
	"fmt"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// Item is an item's state for the tests: what a replay must give again.
type Item struct {
	State   automation.ItemState
	Attempt int
	Lost    int
	Intent  bool
	Host    automation.HostID
	Epoch   int64
	Due     time.Time
	Outcome string
	Late    string
}

// Snapshot returns the state of every open run, by run, step and item. Ready and
// parked are one: which of the two depends on the order in which limits were met.
func (m *Machine) Snapshot() map[string]Item {
	snap := map[string]Item{}
	for id, r := range m.runs {
		snap[string(id)] = Item{State: automation.ItemState(r.state), Attempt: r.left, Lost: r.open, Outcome: string(r.stopping)}
		for i := range r.steps {
			s := &r.steps[i]
			step := Item{State: s.state, Attempt: s.left, Lost: s.blocks}
			if s.late != nil {
				step.Late = s.late.Message
			}
			snap[fmt.Sprintf("%s/%d", id, i)] = step
			for j := range s.items {
				it := &s.items[j]
				v := Item{State: it.state, Attempt: it.attempt, Lost: it.lost, Intent: it.intent, Host: it.host, Epoch: it.epoch}
				if v.State == automation.ItemParked {
					v.State = automation.ItemReady
				}
				if v.State == automation.ItemWaitingRetry {
					v.Due = it.due
				}
				if it.late != nil {
					v.Late = it.late.Message
				}
				if it.outcome != nil {
					v.Outcome = string(it.outcome.State)
				}
				snap[fmt.Sprintf("%s/%d/%d", id, i, j)] = v
			}
		}
	}
	return snap
}

// Stopping reports whether a run that is open ends already.
func (m *Machine) Stopping(id automation.RunID) bool { return m.runs[id].stopping != "" }

// Fault checks the machine's own books: limits, counts and parking. "" is good.
func (m *Machine) Fault(idleSlots bool) string {
	open := 0
	used := map[*limit]int{}
	parked := map[*limit]int{}
	for id, r := range m.runs {
		if r.state.Ended() {
			return fmt.Sprintf("run %s has ended and is still here", id)
		}
		runOpen, left := 0, 0
		for i := range r.steps {
			s := &r.steps[i]
			if !s.state.Ended() {
				left++
			}
			for j := range s.items {
				it := &s.items[j]
				if it.state.Open() && !s.plan.Scheduler {
					runOpen++
				}
				if it.holds() {
					m.each(it, func(l *limit) bool { used[l]++; return true })
				}
				if it.state == automation.ItemParked {
					parked[it.parked]++
				}
				if it.state == automation.ItemReady && idleSlots && r.stopping == "" && r.state != automation.RunPaused {
					return fmt.Sprintf("%s/%d/%d is ready while slots are free", id, i, j)
				}
				if it.state.Open() && !s.mayRun() {
					return fmt.Sprintf("%s/%d/%d runs, and what it needs has not ended as it must", id, i, j)
				}
				if fault := it.lateFault(); fault != "" {
					return fmt.Sprintf("%s/%d/%d %s", id, i, j, fault)
				}
				if waits := !it.state.Ended() && !it.state.Open(); waits && s.halted || !waits && j >= s.released && r.stopping == "" && !s.halted && s.released > 0 {
					return fmt.Sprintf("%s/%d/%d is %s; the step has let %d items go (halted: %v)", id, i, j, it.state, s.released, s.halted)
				}
			}
		}
		if runOpen != r.open || left != r.left {
			return fmt.Sprintf("run %s counts %d open, %d left; it has %d, %d", id, r.open, r.left, runOpen, left)
		}
		open += runOpen
	}
	if open != m.open {
		return fmt.Sprintf("the machine counts %d open attempts; it has %d", m.open, open)
	}
	for l, n := range used {
		if n != l.used || n > l.max {
			return fmt.Sprintf("limit %s counts %d of %d; it has %d", l.name, l.used, l.max, n)
		}
	}
	for l, n := range parked {
		if l == nil {
			return "an item is parked on nothing"
		}
		if idleSlots && l.used < l.max {
			return fmt.Sprintf("%d items are parked on limit %s, which has room (%d of %d)", n, l.name, l.used, l.max)
		}
	}
	for _, l := range m.targets {
		if used[l] != l.used {
			return fmt.Sprintf("limit %s counts %d; it has %d", l.name, l.used, used[l])
		}
	}
	return ""
}

// lateFault says what an item does that it must not after its time: "" is good.
func (it *item) lateFault() string {
	s := it.step
	switch open := it.state.Open() && !s.plan.Scheduler; {
	case it.state.Ended():
	case (s.late != nil || it.late != nil) && !open:
		return fmt.Sprintf("is %s after its time", it.state)
	case (s.late != nil || it.late != nil) && !it.cancel:
		return "was not told to stop when its time was up"
	}
	return ""
}

// Timers returns how many timers the machine keeps.
func (m *Machine) Timers() int { return len(m.timers.h) }

// mayRun says by the plan whether the step's items may run: a second writing of
// the rule, in the plan's own words.
func (s *step) mayRun() bool {
	good, bad := 0, 0
	for _, n := range s.plan.Needs {
		need := &s.run.steps[n]
		if !need.state.Ended() {
			return false
		}
		failed := need.state == automation.ItemFailed || need.state == automation.ItemUnknown
		if need.state == automation.ItemSucceeded || failed && need.plan.OnFailure == "continue" {
			good++
		}
		if failed && slices.Contains(s.plan.Compensates, n) {
			bad++
		}
	}
	switch {
	case len(s.plan.Compensates) > 0:
		return bad > 0
	case s.plan.Policy == "always":
		return true
	case s.plan.Policy == "any":
		return good > 0 || len(s.plan.Needs) == 0
	}
	return good == len(s.plan.Needs)
}
