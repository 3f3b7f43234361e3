package machine

import (
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// ChangeKind says what changed.
type ChangeKind string

// The kinds of changes.
const (
	ChangeRun  ChangeKind = "run"
	ChangeItem ChangeKind = "item"
)

// Change is a change of a run's or an item's state, as a Fold sees it.
type Change struct {
	At       time.Time
	Kind     ChangeKind
	RunState automation.RunState // kind run
	// Kind item:
	Step      int
	StepID    string
	Item      int
	Attempt   int
	ItemState automation.ItemState
	Element   workflow.Element
	// Wait is what somebody has to give for the item to go on (running); nil: nothing.
	Wait *automation.Wait
	// Error is why, for a state that has a cause.
	Error *automation.Error
}

// Fold is the state of one run, from its entries: the same machine that
// schedules draws it, so what is shown is what is. Not safe for concurrent use.
type Fold struct {
	m       *Machine
	r       *run
	id      automation.RunID
	run     automation.Run
	program Program
	changes []Change
	// signatures of errors, as far as they were asked for.
	signatures map[*automation.Error]string
	seq        int64
	// scheduled is the time of the schedule that the run is for; zero: none.
	scheduled time.Time
	// taken are the commands that the run has taken, with the number of items that
	// each was given to.
	taken map[automation.CommandID]int
}

// NewFold returns the fold of a run before its first entry.
func NewFold(p Program, run automation.Run) *Fold {
	f := &Fold{m: New(Limits{}), id: run.ID, run: run, program: p}
	f.m.observe = func(c Change) { f.changes = append(f.changes, c) }
	return f
}

// Apply folds the run's next entry and returns what it changed, in order.
func (f *Fold) Apply(e automation.Entry) ([]Change, error) {
	f.changes = nil
	for i := range e.Facts {
		fact := &e.Facts[i]
		if fact.Kind == automation.FactRunAccepted {
			if err := f.m.Accept(f.id, fact, f.program); err != nil {
				return nil, err
			}
			f.r = f.m.runs[f.id]
			f.scheduled = runInfo(f.id, fact, f.r.plan).Scheduled
			continue
		}
		if f.r == nil {
			return nil, stale("entry %d: the run was never accepted", e.Seq)
		}
		if err := f.m.fold(f.r, fact); err != nil {
			return nil, err
		}
		f.take(fact)
	}
	f.seq = e.Seq
	f.m.out.runs, f.m.out.cancels, f.m.out.approvals, f.m.children = nil, nil, nil, children{} // a view decides nothing
	return f.changes, f.m.out.fault
}

// Seq returns the number of the last entry that was folded; 0 before the first.
func (f *Fold) Seq() int64 { return f.seq }

// State returns the run's state and why it failed or was cancelled.
func (f *Fold) State() (automation.RunState, *automation.Error) {
	if f.r == nil {
		return automation.RunQueued, nil
	}
	return f.r.state, f.r.err
}

// Times returns when the run started and ended; zero while it has not.
func (f *Fold) Times() (started, ended time.Time) {
	if f.r == nil {
		return started, ended
	}
	return f.r.started, f.r.ended
}

// StepView is a step as people see it.
type StepView struct {
	ID     string
	State  automation.ItemState
	Items  int // 0 before the step's fan-out is known
	Counts map[automation.ItemState]int
}

// Steps returns the run's steps in the plan's order.
func (f *Fold) Steps() []StepView {
	plan := f.program.Plan()
	views := make([]StepView, len(plan.Steps))
	for i := range plan.Steps {
		views[i] = StepView{ID: plan.Steps[i].ID, State: automation.ItemBlocked, Counts: map[automation.ItemState]int{}}
		if f.r == nil {
			continue
		}
		s := &f.r.steps[i]
		views[i].State, views[i].Items = s.state, len(s.items)
		for j := range s.items {
			views[i].Counts[s.items[j].state]++
		}
		switch {
		case s.state.Ended() || s.state == automation.ItemBlocked || !s.active():
		case views[i].Counts[automation.ItemUnknown] == s.left:
			views[i].State = automation.ItemUnknown
		default:
			views[i].State = automation.ItemRunning
		}
	}
	return views
}

// active reports whether something of the step has begun.
func (s *step) active() bool {
	for i := range s.items {
		if st := s.items[i].state; st.Open() || st.Ended() || st == automation.ItemWaitingRetry || st == automation.ItemUnknown {
			return true
		}
	}
	return false
}

// ItemView is an item as people see it.
type ItemView struct {
	Step    int
	StepID  string
	Index   int
	Element workflow.Element
	State   automation.ItemState
	Attempt int  // the latest attempt's number; 0 before the first
	Kept    bool // it was not run: the outcome is the same item's of the run before
	Host    automation.HostID
	Granted time.Time
	Started time.Time // when it began to act, or its worker began it; zero if not known
	Ended   time.Time
	Due     time.Time // waiting_retry: when the next attempt may begin; a wait: its end
	Outcome *automation.Outcome
	Child   automation.RunID   // the run that carries it out; "": none
	Wait    *automation.Wait   // what it waits for now; nil: nothing that somebody gives
	Answer  *automation.Answer // what it was told; nil: nothing
}

// Items returns the items of a step from index from on, at most limit. A step
// that has not fanned out has one item, blocked.
func (f *Fold) Items(stepIndex, from, limit int) []ItemView {
	plan := f.program.Plan()
	if f.r == nil || f.r.steps[stepIndex].items == nil {
		if from > 0 || limit < 1 {
			return nil
		}
		return []ItemView{{Step: stepIndex, StepID: plan.Steps[stepIndex].ID, State: automation.ItemBlocked}}
	}
	items := f.r.steps[stepIndex].items
	var views []ItemView
	for i := from; i < len(items) && len(views) < limit; i++ {
		it := &items[i]
		v := ItemView{
			Step: stepIndex, StepID: it.step.plan.ID, Index: i, Element: it.element, State: it.state, Attempt: it.attempt,
			Kept: it.kept, Host: it.host, Granted: it.granted, Started: it.started, Ended: it.ended, Outcome: it.outcome, Child: it.child, Answer: it.answer,
		}
		if it.state == automation.ItemRunning {
			v.Wait = it.wait
		}
		if it.state == automation.ItemWaitingRetry || it.state == automation.ItemRunning && it.step.plan.Scheduler && it.child == "" {
			v.Due = it.due
		}
		if v.Started.IsZero() && it.outcome != nil {
			v.Started = it.outcome.StartedAt
		}
		views = append(views, v)
	}
	return views
}

// Scheduled returns the time of the schedule that the run is for; zero: none.
func (f *Fold) Scheduled() time.Time { return f.scheduled }

// take notes the command that a fact came by.
func (f *Fold) take(fact *automation.Fact) {
	if fact.Told == nil || fact.Told.Command == "" {
		return
	}
	if f.taken == nil {
		f.taken = map[automation.CommandID]int{}
	}
	f.taken[fact.Told.Command] = 1
	if fact.Kind == automation.FactEventReceived {
		f.taken[fact.Told.Command] = f.r.delivered
	}
}

// Taken reports whether the run has taken a command, and how many items it was
// given to: 0 for an event that is kept.
func (f *Fold) Taken(id automation.CommandID) (items int, ok bool) {
	items, ok = f.taken[id]
	return items, ok
}

// Check says whether the leader would take a fact if the run is still as it is
// here; nil when it would. The error is for the one who asks for it.
func (f *Fold) Check(fact automation.Fact) error {
	if f.r == nil {
		return stale("the run has not begun")
	}
	return f.m.check(f.r, &fact)
}
