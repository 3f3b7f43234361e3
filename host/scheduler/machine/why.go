package machine

import (
	"fmt"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// WhyKind says what kind of thing an item waits for.
type WhyKind string

// What items wait for.
const (
	WhyNeeds    WhyKind = "needs"    // steps that it needs have not ended
	WhyBatch    WhyKind = "batch"    // the wave before its own has not ended
	WhyLimit    WhyKind = "limit"    // as many run as a limit allows
	WhyRate     WhyKind = "rate"     // as many have started as a rate allows
	WhyWindow   WhyKind = "window"   // a maintenance window keeps its target closed
	WhySlots    WhyKind = "slots"    // no host that serves its queue has a free slot
	WhyPaused   WhyKind = "paused"   // its run is paused
	WhyRetry    WhyKind = "retry"    // its attempt failed; the next one waits for its backoff
	WhyWait     WhyKind = "wait"     // it waits for a time or an answer: the step is there for that
	WhyChild    WhyKind = "child"    // the run of its sub-workflow has not ended
	WhyRunning  WhyKind = "running"  // its attempt is at work
	WhyStopping WhyKind = "stopping" // its attempt was told to stop
	WhyUnknown  WhyKind = "unknown"  // what happened is not known, and nobody has said
)

// WhyItems bounds the items that a Reason names.
const WhyItems = 20

// Reason is what a number of items of a step wait for.
type Reason struct {
	Kind WhyKind
	Step int
	// StepID is the step's name in the workflow.
	StepID string
	// Key and Value name the limit (kinds limit and rate; Key max_parallel is the
	// step's own), Used is how many run and Max how many may. Value names the window
	// (kind window).
	Key       automation.LimitKind
	Value     string
	Used, Max int
	// Queue is the task queue (kind slots).
	Queue string
	// Needs are the steps that have not ended (kind needs).
	Needs []string
	// Until is when the first of the items goes on (rate, window, retry, wait); zero: not known.
	Until time.Time
	// Count is the number of items, Items the indexes of the first of them. A step
	// that has not fanned out counts as one, without an index.
	Count int
	Items []int
	// Text says it in a sentence.
	Text string
}

// Why says of each item of a run that has not ended what it waits for, by step and
// reason in the plan's order; false when the machine does not have the run.
func (m *Machine) Why(id automation.RunID, now time.Time) ([]Reason, bool) {
	r := m.runs[id]
	if r == nil {
		return nil, false
	}
	var w whys
	for i := range r.steps {
		s := &r.steps[i]
		switch {
		case s.state.Ended():
		case s.items == nil:
			w.needs(s)
		default:
			w.step(s, now)
		}
	}
	for i := range w.all {
		w.all[i].Text = w.all[i].text()
	}
	return w.all, true
}

// whys gathers reasons.
type whys struct {
	all []Reason
	at  map[reasonKey]int
}

// reasonKey is what the items of one reason have in common.
type reasonKey struct {
	kind  WhyKind
	limit *limit
	queue string
	// window is the name of the window (kind window).
	window string
}

// needs adds the reason of a step that has not opened.
func (w *whys) needs(s *step) {
	reason := Reason{Kind: WhyNeeds, Step: s.index, StepID: s.plan.ID, Count: 1}
	for _, n := range s.plan.Needs {
		if need := &s.run.steps[n]; !need.state.Ended() {
			reason.Needs = append(reason.Needs, need.plan.ID)
		}
	}
	w.all = append(w.all, reason)
}

// step adds the reasons of a step's items.
func (w *whys) step(s *step, now time.Time) {
	w.at = map[reasonKey]int{}
	for i := range s.items {
		it := &s.items[i]
		if it.state.Ended() && !it.holds() {
			continue
		}
		key, until := it.why(now)
		at, ok := w.at[key]
		if !ok {
			at = len(w.all)
			w.at[key] = at
			w.all = append(w.all, newReason(s, key))
		}
		reason := &w.all[at]
		reason.Count++
		if len(reason.Items) < WhyItems {
			reason.Items = append(reason.Items, i)
		}
		if !until.IsZero() && (reason.Until.IsZero() || until.Before(reason.Until)) {
			reason.Until = until
		}
	}
}

func newReason(s *step, key reasonKey) Reason {
	reason := Reason{Kind: key.kind, Step: s.index, StepID: s.plan.ID, Queue: key.queue, Value: key.window}
	if l := key.limit; l != nil {
		reason.Key, reason.Value, reason.Used, reason.Max = l.kind, l.match, l.used, l.max
		if l.kind == limitParallel {
			reason.Value = s.plan.ID
		}
	}
	return reason
}

// why says what an item that has not ended waits for, and until when, if that is known.
func (it *item) why(now time.Time) (reasonKey, time.Time) {
	s := it.step
	switch it.state {
	case automation.ItemBlocked:
		return reasonKey{kind: WhyBatch}, time.Time{}
	case automation.ItemWaitingRetry:
		return reasonKey{kind: WhyRetry}, it.due
	case automation.ItemUnknown:
		return reasonKey{kind: WhyUnknown}, time.Time{}
	case automation.ItemLeased, automation.ItemRunning:
		switch {
		case it.child != "":
			return reasonKey{kind: WhyChild}, time.Time{}
		case s.plan.Scheduler:
			return reasonKey{kind: WhyWait}, it.due
		case it.cancel:
			return reasonKey{kind: WhyStopping}, time.Time{}
		}
		return reasonKey{kind: WhyRunning}, time.Time{}
	case automation.ItemReady, automation.ItemParked, automation.ItemSucceeded, automation.ItemFailed, automation.ItemCancelled, automation.ItemSkipped:
	}
	if s.run.state == automation.RunPaused {
		return reasonKey{kind: WhyPaused}, time.Time{}
	}
	for f := it.in; f != nil; f = f.above {
		l := f.parked
		if l == nil || !l.full(now) {
			l = f.full(now)
		}
		switch {
		case l == nil:
		case l.gate != nil:
			c, _ := l.gate.closed(now)
			return reasonKey{kind: WhyWindow, window: c.Window}, c.Until
		case l.crowded():
			return reasonKey{kind: WhyLimit, limit: l}, time.Time{}
		default:
			return reasonKey{kind: WhyRate, limit: l}, l.refill()
		}
	}
	return reasonKey{kind: WhySlots, queue: it.queueOf()}, time.Time{}
}

// text says a reason in a sentence.
func (r *Reason) text() string {
	items := fmt.Sprintf("%d items of step %s", r.Count, r.StepID)
	wait := "wait"
	if r.Count == 1 {
		items, wait = "step "+r.StepID, "waits"
	}
	until := ""
	if !r.Until.IsZero() {
		until = " until " + r.Until.UTC().Format(time.RFC3339)
	}
	switch r.Kind {
	case WhyNeeds:
		return fmt.Sprintf("%s %s for %s to end", items, wait, strings.Join(r.Needs, ", "))
	case WhyBatch:
		return fmt.Sprintf("%s %s for the batch before to end", items, wait)
	case WhyLimit:
		return fmt.Sprintf("%s %s for %s: %d of %d run", items, wait, r.limit(), r.Used, r.Max)
	case WhyRate:
		return fmt.Sprintf("%s %s for the rate of %s%s", items, wait, r.limit(), until)
	case WhyWindow:
		return fmt.Sprintf("%s %s for the window %s%s", items, wait, r.Value, until)
	case WhySlots:
		if r.Queue == "" {
			return fmt.Sprintf("%s %s for the scheduler's next turn", items, wait)
		}
		return fmt.Sprintf("%s %s for a free slot on a host that serves the queue %s", items, wait, r.Queue)
	case WhyPaused:
		return fmt.Sprintf("%s %s for the run to be resumed", items, wait)
	case WhyRetry:
		return fmt.Sprintf("%s %s to be tried again%s", items, wait, until)
	case WhyWait:
		return fmt.Sprintf("%s %s%s, as the workflow says", items, wait, until)
	case WhyChild:
		return fmt.Sprintf("%s %s for the sub-workflow's run to end", items, wait)
	case WhyStopping:
		return fmt.Sprintf("%s: told to stop, not stopped yet", items)
	case WhyUnknown:
		return fmt.Sprintf("%s: what happened is not known", items)
	case WhyRunning:
	}
	return items + ": at work"
}

// limit names the limit of a reason.
func (r *Reason) limit() string {
	switch {
	case r.Key == automation.LimitGlobal:
		return "the global limit"
	case r.Key == limitParallel:
		return "the step's max_parallel"
	}
	return fmt.Sprintf("the limit of %s %s", r.Key, r.Value)
}
