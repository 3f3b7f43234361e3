package machine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// Nesting is a Program with sub-workflows.
type Nesting interface {
	// Child returns the program that carries out the items of a step, and what its run
	// begins with: the item's input, checked, with the defaults filled in.
	Child(step int, input json.RawMessage) (Program, json.RawMessage, error)
}

// children is what the machine has to do for runs and their children outside of
// the fold: a fact of one run makes facts of another, and a replay, which has
// stored both, must not make them again. What is left after a fold is done by
// relate, in the same commit.
type children struct {
	// ended are runs of sub-workflows whose parents have not been told. The telling is
	// recognised as done by the parent's state, so a replay may leave it here.
	ended []*run
	// asked are runs to be asked what their parents were. It is emptied by a replay.
	asked []asking
}

type asking struct {
	run automation.RunID
	f   automation.Fact
}

// ask has every open child of a run asked what the run was.
func (m *Machine) askChildren(r *run, f automation.Fact) {
	if r.children == 0 {
		return
	}
	for i := range r.steps {
		for j := range r.steps[i].items {
			if it := &r.steps[i].items[j]; it.child != "" && it.state == automation.ItemRunning {
				m.children.asked = append(m.children.asked, asking{it.child, f})
			}
		}
	}
}

// relate tells children what their parents were asked, and parents how their
// children ended, until nothing is left to tell.
func (m *Machine) relate() {
	for len(m.children.ended)+len(m.children.asked) > 0 {
		asked, ended := m.children.asked, m.children.ended
		m.children = children{}
		for _, a := range asked {
			// What does not fit any more (the child has ended, is paused already) is done.
			if r := m.runs[a.run]; r != nil && m.check(r, &a.f) == nil && (a.f.Kind != automation.FactCancelAsked || r.stopping == "") {
				m.mustHandle(r, a.f)
			}
		}
		for _, r := range ended {
			m.tellParent(r)
		}
	}
}

// tellParent records the end of a child in its parent.
func (m *Machine) tellParent(child *run) {
	parent := m.runs[child.parent.Run]
	if parent == nil {
		return
	}
	it := parent.childItem(child)
	if it == nil {
		return
	}
	m.mustHandle(parent, automation.Fact{
		Kind: automation.FactChildEnded, At: child.ended, Step: it.step.index, Item: it.index, Attempt: it.attempt,
		Child: child.id, Outcome: outcomeOf(child, it),
	})
}

// childItem returns the item that a child carries out, nil if it does not any more.
func (r *run) childItem(child *run) *item {
	for i := range r.steps {
		if r.steps[i].plan.ID != child.parent.Step {
			continue
		}
		if it := r.item(i, child.parent.Item); it != nil && it.child == child.id && it.state == automation.ItemRunning {
			return it
		}
	}
	return nil
}

// outcomeOf is the end of a child as the outcome of the parent's item.
func outcomeOf(child *run, it *item) *automation.Outcome {
	o := &automation.Outcome{StartedAt: it.started, EndedAt: child.ended}
	if child.state == automation.RunSucceeded {
		o.State, o.Output = automation.ItemSucceeded, child.outputs
		if o.Output == nil {
			o.Output = json.RawMessage(`{}`)
		}
		return o
	}
	o.State = automation.ItemFailed
	cause := &automation.Error{Code: automation.CodeStepFailed, Message: string(child.state)}
	if child.err != nil {
		*cause = *child.err
		cause.Pointer, cause.Line, cause.Column = "", 0, 0
	}
	if child.state == automation.RunCancelled && it.cancel {
		o.State, o.Error = automation.ItemCancelled, firstError(it.step.run.err, cause)
		return o
	}
	cause.Message = fmt.Sprintf("run %s of workflow %s@%s %s: %s", child.id, it.step.plan.Action, it.step.plan.Version, ending(child.state), cause.Message)
	// A new run may help where it is known what this one did, and nobody wanted it to end.
	cause.CanRetry = child.state == automation.RunFailed
	if child.uncertain() {
		cause.Code, cause.CanRetry = automation.CodeUnknownOutcome, false
	}
	o.Error = cause
	return o
}

func ending(s automation.RunState) string {
	if s == automation.RunFailed {
		return "failed"
	}
	return "was " + string(s)
}

// uncertain reports whether it is not known of some step what it did.
func (r *run) uncertain() bool {
	for i := range r.steps {
		if r.steps[i].uncertain {
			return true
		}
	}
	return false
}

// startChild gives an item to a run of its own.
func (m *Machine) startChild(it *item, input json.RawMessage, now time.Time) error {
	r, s := it.step.run, it.step
	nesting, ok := r.program.(Nesting)
	if !ok {
		return automation.Errorf(automation.CodeInternal, "a program without its sub-workflows")
	}
	program, inputs, err := nesting.Child(s.index, input)
	if err != nil {
		return err
	}
	key := it.key()
	key.Attempt++
	id := childID(key, now)
	begin := &automation.Begin{
		Parent: &automation.Parent{Run: r.id, Step: s.plan.ID, Item: it.index, Attempt: key.Attempt},
		Inputs: inputs, Timeout: s.plan.Timeout,
	}
	if program.Plan().ItemTarget {
		begin.Target = it.element.Target
		if begin.Target == nil {
			begin.Target = r.target
		}
	}
	if left := r.deadline.Sub(now); !r.deadline.IsZero() && (begin.Timeout == 0 || left < begin.Timeout) {
		begin.Timeout = max(left, time.Microsecond)
	}
	m.mustHandle(r, automation.Fact{
		Kind: automation.FactChildStarted, At: now, Step: s.index, Item: it.index, Attempt: key.Attempt, Child: id, Input: inputs,
	})
	f := automation.Fact{
		Kind: automation.FactRunAccepted, At: now, Tenant: r.tenant, Plan: s.plan.Digest, By: r.by, Begin: begin,
	}
	if err := m.Accept(id, &f, program); err != nil {
		m.out.fault = err
		return nil
	}
	child := m.runs[id]
	m.out.add(child, f)
	m.out.accepted = append(m.out.accepted, automation.Run{
		ID: id, Tenant: r.tenant, Workflow: program.Plan().Workflow, PlanHash: s.plan.Digest, State: automation.RunQueued,
		By: r.by, Created: now, Parent: begin.Parent,
	})
	return nil
}

// childStarted folds the start of a child.
func (m *Machine) childStarted(it *item, f *automation.Fact) {
	r := it.step.run
	m.toReady(it, f.At) // a backoff or a parking that the start shows to be over
	it.attempt, it.child, it.cancel = f.Attempt, f.Child, false
	it.granted, it.started, it.due = f.At, f.At, time.Time{}
	r.children++
	m.begin(r, f.At)
	m.acquire(it)
	m.setItem(it, automation.ItemRunning, f.At)
	if it.attempt == 1 {
		m.limitItem(it, f.At)
	}
}

// childEnded folds the end of a child: of the item, unless it is tried again.
func (m *Machine) childEnded(it *item, f *automation.Fact) {
	it.step.run.children--
	if e := f.Outcome.Error; e != nil && e.Code == automation.CodeUnknownOutcome {
		it.step.uncertain = true
	}
	o := f.Outcome
	if it.late != nil {
		m.endItem(it, it.lateOutcome(o), f.At)
		return
	}
	again, o := it.again(o)
	if again && o.Error.Code != automation.CodeUnknownOutcome && o.Error.Code != automation.CodeCancelled { // whatever retry.if says
		m.release(it, f.At)
		m.waitForRetry(it, o, f.At)
		return
	}
	m.endItem(it, o, f.At)
}

// waitForRetry lets a failed item be tried again after its backoff.
func (m *Machine) waitForRetry(it *item, o *automation.Outcome, at time.Time) {
	it.outcome = o
	it.due = at.Add(backoff(it))
	m.setItem(it, automation.ItemWaitingRetry, at)
	m.wake(timer{at: it.due, run: it.step.run.id, step: it.step.index, item: it.index})
}

// childID makes the identifier of a child from its parent's key and the time: a
// replay and a second try of the same turn find the same. It has the form of a
// UUID version 7 (RFC 9562 section 5.7).
func childID(k automation.AttemptKey, now time.Time) automation.RunID {
	sum := sha256.Sum256([]byte(string(k.Run) + "/" + itoa(k.Step) + "/" + itoa(k.Item) + "/" + itoa(k.Attempt) + "/" + now.UTC().Format(time.RFC3339Nano)))
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(max(now.UnixMilli(), 0))<<16) //nolint:gosec // not negative
	copy(b[6:], sum[:])
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return automation.RunID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

// Recovered is to be called when every stored entry was replayed: it settles what
// no commit of a leader leaves behind, but a hand in the database or a run that was
// rejected may. A child without its parent is cancelled, and an item whose child is
// not there fails.
func (m *Machine) Recovered(now time.Time) {
	m.children.asked = nil
	type gone struct {
		run *run
		f   automation.Fact
	}
	var facts []gone
	for _, id := range slices.Sorted(maps.Keys(m.runs)) {
		r := m.runs[id]
		if r.state.Ended() {
			continue
		}
		if p := r.parent; p != nil && r.stopping == "" {
			if parent := m.runs[p.Run]; parent == nil || parent.state.Ended() || parent.childItem(r) == nil {
				facts = append(facts, gone{r, automation.Fact{
					Kind: automation.FactCancelAsked, At: now, By: "the scheduler", Reason: "the run that it is a part of has ended",
				}})
			}
		}
		for i := range r.steps {
			for j := range r.steps[i].items {
				it := &r.steps[i].items[j]
				if it.child == "" || it.state != automation.ItemRunning || m.runs[it.child] != nil {
					continue
				}
				facts = append(facts, gone{r, automation.Fact{
					Kind: automation.FactChildEnded, At: now, Step: i, Item: j, Attempt: it.attempt, Child: it.child,
					Outcome: &automation.Outcome{State: automation.ItemFailed, StartedAt: it.started, EndedAt: now, Error: &automation.Error{
						Code: automation.CodeUnknownOutcome, Message: "run " + string(it.child) + ", which carried it out, has ended, and how was not recorded here",
						Suggestion: "look at that run",
					}},
				}})
			}
		}
	}
	for _, g := range facts {
		m.mustHandle(g.run, g.f)
	}
}
