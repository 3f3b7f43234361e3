package machine

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// Program is a compiled plan: what the machine asks about a run. Its methods are
// pure. *workflow.Program implements it.
type Program interface {
	// Plan returns the plan itself.
	Plan() *workflow.Plan
	// Condition evaluates the step's `if`.
	Condition(step int, s *workflow.Scope) (bool, error)
	// Elements evaluates the step's fan-out.
	Elements(step int, s *workflow.Scope) ([]workflow.Element, error)
	// ReadsSteps reports whether the step's expressions read results of steps.
	ReadsSteps(step int) bool
	// Retry says whether a failed attempt of an element is tried again: by the step's
	// retry.if, else by the error itself.
	Retry(step int, s *workflow.Scope, e workflow.Element, f workflow.Failure) (bool, error)
	// Input evaluates the step's `with` for one element.
	Input(step int, s *workflow.Scope, e workflow.Element) (json.RawMessage, error)
	// ConcurrencyKey evaluates the step's concurrency_key for one element.
	ConcurrencyKey(step int, s *workflow.Scope, e workflow.Element) (string, error)
	// Outputs evaluates the run's outputs after its last step; nil: it has none.
	Outputs(s *workflow.Scope) (json.RawMessage, error)
}

var _ Program = (*workflow.Program)(nil)

// Machine is the state of every open run of a shard.
type Machine struct {
	limits  Limits
	rules   rules
	runs    map[automation.RunID]*run
	lines   []*queueLine // by name
	carried line         // of what the scheduler carries out itself
	timers  timers
	// counters are the limits that anything counts against or waits for; buckets
	// what the rates have left, by counter.
	counters map[counter]*limit
	buckets  map[string]int64
	calendar Calendar  // nil: no maintenance windows
	swept    int       // how many buckets there were when they were looked through
	turns    uint64    // that were taken
	latest   time.Time // of Grant or SetLimits
	open     int       // attempts that are out on hosts
	openOn   map[automation.HostID]int
	waiting  map[string]int // items that wait, by task queue
	out      output
	children children // what is left to do between runs and their parents
	// observe, when set, receives every change (a Fold's view of its run).
	observe func(Change)
}

// New returns a machine without runs.
func New(l Limits) *Machine {
	if l.MaxLost == 0 {
		l.MaxLost = 5
	}
	return &Machine{
		limits:   l,
		rules:    newRules(l.Rules),
		runs:     map[automation.RunID]*run{},
		counters: map[counter]*limit{},
		buckets:  map[string]int64{},
		openOn:   map[automation.HostID]int{},
		waiting:  map[string]int{},
	}
}

// run is one run's state.
type run struct {
	id       automation.RunID
	tenant   automation.TenantID
	program  Program
	plan     *workflow.Plan
	scope    *workflow.Scope
	steps    []step
	state    automation.RunState
	err      *automation.Error
	accepted time.Time
	started  time.Time
	paused   time.Time // the latest pause; zero without one
	ended    time.Time
	left     int // steps that have not ended
	open     int // attempts that are out on hosts
	// stopping is why nothing more starts: cancelled or failed; "" while it goes on.
	stopping automation.RunState
	kept     map[place]*automation.KeptItem // not to be run again; those of steps that have not opened
	lanes    []*lane                        // of the priorities that its items have
	facts    []automation.Fact              // recorded and not yet taken
	touched  bool                           // it is in the machine's output
	changed  bool                           // its record changed since the last Take

	by       string
	deadline time.Time          // by its timeout; zero: none
	timeout  time.Duration      // the same from its acceptance
	outputs  json.RawMessage    // once it has succeeded
	parent   *automation.Parent // of a sub-workflow's run
	target   *automation.Target // that its parent's item has
	children int                // items that runs of sub-workflows carry out

	// listening are the items that wait for an event, by its name; it may hold items
	// that do not wait any more. early are events that nothing has waited for.
	listening  map[string][]*item
	early      []early
	earlyBytes int
	delivered  int // items that the latest event was given to
}

// step is one step's state.
type step struct {
	run    *run
	index  int
	plan   *workflow.PlanStep
	needed []int // steps that need this one
	blocks int   // steps that this one needs and that have not ended
	state  automation.ItemState
	items  []item
	left   int // items that have not ended
	counts map[automation.ItemState]int
	limit  *limit             // max_parallel; nil without one
	flows  []*flow            // of its items that wait, by queue
	groups map[groupKey]*flow // those below, of items with limits of their own
	bound  []*limit           // of the flows
	// released items have been let go, in waves; halted: no more will be.
	released, wave int
	halted         bool
	uncertain      bool              // it is not known of an item what it did
	stopAt         int               // failed items that halt the step; 0: none do
	late           *automation.Error // its time was up; nil while it is not
}

// item is one item's state.
type item struct {
	step    *step
	index   int
	state   automation.ItemState
	element workflow.Element
	kept    bool // its outcome is the run's before
	attempt int  // the latest attempt's number; 0 before the first
	lost    int  // attempts that were lost with their host, or given back by it
	back    int  // those that were given back before they began
	intent  bool
	queued  bool     // it stands in a flow
	cancel  bool     // its host was told to stop
	since   int64    // when it became ready, in nanoseconds
	in      *flow    // where it stands, or stood last
	group   *flow    // where it stands with limits of its own
	alone   *flow    // where it stands for its asset
	held    []*limit // that it counts against, while it is out
	ckey    string   // its concurrency key, once keyed is set
	keyed   bool
	host    automation.HostID
	epoch   int64
	granted time.Time
	started time.Time
	ended   time.Time
	due     time.Time         // end of a wait or a backoff
	late    *automation.Error // the time that was up while it was out on its host
	outcome *automation.Outcome
	child   automation.RunID // the latest run that carries it out; "": none
	// uncounted are attempts outside the retries: lost, or said not to have run.
	uncounted int
	wait      *automation.Wait   // what it waits for beside its time
	answer    *automation.Answer // what it was told
	command   automation.Digest  // of the latest intent
	begun     *automation.Begun  // what an attempt that was cut off may have begun, guarded
	round     int                // how often somebody said that it had not run
}

// Len returns the number of runs that have not ended.
func (m *Machine) Len() int { return len(m.runs) }

// OpenAttempts returns the number of attempts that are out on hosts.
func (m *Machine) OpenAttempts() int { return m.open }

// OpenOn returns the number of attempts that are out on one host, at any epoch.
func (m *Machine) OpenOn(host automation.HostID) int { return m.openOn[host] }

// Waiting returns how many items are ready or parked, by task queue.
func (m *Machine) Waiting() map[string]int { return maps.Clone(m.waiting) }

// stand counts an item that begins or ceases to wait in its task queue.
func (m *Machine) stand(it *item, was, is automation.ItemState) {
	before, now := waits(was), waits(is)
	if before == now || it.step.plan.Scheduler || m.observe != nil {
		return
	}
	queue := it.queueOf()
	if now {
		m.waiting[queue]++
		return
	}
	if m.waiting[queue]--; m.waiting[queue] == 0 {
		delete(m.waiting, queue)
	}
}

func waits(s automation.ItemState) bool {
	return s == automation.ItemReady || s == automation.ItemParked
}

// goesOut and comesIn count an attempt that goes to a host, and one that ends there.
func (m *Machine) goesOut(it *item) {
	it.step.run.open++
	m.open++
	m.openOn[it.host]++
}

func (m *Machine) comesIn(it *item) {
	it.step.run.open--
	m.open--
	if m.openOn[it.host]--; m.openOn[it.host] == 0 {
		delete(m.openOn, it.host)
	}
}

// Reject ends a run that can't be scheduled: its record becomes failed with the
// cause, and what the machine holds of it goes.
func (m *Machine) Reject(id automation.RunID, at time.Time, cause *automation.Error) {
	r := m.runs[id]
	if r == nil {
		r = &run{id: id}
		m.runs[id] = r
	}
	m.askChildren(r, automation.Fact{Kind: automation.FactCancelAsked, At: at, By: "run " + string(id), Reason: "it can't be scheduled any more"})
	for i := range r.steps {
		for j := range r.steps[i].items {
			it := &r.steps[i].items[j]
			if it.holds() {
				m.release(it, at)
			}
			if it.state.Open() && !it.step.plan.Scheduler {
				m.comesIn(it)
			}
			m.stand(it, it.state, automation.ItemCancelled)
			it.state = automation.ItemCancelled // lines and timers pass over it
		}
	}
	for i := range r.steps {
		m.disperse(&r.steps[i], at)
		m.unbind(&r.steps[i])
	}
	*r = run{id: id, state: automation.RunFailed, err: cause, ended: at, changed: true, parent: r.parent, touched: r.touched}
	m.out.touch(r)
	if r.parent != nil {
		m.children.ended = append(m.children.ended, r)
	}
}

// RejectAccepted is Reject of a run whose first fact could not be folded.
func (m *Machine) RejectAccepted(id automation.RunID, f *automation.Fact, cause *automation.Error) {
	if f.Begin != nil && m.runs[id] == nil {
		m.runs[id] = &run{id: id, parent: f.Begin.Parent}
	}
	m.Reject(id, f.At, cause)
}

// Has reports whether the machine holds the run.
func (m *Machine) Has(id automation.RunID) bool { return m.runs[id] != nil }

// runInfo is what a run's expressions can read of the run itself.
func runInfo(id automation.RunID, f *automation.Fact, plan *workflow.Plan) workflow.RunInfo {
	out := workflow.RunInfo{ID: id, Workflow: plan.Workflow, By: f.By, Created: f.At}
	if f.Begin != nil {
		out.Scheduled = f.Begin.Scheduled
	}
	return out
}

// Open reports whether the machine holds the run and it has not ended.
func (m *Machine) Open(id automation.RunID) bool {
	return m.runs[id] != nil && !m.runs[id].state.Ended()
}

// Accept adds a run: the fold of its first fact, run_accepted. What the machine
// derives at once (a step skipped, say) is recorded for Take.
func (m *Machine) Accept(id automation.RunID, f *automation.Fact, p Program) error {
	if m.runs[id] != nil {
		return stale("run %s is accepted already", id)
	}
	plan, at := p.Plan(), f.At
	r := &run{
		id: id, tenant: f.Tenant, program: p, plan: plan, accepted: at, state: automation.RunQueued,
		steps: make([]step, len(plan.Steps)), left: len(plan.Steps),
		scope: workflow.NewScope(runInfo(id, f, plan), len(plan.Steps)),
		by:    f.By, timeout: plan.Timeout,
	}
	if b := f.Begin; b != nil {
		r.parent, r.target = b.Parent, b.Target
		r.scope.Begin(b)
		if b.Timeout > 0 {
			r.timeout = b.Timeout
		}
	}
	m.runs[id] = r
	r.keep(f.Begin)
	for i := range plan.Steps {
		s := &r.steps[i]
		*s = step{run: r, index: i, plan: &plan.Steps[i], state: automation.ItemBlocked, blocks: len(plan.Steps[i].Needs)}
		for _, n := range s.plan.Needs {
			r.steps[n].needed = append(r.steps[n].needed, i)
		}
	}
	m.changedRun(r, at)
	if r.timeout > 0 {
		r.deadline = at.Add(r.timeout)
		m.wake(timer{at: r.deadline, run: r.id, deadline: automation.TimerRun})
	}
	for i := range r.steps {
		if r.steps[i].blocks == 0 && r.steps[i].state == automation.ItemBlocked {
			m.openStep(&r.steps[i], at)
		}
	}
	m.settle(r, at)
	return nil
}

// Replay folds a stored entry, except a run's first fact (Accept does that one).
// An error means that the stored facts contradict each other.
func (m *Machine) Replay(e automation.Entry) error {
	for i := range e.Facts {
		f := &e.Facts[i]
		if f.Kind == automation.FactRunAccepted {
			continue
		}
		r := m.runs[e.Run]
		if r == nil {
			return stale("entry %d: run %s has ended or was never accepted", e.Seq, e.Run)
		}
		if err := m.fold(r, f); err != nil {
			return fmt.Errorf("entry %d of run %s, fact %d (%s): %w", e.Seq, e.Run, i, f.Kind, err)
		}
	}
	m.children.asked = nil // the commit that stored the entry has what came of it
	return nil
}

// Handle folds a new fact and records it. A fact that does not fit the state (the
// outcome of an attempt that is not the item's latest, say) is an error with
// code conflict; it changes nothing and is not recorded.
func (m *Machine) Handle(id automation.RunID, f automation.Fact) error {
	r := m.runs[id]
	if r == nil {
		return stale("run %s is not open", id)
	}
	if err := m.check(r, &f); err != nil {
		return err
	}
	m.out.add(r, f)
	return m.fold(r, &f)
}

func stale(format string, args ...any) error {
	return automation.Errorf(automation.CodeConflict, format, args...)
}
