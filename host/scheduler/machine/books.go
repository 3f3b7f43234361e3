package machine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// Item is the state of an item, a step, a run or a bucket, as far as a replay of the
// facts must give it again.
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
	Child   automation.RunID
	Wait    automation.Wait
	Answer  automation.Answer
	Begun   automation.Begun
	Round   int
	Early   [2]int
}

// Snapshot returns the state of every open run, by run, step and item, for comparison
// with a replay. Ready and parked are one: which of the two depends on the order in
// which limits were met.
func (m *Machine) Snapshot() map[string]Item {
	snap := map[string]Item{}
	for key, tat := range m.buckets {
		snap["bucket "+key] = Item{Epoch: tat}
	}
	for id, r := range m.runs {
		snap[string(id)] = Item{State: automation.ItemState(r.state), Attempt: r.left, Lost: r.open, Outcome: string(r.stopping), Epoch: int64(r.children), Due: r.deadline, Early: [2]int{r.earlyBytes, len(r.early)}}
		for i := range r.steps {
			s := &r.steps[i]
			step := Item{State: s.state, Attempt: s.left, Lost: s.blocks}
			if s.late != nil {
				step.Late = s.late.Message
			}
			snap[fmt.Sprintf("%s/%d", id, i)] = step
			for j := range s.items {
				it := &s.items[j]
				v := Item{State: it.state, Attempt: it.attempt, Lost: it.lost + 1000*it.uncounted, Intent: it.intent, Host: it.host, Epoch: it.epoch, Child: it.child}
				if v.State == automation.ItemParked {
					v.State = automation.ItemReady
				}
				if v.State == automation.ItemWaitingRetry {
					v.Due = it.due
				}
				if it.late != nil {
					v.Late = it.late.Message
				}
				if it.wait != nil {
					v.Wait, v.Due = *it.wait, it.due
				}
				if it.answer != nil {
					v.Answer = *it.answer
				}
				if v.Round = it.round; it.begun != nil {
					v.Begun = *it.begun
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

// Fault checks the machine's own books: limits, counts and what waits. "" is good.
func (m *Machine) Fault(now time.Time, idleSlots bool) string {
	if f := m.countFault(); f != "" {
		return f
	}
	open := 0
	used := map[*limit]int{}
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
				if (it.state.Open() || it.state == automation.ItemUnknown) != (len(it.held) > 0) && len(m.limitsOf(it)) > 0 {
					return fmt.Sprintf("%s/%d/%d is %s and counts against %d limits", id, i, j, it.state, len(it.held))
				}
				for _, l := range it.held {
					used[l]++
				}
				if fault := m.waitFault(it, now, idleSlots); fault != "" {
					return fmt.Sprintf("%s/%d/%d %s", id, i, j, fault)
				}
				if it.state.Open() && !s.mayRun() {
					return fmt.Sprintf("%s/%d/%d runs, and what it needs has not ended as it must", id, i, j)
				}
				if fault := it.lateFault(); fault != "" {
					return fmt.Sprintf("%s/%d/%d %s", id, i, j, fault)
				}
				if waits := !it.state.Ended() && !it.state.Open() && it.state != automation.ItemUnknown; waits && s.halted || !waits && j >= s.released && r.stopping == "" && !s.halted && s.released > 0 {
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
		if n != l.used || l.kind != limitParallel && m.counters[l.counter] != l {
			return fmt.Sprintf("limit %s %q counts %d of %d; it has %d", l.kind, l.match, l.used, l.max, n)
		}
	}
	for _, l := range m.counters {
		if used[l] != l.used {
			return fmt.Sprintf("limit %s %q counts %d; it has %d", l.kind, l.match, l.used, used[l])
		}
	}
	return ""
}

// waitFault says what is wrong with how an item waits: a ready one stands in line,
// or waits for a limit that has no room, or that others of its queue were let in for.
func (m *Machine) waitFault(it *item, now time.Time, idleSlots bool) string {
	if it.state != automation.ItemReady || it.step.run.state == automation.RunPaused || it.step.run.stopping != "" {
		return ""
	}
	if !it.queued || !slices.Contains(it.in.items, it) {
		return "is ready and stands nowhere"
	}
	for f := it.in; f != nil; f = f.above {
		l := f.parked
		switch {
		case l == nil && f.above != nil && !f.listed, l == nil && f.above == nil && f.at == nil:
			return "is ready, and its flow stands nowhere"
		case l == nil:
			continue
		case !slices.Contains(f.limits, l):
			return fmt.Sprintf("waits for limit %s %q, which it does not count against", l.kind, l.match)
		case !l.full(now) && (idleSlots || !m.letIn(l, f.queue)):
			return fmt.Sprintf("waits for limit %s %q, which has room (%d of %d, rate spent: %v)", l.kind, l.match, l.used, l.max, l.spent(now))
		}
		return ""
	}
	if idleSlots {
		return "is ready while slots are free"
	}
	return ""
}

// letIn reports whether a flow that counts against a limit stands in a queue's line.
func (m *Machine) letIn(l *limit, queue string) bool {
	lines := []*line{&m.carried}
	for _, q := range m.lines {
		if q.name == queue {
			lines = append(lines, &q.line)
		}
	}
	for _, q := range lines {
		for _, p := range q.h {
			for _, f := range p.flows {
				if f.counts(l) {
					return true
				}
			}
		}
	}
	return false
}

func (f *flow) counts(l *limit) bool {
	return slices.Contains(f.limits, l) || slices.ContainsFunc(f.ready, func(c *flow) bool { return c.counts(l) })
}

// lateFault says what an item does that it must not after its time: "" is good.
func (it *item) lateFault() string {
	s := it.step
	switch open := it.state.Open() && (!s.plan.Scheduler || it.child != ""); {
	case it.state.Ended(), it.state == automation.ItemUnknown && it.late != nil:
	case (s.late != nil || it.late != nil) && !open:
		return fmt.Sprintf("is %s after its time", it.state)
	case (s.late != nil || it.late != nil) && !it.cancel:
		return "was not told to stop when its time was up"
	}
	return ""
}

// mayRun says by the plan whether the step's items may run: a second writing of
// the rule, in the plan's own words.
func (s *step) mayRun() bool {
	good, bad := 0, 0
	for _, n := range s.plan.Needs {
		need := &s.run.steps[n]
		if !need.state.Ended() {
			return false
		}
		failed := need.state == automation.ItemFailed
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

// countFault checks what the machine counts by host and by task queue.
func (m *Machine) countFault() string {
	hosts, waiting := map[automation.HostID]int{}, map[string]int{}
	for _, r := range m.runs {
		for i := range r.steps {
			for j := range r.steps[i].items {
				it := &r.steps[i].items[j]
				if it.step.plan.Scheduler {
					continue
				}
				if it.state.Open() {
					hosts[it.host]++
				}
				if waits(it.state) {
					waiting[it.queueOf()]++
				}
			}
		}
	}
	if !maps.Equal(hosts, m.openOn) || !maps.Equal(waiting, m.waiting) {
		return fmt.Sprintf("out by host %v, counted %v; waiting by queue %v, counted %v", hosts, m.openOn, waiting, m.waiting)
	}
	return ""
}
