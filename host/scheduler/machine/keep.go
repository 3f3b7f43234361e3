package machine

import (
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// place is where an item stands in its run.
type place struct{ step, item int }

// keep notes the items that a rerun does not run again.
func (r *run) keep(b *automation.Begin) {
	if b == nil || len(b.Kept) == 0 {
		return
	}
	r.kept = make(map[place]*automation.KeptItem, len(b.Kept))
	for i := range b.Kept {
		if k := &b.Kept[i]; k.Outcome != nil && k.Outcome.State == automation.ItemSucceeded {
			r.kept[place{k.Step, k.Item}] = k
		}
	}
}

// takeKept ends an item with the outcome that it had in the run before, when it is
// kept, and reports whether it is.
func (m *Machine) takeKept(it *item, at time.Time) bool {
	r, p := it.step.run, place{it.step.index, it.index}
	k := r.kept[p]
	if k == nil {
		return false
	}
	delete(r.kept, p)
	it.attempt, it.kept = k.Attempt, true
	m.endItem(it, k.Outcome, at)
	return true
}

// Kept returns what a rerun of the run takes over from it: the items that
// succeeded and that nothing which is run again could have changed. With whole,
// steps are kept whole or run again whole, else target by target. The run has ended.
//
// A step is settled when it ended well (or its condition was false), everything
// that it needs is settled, and no step made good for it: its items are all kept.
// An item of another step is kept when it succeeded on its target, the same target
// is kept in every step that its step needs, and its step reads no results of steps.
func (f *Fold) Kept(whole bool) []automation.KeptItem {
	if f.r == nil {
		return nil
	}
	k := keeper{r: f.r, whole: whole, steps: make([]keptStep, len(f.r.steps))}
	for i := range f.r.steps {
		k.step(i)
	}
	return k.kept
}

// keeper decides step by step what is kept; needs come before what needs them.
type keeper struct {
	r     *run
	whole bool
	steps []keptStep
	kept  []automation.KeptItem
}

// keptStep is what is kept of a step: everything, or what it did on some targets.
type keptStep struct {
	settled bool
	targets map[automation.AssetID]bool
}

func (k *keeper) step(i int) {
	s := &k.r.steps[i]
	settled := s.state == automation.ItemSucceeded || s.state == automation.ItemSkipped
	for _, n := range s.plan.Needs {
		settled = settled && k.steps[n].settled
	}
	undone := k.undone(i)
	k.steps[i].settled = settled && !undone
	if !k.steps[i].settled && (k.whole || undone || !k.byTarget(s)) {
		return
	}
	k.steps[i].targets = map[automation.AssetID]bool{}
	for j := range s.items {
		it := &s.items[j]
		if it.state != automation.ItemSucceeded || !k.steps[i].settled && !k.before(it) {
			continue
		}
		if t := it.element.Target; t != nil {
			k.steps[i].targets[t.ID] = true
		}
		k.kept = append(k.kept, automation.KeptItem{Step: i, Item: j, Attempt: it.attempt, Outcome: it.outcome})
	}
}

// undone reports whether a step that makes good for step i did something.
func (k *keeper) undone(i int) bool {
	for j := range k.r.steps {
		s := &k.r.steps[j]
		if s.state != automation.ItemSkipped && slices.Contains(s.plan.Compensates, i) {
			return true
		}
	}
	return false
}

// byTarget reports whether each item of a step depends on its own target alone.
func (k *keeper) byTarget(s *step) bool {
	return s.plan.ForEach != nil && s.plan.ForEach.Targets && !k.r.program.ReadsSteps(s.index)
}

// before reports whether all that an item's step needs is kept on its target.
func (k *keeper) before(it *item) bool {
	for _, n := range it.step.plan.Needs {
		if !k.steps[n].settled && !k.steps[n].targets[it.element.Target.ID] {
			return false
		}
	}
	return true
}
