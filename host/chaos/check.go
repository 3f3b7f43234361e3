package chaos

import (
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
)

// checker holds what the rules look things up in.
type checker struct {
	h     *History
	steps map[string]int
	// starts and ends are the ledger's lines of an item, in its order.
	starts, ends map[key][]Line
	out          []Violation
}

// key names an item as the ledger does.
type key struct{ run, step, target string }

// Check compares what the hosts say with what the targets wrote down and returns
// every rule that was broken, none when all held.
func Check(h *History, ledger []Line) []Violation {
	c := &checker{h: h, steps: map[string]int{}, starts: map[key][]Line{}, ends: map[key][]Line{}}
	for i := range h.Steps {
		c.steps[h.Steps[i].ID] = i
	}
	for _, l := range ledger {
		k := key{l.Run, l.Step, l.Item}
		if l.Kind == LineStart {
			c.starts[k] = append(c.starts[k], l)
		} else {
			c.ends[k] = append(c.ends[k], l)
		}
	}
	for i := range h.Runs {
		r := &h.Runs[i]
		if !r.State.Ended() {
			c.bad("lost", r, "accepted, and its state is %q", r.State)
		}
		tried := attempts(r)
		c.facts(r, tried)
		c.events(r)
		c.doubts(r, tried)
		for j := range r.Items {
			c.item(r, &r.Items[j], tried)
		}
		c.order(r)
	}
	c.zombies()
	c.limits()
	return c.out
}

func (c *checker) bad(rule string, r *Run, format string, args ...any) {
	c.out = append(c.out, Violation{Rule: rule, Run: r.ID, Detail: fmt.Sprintf(format, args...)})
}

// item holds one item against the ledger.
func (c *checker) item(r *Run, it *Item, tried []*attempt) {
	k := key{r.ID, it.Step, it.Target}
	starts, name := c.starts[k], it.Step+"/"+it.Target
	if !it.State.Ended() && r.State.Ended() {
		c.bad("lost", r, "%s is %s in a run that has ended", name, it.State)
	}
	if it.State == automation.ItemSucceeded && !c.hasEnd(k, it) {
		c.bad("untrue", r, "%s succeeded, and its target knows of no such end", name)
	}
	if it.State != automation.ItemSucceeded && it.Before && len(starts) > 0 {
		c.bad("untrue", r, "%s is %s before it acted, and its target has a start", name, it.State)
	}
	step := c.steps[it.Step]
	if !c.h.Steps[step].Once {
		return
	}
	if len(starts) > 1 {
		c.bad("twice", r, "%s was begun %d times", name, len(starts))
	}
	intents := 0
	for _, a := range tried {
		if a.step != step || a.item != it.Index || a.intents == 0 {
			continue
		}
		if intents < len(starts) && (c.h.Moved || !a.intent.After(starts[intents].At)) {
			intents++
		}
	}
	if intents < len(starts) {
		c.bad("intent", r, "%s was begun %d times, %d of them after an intent", name, len(starts), intents)
	}
}

// hasEnd reports whether the ledger has the end that an item's success speaks of.
func (c *checker) hasEnd(k key, it *Item) bool {
	for _, l := range c.ends[k] {
		if l.Exit == 0 && (l.Nonce == it.Nonce || it.Told && it.Nonce == "") {
			return true
		}
	}
	return false
}

// facts looks for attempts that the log has twice.
func (c *checker) facts(r *Run, tried []*attempt) {
	last := map[place]*attempt{}
	for _, a := range tried {
		at := place{a.step, a.item}
		before := last[at]
		switch {
		case before != nil && before.number >= a.number:
			c.bad("terminal", r, "step %d item %d: attempt %d granted after attempt %d", a.step, a.item, a.number, before.number)
		case before != nil && before.let.IsZero():
			c.bad("terminal", r, "step %d item %d: attempt %d granted while attempt %d is open", a.step, a.item, a.number, before.number)
		}
		if a.ends > 1 || a.intents > 1 {
			c.bad("terminal", r, "step %d item %d attempt %d: %d intents and %d ends", a.step, a.item, a.number, a.intents, a.ends)
		}
		last[at] = a
	}
	for i := range r.Entries {
		for j := range r.Entries[i].Facts {
			f := &r.Entries[i].Facts[j]
			if f.Kind != automation.FactAttemptEnded && f.Kind != automation.FactAttemptStarted {
				continue
			}
			if !granted(tried, f) {
				c.bad("terminal", r, "step %d item %d: %s of attempt %d, which host %s was not granted at epoch %d", f.Step, f.Item, f.Kind, f.Attempt, f.Host, f.HostEpoch)
			}
		}
	}
}

func granted(tried []*attempt, f *automation.Fact) bool {
	for _, a := range tried {
		if a.step == f.Step && a.item == f.Item && a.number == f.Attempt && a.host == f.Host && a.epoch == f.HostEpoch {
			return true
		}
	}
	return false
}

// events looks for changes after an end.
func (c *checker) events(r *Run) {
	ended := map[string]automation.ItemState{}
	var run automation.RunState
	for _, e := range r.Events {
		if e.RunState != "" {
			if run.Ended() {
				c.bad("terminal", r, "the run became %s after it was %s", e.RunState, run)
			}
			run = e.RunState
			continue
		}
		name := fmt.Sprintf("%s/%d", e.Step, e.Item)
		if was := ended[name]; was.Ended() {
			c.bad("terminal", r, "%s became %s after it was %s", name, e.State, was)
		}
		ended[name] = e.State
	}
	if len(r.Events) > 0 && run != r.State {
		c.bad("terminal", r, "its events end with %q, and it is %q", run, r.State)
	}
}

// doubts looks for unknown outcomes that no fault explains.
func (c *checker) doubts(r *Run, tried []*attempt) {
	for _, a := range tried {
		if a.unknown && !c.excused(a) {
			c.bad("unknown", r, "step %d item %d attempt %d is unknown, and no fault was there from %s to %s",
				a.step, a.item, a.number, a.granted.Format(time.RFC3339Nano), a.ended.Format(time.RFC3339Nano))
		}
	}
}

func (c *checker) excused(a *attempt) bool {
	for _, f := range c.h.Faults {
		if c.h.Moved || !a.ended.Before(f.From) && !a.granted.After(f.To.Add(c.h.Grace)) {
			return true
		}
	}
	return false
}

// order holds each step's begin against the ends of the steps that it needs.
func (c *checker) order(r *Run) {
	last := map[string]Line{} // step → the end of its that came last
	for i := range r.Items {
		it := &r.Items[i]
		for _, l := range c.ends[key{r.ID, it.Step, it.Target}] {
			if it.State == automation.ItemSucceeded && (l.Nonce == it.Nonce || it.Nonce == "") && l.At.After(last[it.Step].At) {
				last[it.Step] = l
			}
		}
	}
	for i := range r.Items {
		it := &r.Items[i]
		for _, start := range c.starts[key{r.ID, it.Step, it.Target}] {
			for _, need := range c.h.Steps[c.steps[it.Step]].Needs {
				if end := last[need]; start.At.Before(end.At) {
					c.bad("order", r, "%s/%s began %s before %s/%s ended", it.Step, it.Target, end.At.Sub(start.At), need, end.Item)
				}
			}
		}
	}
}

// zombies looks for facts of a host's epoch that counted after it was over.
func (c *checker) zombies() {
	type epoch struct {
		host  automation.HostID
		epoch int64
	}
	type end struct {
		seq int64
		at  time.Time
	}
	ended := map[epoch]end{}
	each := func(do func(r *Run, seq int64, f *automation.Fact)) {
		for i := range c.h.Runs {
			r := &c.h.Runs[i]
			for j := range r.Entries {
				for k := range r.Entries[j].Facts {
					do(r, r.Entries[j].Seq, &r.Entries[j].Facts[k])
				}
			}
		}
	}
	each(func(_ *Run, seq int64, f *automation.Fact) {
		e := epoch{f.Host, f.HostEpoch}
		if first, there := ended[e]; over(f) && (!there || seq < first.seq) {
			ended[e] = end{seq, f.At}
		}
	})
	each(func(r *Run, seq int64, f *automation.Fact) {
		first, there := ended[epoch{f.Host, f.HostEpoch}]
		if there && !over(f) && seq > first.seq && f.At.After(first.at) {
			c.bad("zombie", r, "%s of step %d item %d by host %s at epoch %d, which was over", f.Kind, f.Step, f.Item, f.Host, f.HostEpoch)
		}
	})
}
