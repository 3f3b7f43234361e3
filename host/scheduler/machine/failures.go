package machine

import (
	"cmp"
	"slices"

	"opsconductor.dev/host/automation"
)

// The bounds of a run's failures.
const (
	maxFailures = 100 // groups
	maxExamples = 5   // items of a group
)

// Failure is items of a step that ended badly for the same cause: with one code,
// and messages that differ in names and numbers alone.
type Failure struct {
	Step      int
	StepID    string
	Code      automation.Code
	Signature string
	Error     *automation.Error // the first item's
	Count     int
	First     []ItemView // at most 5
}

// Failures groups the items that failed or are unknown by their error's signature,
// the largest group first, and returns how many items there are in all. There are
// at most 100 groups: total is more than they count when some were left out.
func (f *Fold) Failures() (groups []Failure, total int) {
	if f.r == nil {
		return nil, 0
	}
	for i := range f.r.steps {
		found, n := f.stepFailures(i)
		groups, total = append(groups, found...), total+n
	}
	slices.SortStableFunc(groups, func(a, b Failure) int { return cmp.Compare(b.Count, a.Count) })
	groups = slices.Clip(groups[:min(len(groups), maxFailures)])
	for i := range groups {
		for j := range groups[i].First {
			groups[i].First[j] = f.Items(groups[i].Step, groups[i].First[j].Index, 1)[0]
		}
	}
	return groups, total
}

type failureKey struct {
	code      automation.Code
	signature string
}

// stepFailures groups a step's items in their order.
func (f *Fold) stepFailures(step int) (groups []Failure, total int) {
	s := &f.r.steps[step]
	if s.counts[automation.ItemFailed]+s.counts[automation.ItemUnknown] == 0 {
		return nil, 0
	}
	at := map[failureKey]int{}
	for i := range s.items {
		it := &s.items[i]
		if it.state != automation.ItemFailed && it.state != automation.ItemUnknown {
			continue
		}
		total++
		e := &automation.Error{Code: automation.CodeInternal}
		if it.outcome != nil && it.outcome.Error != nil {
			e = it.outcome.Error
		}
		key := failureKey{e.Code, f.signature(it, e)}
		place, known := at[key]
		if !known {
			place = len(groups)
			at[key] = place
			groups = append(groups, Failure{Step: step, StepID: s.plan.ID, Code: e.Code, Signature: key.signature, Error: e})
		}
		g := &groups[place]
		g.Count++
		if len(g.First) < maxExamples {
			g.First = append(g.First, ItemView{Index: i})
		}
	}
	return groups, total
}

// signature is an error's, reckoned once: a run may have many of them, and is
// looked at again and again.
func (f *Fold) signature(it *item, e *automation.Error) string {
	if s, ok := f.signatures[e]; ok {
		return s
	}
	var own []string
	if t := it.element.Target; t != nil {
		own = []string{string(t.ID), t.Name, t.Address}
	}
	s := automation.Signature(e.Message, own...)
	if f.signatures == nil {
		f.signatures = map[*automation.Error]string{}
	}
	if it.outcome != nil && it.outcome.Error == e {
		f.signatures[e] = s
	}
	return s
}
