package machine_test

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
)

// spot is an item of a run.
type spot struct {
	run        automation.RunID
	step, item int
}

// tell tells a random run something: what an item waits for, what nobody asked
// for, or the same once more. What does not fit is refused and changes nothing.
func (w *world) tell() {
	if len(w.open) == 0 {
		return
	}
	run := w.open[w.r.IntN(len(w.open))]
	switch w.r.IntN(8) {
	case 0, 1:
		w.event(run)
	case 2:
		w.tellLate()
	case 3:
		w.tellNobody(run)
	default:
		if asked := w.m.Asked(run); len(asked) > 0 {
			w.answer(asked[w.r.IntN(len(asked))])
		}
	}
}

// must tells a run what fits.
func (w *world) mustTell(run automation.RunID, f automation.Fact) {
	w.t.Helper()
	if err := w.m.Handle(run, f); err != nil {
		w.t.Fatalf("%s of %s: %v", f.Kind, run, err)
	}
	w.said, w.saidOf = append(w.said, f), append(w.saidOf, run)
	w.count["told "+string(f.Kind)]++
}

func (w *world) answer(a machine.Question) {
	f := automation.Fact{At: w.now, Step: a.Step, Item: a.Item, By: "walker"}
	switch {
	case a.State == automation.ItemUnknown:
		f.Kind = automation.FactItemResolved
		f.Told = &automation.Told{Resolution: automation.Resolutions()[w.r.IntN(3)]}
		if f.Told.Resolution == automation.ResolutionRan {
			f.Told.Outcome = &automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{}`)}
			if w.r.IntN(2) == 0 {
				f.Told.Outcome = &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodePluginFailed}}
			}
		}
		w.count[string(f.Told.Resolution)]++
	case a.For == automation.WaitForApproval && w.now.Before(a.Due):
		f.Kind = automation.FactDecisionGiven
		f.Told = &automation.Told{Decision: automation.Decisions()[w.r.IntN(2)]}
		w.count[string(f.Told.Decision)]++
	default:
		return
	}
	w.mustTell(a.Run, f)
	if f.Told.Resolution == automation.ResolutionDidNotRun { // so it had not begun to act
		delete(w.starts, automation.AttemptKey{Run: a.Run, Step: a.Step, Item: a.Item, Attempt: a.Attempt})
	}
	if a.Lost > 0 {
		w.count["lost, then told"]++
	}
}

// event sends an event: those that wait for its name have it, and only those.
func (w *world) event(run automation.RunID) {
	if w.m.Stopping(run) {
		return
	}
	name := eventName(w.r.IntN(3))
	var want []machine.Question
	for _, a := range w.m.Asked(run) {
		if a.For == automation.WaitForEvent && a.Event == name && w.now.Before(a.Due) {
			want = append(want, a)
		}
	}
	n := strconv.Itoa(len(w.said))
	f := automation.Fact{Kind: automation.FactEventReceived, At: w.now, Told: &automation.Told{Event: name, Payload: json.RawMessage(`{"n":` + n + `}`)}}
	before := w.m.Kept(run)
	w.mustTell(run, f)
	for _, a := range w.m.Asked(run) {
		if slices.ContainsFunc(want, func(q machine.Question) bool { return q.Step == a.Step && q.Item == a.Item }) && a.Event == name {
			w.t.Fatalf("%s/%d/%d still waits for %s, which has come", run, a.Step, a.Item, name)
		}
	}
	kept := w.m.Kept(run) - before
	if w.m.Has(run) && kept != 1 && len(want) == 0 || kept != 0 && len(want) > 0 {
		w.t.Fatalf("%d items waited for %s, and %d events more are kept", len(want), name, kept)
	}
	w.count[map[bool]string{true: "delivered", false: "event kept"}[len(want) > 0]]++
}

// tellLate tells once more what was told before: an answer is refused.
func (w *world) tellLate() {
	if len(w.said) == 0 {
		return
	}
	i := w.r.IntN(len(w.said))
	f, run := w.said[i], w.saidOf[i]
	if f.Kind == automation.FactEventReceived || slices.ContainsFunc(w.m.Asked(run), func(a machine.Question) bool {
		return a.Step == f.Step && a.Item == f.Item // it is asked again: lost once more
	}) {
		return
	}
	w.refused(run, f)
	w.count["told again"]++
}

// tellNobody answers what nobody asked, or what nobody asks any more.
func (w *world) tellNobody(run automation.RunID) {
	step, item := w.r.IntN(6), w.r.IntN(3)
	for _, a := range w.m.Asked(run) {
		if a.Step != step || a.Item != item {
			continue
		}
		if a.For == automation.WaitForApproval { // the time is over in the very moment in which it ends
			w.refused(run, automation.Fact{Kind: automation.FactDecisionGiven, At: a.Due, Step: step, Item: item, Told: &automation.Told{Decision: automation.DecisionApprove}})
			w.count["told late"]++
		}
		return
	}
	w.refused(run, automation.Fact{Kind: automation.FactDecisionGiven, At: w.now, Step: step, Item: item, Told: &automation.Told{Decision: automation.DecisionApprove}})
	w.refused(run, automation.Fact{Kind: automation.FactItemResolved, At: w.now, Step: step, Item: item, Told: &automation.Told{Resolution: automation.ResolutionAbandon}})
}

func (w *world) refused(run automation.RunID, f automation.Fact) {
	w.t.Helper()
	before := w.m.Snapshot()
	if err := w.m.Handle(run, f); automation.CodeOf(err) != automation.CodeConflict {
		w.t.Fatalf("%s of %s/%d/%d was taken: %v", f.Kind, run, f.Step, f.Item, err)
	}
	if diff := cmp.Diff(before, w.m.Snapshot()); diff != "" {
		w.t.Fatalf("a refused %s changed the state:\n%s", f.Kind, diff)
	}
}

// answerAll answers every question that is open but the waits for events, whose
// time is up one day.
func (w *world) answerAll() {
	for _, run := range w.open {
		for _, a := range w.m.Asked(run) {
			if a.State == automation.ItemUnknown {
				w.count["unknown at the end"]++
			}
			if slices.ContainsFunc(w.m.Asked(run), func(now machine.Question) bool { return now == a }) {
				w.answer(a)
			}
		}
	}
}

// approvals checks the records of approvals: each is asked once and ended once.
func (w *world) approvals(list []automation.Approval) {
	for _, a := range list {
		at := spot{a.Run, a.StepIndex, a.Item}
		last, asked := w.asked[at]
		if asked && last.State != automation.ApprovalPending && last != a {
			w.t.Fatalf("approval %v was %s and is %s", at, last.State, a.State)
		}
		if last != a {
			w.count["approval "+string(a.State)]++
		}
		w.asked[at] = a
	}
}
