package machine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// Decisions is what must be committed, and what may be done after that.
type Decisions struct {
	// Entries and Runs are to be committed together.
	Entries []automation.Entry
	Runs    []automation.RunUpdate
	// Buckets of rates that have changed, to be committed with them; Tat 0: forgotten.
	Buckets []automation.Bucket
	// Accepted are runs of sub-workflows, which the same commit accepts; their first
	// facts are in Entries.
	Accepted []automation.Run
	// Attempts were granted: the worker may have them after the commit.
	Attempts []automation.Attempt
	// Cancels: the worker stops these, after it has had Attempts.
	Cancels []Cancel
	// Approvals are the records of decisions that were asked for, given or given up:
	// to be committed with the entries.
	Approvals []automation.Approval
	// Ended is the number of runs that ended.
	Ended int
}

// Cancel tells a worker to stop an attempt.
type Cancel struct {
	Attempt automation.AttemptKey
	Host    automation.HostID
	Why     *automation.Error
}

// Empty reports whether there is nothing to commit and nothing to do.
func (d *Decisions) Empty() bool {
	return len(d.Entries) == 0 && len(d.Runs) == 0 && len(d.Buckets) == 0 && len(d.Attempts) == 0 && len(d.Cancels) == 0
}

// output gathers what Take returns.
type output struct {
	runs     []*run
	attempts []automation.Attempt
	cancels  []Cancel
	buckets  map[string]struct{}
	accepted []automation.Run
	// approvals are items of core.approval that have begun or ended, maybe twice.
	approvals []*item
	fault     error
}

func (o *output) touch(r *run) {
	if !r.touched {
		r.touched = true
		o.runs = append(o.runs, r)
	}
}

func (o *output) bucket(key string) {
	if o.buckets == nil {
		o.buckets = map[string]struct{}{}
	}
	o.buckets[key] = struct{}{}
}

func (o *output) add(r *run, f automation.Fact) {
	o.touch(r)
	r.facts = append(r.facts, f)
}

func (o *output) cancel(it *item, why *automation.Error) {
	o.cancels = append(o.cancels, Cancel{Attempt: it.key(), Host: it.host, Why: why})
}

// Take returns what was decided since the last Take, and forgets the runs that
// ended. An error is a fault of the machine itself: the machine must be thrown away.
func (m *Machine) Take() (Decisions, error) {
	m.relate()
	o := m.out
	m.out = output{}
	d := Decisions{Attempts: o.attempts, Cancels: o.cancels, Accepted: o.accepted}
	for _, key := range slices.Sorted(maps.Keys(o.buckets)) {
		d.Buckets = append(d.Buckets, automation.Bucket{Key: key, Tat: m.buckets[key]})
	}
	for _, r := range o.runs {
		r.touched = false
		if len(r.facts) > 0 {
			d.Entries = append(d.Entries, automation.Entry{Run: r.id, Facts: r.facts})
			r.facts = nil
		}
		if r.changed {
			r.changed = false
			d.Runs = append(d.Runs, automation.RunUpdate{Run: r.id, State: r.state, Error: r.err, Started: r.started, Ended: r.ended, Outputs: r.outputs})
		}
		if r.state.Ended() {
			d.Ended++
			delete(m.runs, r.id)
		}
	}
	d.Approvals = records(o.approvals)
	return d, o.fault
}

// setRun changes a run's state by the transition table.
func (m *Machine) setRun(r *run, s automation.RunState, at time.Time) {
	if !r.state.CanBecome(s) {
		m.out.fault = fmt.Errorf("run %s: %s can't become %s", r.id, r.state, s)
	}
	r.state = s
	m.changedRun(r, at)
}

func (m *Machine) changedRun(r *run, at time.Time) {
	if r.state != automation.RunQueued || !r.paused.IsZero() { // the acceptor has written the first queued
		r.changed = true
		m.out.touch(r)
	}
	if m.observe != nil {
		m.observe(Change{At: at, Kind: ChangeRun, RunState: r.state, Error: r.err})
	}
}

// setItem changes an item's state by the transition table.
func (m *Machine) setItem(it *item, s automation.ItemState, at time.Time) {
	if !it.state.CanBecome(s) {
		m.out.fault = fmt.Errorf("run %s, step %s, item %d: %s can't become %s", it.step.run.id, it.step.plan.ID, it.index, it.state, s)
	}
	m.stand(it, it.state, s)
	it.state = s
	if m.observe == nil {
		return
	}
	c := Change{
		At: at, Kind: ChangeItem, Step: it.step.index, StepID: it.step.plan.ID, Item: it.index,
		Attempt: it.attempt, ItemState: s, Element: it.element,
	}
	if it.outcome != nil && (s.Ended() || s == automation.ItemWaitingRetry || s == automation.ItemUnknown) {
		c.Error = it.outcome.Error
	}
	if s == automation.ItemRunning {
		c.Wait = it.wait
	}
	m.observe(c)
}

// Attempts calls fn with every attempt that is out on a host.
func (m *Machine) Attempts(fn func(key automation.AttemptKey, host automation.HostID, epoch int64)) {
	for _, r := range m.runs {
		if r.open == 0 {
			continue
		}
		for i := range r.steps {
			for j := range r.steps[i].items {
				if it := &r.steps[i].items[j]; it.state.Open() && !it.step.plan.Scheduler {
					fn(it.key(), it.host, it.epoch)
				}
			}
		}
	}
}
