package simtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/workflow"
)

// margin is how long after a fault its consequences may still come: the longest
// span of a fault, two leases and the wait for an intent.
const margin = 60 * time.Second

// checker holds every commit to what is promised.
type checker struct {
	plans     map[automation.Digest]*workflow.Program
	runs      map[automation.RunID]*runState
	rules     []automation.Limit
	leader    automation.HostID
	epoch     int64 // the latest that was given
	lastFault time.Duration
	rates     map[string]time.Time // theoretical arrival times, by rule and value
	allowed   map[automation.AttemptKey]bool
	compared  int
	granted   []grant // by the commit that is looked at
}

// runState is what the checker knows of a run, from its facts alone.
type runState struct {
	id    automation.RunID
	fold  *machine.Fold
	prog  *workflow.Program
	begin *automation.Begin
	items map[[2]int]*itemState
	ended bool
}

type itemState struct {
	state   automation.ItemState
	attempt automation.AttemptKey
	host    automation.HostID
	epoch   int64
	granted time.Duration
	intent  map[int]bool // attempts whose intent is stored
	back    map[int]bool // attempts that were given back before they began
	target  *automation.Target
}

// grant is an item that a commit grants.
type grant struct {
	run  *runState
	fact *automation.Fact
	item *itemState
}

func newChecker() checker {
	return checker{
		plans: map[automation.Digest]*workflow.Program{}, runs: map[automation.RunID]*runState{}, rates: map[string]time.Time{},
		allowed: map[automation.AttemptKey]bool{}, lastFault: -time.Hour,
	}
}

// led is told of every leadership that was given.
func (w *world) led(id automation.HostID, epoch int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if epoch < w.epoch || epoch == w.epoch && id != w.leader {
		w.broke("host %s leads at epoch %d after host %s at %d", id, epoch, w.leader, w.epoch)
	}
	if epoch > w.epoch {
		w.counts["leaders"]++
	}
	w.leader, w.epoch = id, epoch
}

// accepted is told of every run that was accepted.
func (w *world) accepted(in, run automation.Run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts["runs"]++
	w.add(run, in.Begin)
	f := automation.Fact{Kind: automation.FactRunAccepted, At: run.Created, Tenant: run.Tenant, Plan: run.PlanHash, By: run.By, Begin: in.Begin}
	w.fact(w.runs[run.ID], &f, run.Seq)
}

func (w *world) add(run automation.Run, begin *automation.Begin) {
	prog := w.plans[run.PlanHash]
	w.runs[run.ID] = &runState{id: run.ID, prog: prog, fold: machine.NewFold(prog, run), begin: begin, items: map[[2]int]*itemState{}}
}

// committed is told of every commit of a leader.
func (w *world) committed(b *store.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts["commits"]++
	if b.Host != w.leader || b.Epoch != w.epoch {
		w.broke("a zombie's commit: host %s at epoch %d, and host %s leads at %d", b.Host, b.Epoch, w.leader, w.epoch)
	}
	for i := range b.Accepted {
		w.counts["children"]++
		w.add(b.Accepted[i], nil)
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		r := w.runs[e.Run]
		if r == nil || r.ended {
			w.broke("run %s is not open, and has new facts %v", e.Run, e.Facts)
			continue
		}
		for j := range e.Facts {
			w.fact(r, &e.Facts[j], e.Seq)
		}
	}
	for _, g := range w.granted { // the commit is one: what it ended makes room for what it grants
		w.withinLimits(g.run, g.fact, g.item)
	}
	w.granted = nil
	for i := range b.Runs {
		w.record(&b.Runs[i])
	}
}

// record checks what the leader says of a run against its facts.
func (w *world) record(u *automation.RunUpdate) {
	r := w.runs[u.Run]
	state, _ := r.fold.State()
	started, ended := r.fold.Times()
	if state != u.State || !started.Equal(u.Started) && u.State != automation.RunQueued || !ended.Equal(u.Ended) {
		w.broke("run %s is %s (%s to %s) by its record, and %s (%s to %s) by its facts", u.Run, u.State, u.Started, u.Ended, state, started, ended)
	}
	if r.ended {
		w.broke("run %s ends twice", u.Run)
	}
	if r.ended = u.State.Ended(); r.ended {
		w.counts["run "+string(u.State)]++
	}
}

// fact folds one fact of a run, and checks what it may do.
func (w *world) fact(r *runState, f *automation.Fact, seq int64) {
	if f.Kind == automation.FactAttemptGranted {
		w.mayStart(r, f)
	}
	changes, err := r.fold.Apply(automation.Entry{Seq: seq, Run: r.id, Facts: []automation.Fact{*f}})
	if err != nil {
		w.broke("run %s: a stored fact contradicts the others: %v", r.id, err)
		return
	}
	for i := range changes {
		if changes[i].Kind == machine.ChangeItem {
			w.change(r, &changes[i])
		}
	}
	it := r.item(f.Step, f.Item)
	switch f.Kind {
	case automation.FactAttemptGranted:
		it.attempt = automation.AttemptKey{Run: r.id, Step: f.Step, Item: f.Item, Attempt: f.Attempt}
		it.host, it.epoch, it.granted = f.Host, f.HostEpoch, w.sinceBegin()
		w.granted = append(w.granted, grant{r, f, it})
	case automation.FactAttemptStarted:
		if it.intent[f.Attempt] {
			w.broke("%v: a second intent", it.attempt)
		}
		it.intent[f.Attempt] = true
	case automation.FactAttemptEnded:
		w.outcome(r, f, it)
	default:
	}
}

func (r *runState) item(step, item int) *itemState {
	at := [2]int{step, item}
	it := r.items[at]
	if it == nil {
		it = &itemState{intent: map[int]bool{}, back: map[int]bool{}}
		r.items[at] = it
	}
	return it
}

// change checks what became of an item.
func (w *world) change(r *runState, c *machine.Change) {
	it := r.item(c.Step, c.Item)
	if it.state.Ended() {
		w.broke("%s/%d/%d was %s and is %s", r.id, c.Step, c.Item, it.state, c.ItemState)
	}
	it.state = c.ItemState
	if c.Element.Target != nil {
		it.target = c.Element.Target
	}
	switch {
	case c.ItemState == automation.ItemUnknown:
		w.counts["item unknown"]++
		if !w.allowed[it.attempt] && w.lastFault < it.granted-margin {
			w.broke("%v is unknown, and there was no fault", it.attempt)
		}
	case c.ItemState.Ended():
		w.counts["item "+string(c.ItemState)]++
	}
}

// outcome checks an attempt's end against the ledger.
func (w *world) outcome(r *runState, f *automation.Fact, it *itemState) {
	if f.Attempt != it.attempt.Attempt || f.Host != it.host || f.HostEpoch != it.epoch {
		w.broke("%v ends by attempt %d of host %s at %d", it.attempt, f.Attempt, f.Host, f.HostEpoch)
	}
	if e := f.Outcome.Error; e != nil && e.Code == automation.CodeReturned {
		it.back[f.Attempt] = true
		if w.acts[it.attempt] != nil {
			w.broke("%v was given back before it began, and it has acted", it.attempt)
		}
	}
	w.logged(it.attempt, f.Outcome)
	if f.Outcome.State == automation.ItemSucceeded && w.actOf(it.attempt).end != automation.ItemSucceeded {
		w.broke("%v succeeded, and its target has no such end", it.attempt)
	}
}

// mayStart checks a grant: what its step needs has ended, and its item is free.
func (w *world) mayStart(r *runState, f *automation.Fact) {
	w.counts["grants"]++
	steps := r.fold.Steps()
	for _, n := range r.prog.Plan().Steps[f.Step].Needs {
		if !steps[n].State.Ended() {
			w.broke("%s/%d/%d was granted before step %d had ended", r.id, f.Step, f.Item, n)
		}
	}
	it := r.item(f.Step, f.Item)
	if it.state.Open() || it.state == automation.ItemUnknown {
		w.broke("%s/%d/%d was granted while it is %s", r.id, f.Step, f.Item, it.state)
	}
	if effect := r.prog.Plan().Steps[f.Step].Effect; effect == automation.EffectOnce && w.begun[it.place()] > 0 {
		w.broke("%s/%d/%d has acted, and is granted again", r.id, f.Step, f.Item)
	}
	if begin := r.begin; begin != nil {
		for _, k := range begin.Kept {
			if k.Step == f.Step && k.Item == f.Item {
				w.broke("%s/%d/%d was granted, and is kept from the run before", r.id, f.Step, f.Item)
			}
		}
	}
}

// place is the item's attempts under one name.
func (it *itemState) place() automation.AttemptKey {
	k := it.attempt
	k.Attempt = 0
	return k
}

// allow notes that an attempt's outcome may be unknown whatever the faults.
func (w *world) allow(k automation.AttemptKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.allowed[k] = true
}

// compare holds the leader's machine to one that is made from what is stored.
func (w *world) compare(h *host, m *machine.Machine, now time.Time, epoch int64) {
	w.mu.Lock()
	w.compared++
	n := w.compared
	w.mu.Unlock()
	if leader, at := w.store.Leader(0); leader != h.id || at != epoch || n > 3 && !chance(w.dice.of("compare", n), 40) {
		return
	}
	w.hit("machines compared")
	if fault := m.Fault(now, false); fault != "" {
		w.violate("the leader's machine: %s", fault)
	}
	lived, replayed := m.Snapshot(), w.replayed(now)
	for key, v := range replayed {
		run, _, _ := strings.Cut(key, "/")
		if _, has := lived[run]; !has && v != (machine.Item{}) { // accepted meanwhile
			delete(replayed, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(lived)) {
		if w.weather.jumps { // by a clock that went back, a backoff that is over is not
			lived[key], replayed[key] = waiting(lived[key]), waiting(replayed[key])
		}
		if lived[key] != replayed[key] && (!strings.HasPrefix(key, "bucket ") || lived[key].Epoch > now.UnixNano()) {
			w.violate("the leader has %s as %+v; its facts give %+v", key, lived[key], replayed[key])
		}
		delete(replayed, key)
	}
	for key, v := range replayed {
		if !strings.HasPrefix(key, "bucket ") || v.Epoch > now.UnixNano() {
			w.violate("the leader has no %s; its facts give %+v", key, v)
		}
	}
}

func waiting(v machine.Item) machine.Item {
	if v.State == automation.ItemWaitingRetry || v.State == automation.ItemReady {
		v.State, v.Due = automation.ItemReady, time.Time{}
	}
	return v
}

// replayed is the machine made anew from the store.
func (w *world) replayed(now time.Time) map[string]machine.Item {
	limits := w.limits
	limits.Rules = w.rules
	m := machine.New(limits)
	ctx := context.Background()
	buckets, _ := w.store.Buckets(ctx, 0)
	m.SetBuckets(buckets)
	_, err := w.store.Replay(ctx, 0, func(e automation.Entry) error {
		if e.Facts[0].Kind == automation.FactRunAccepted {
			w.mu.Lock()
			prog := w.plans[e.Facts[0].Plan]
			w.mu.Unlock()
			if err := m.Accept(e.Run, &e.Facts[0], prog); err != nil {
				return fmt.Errorf("accept: %w", err)
			}
		}
		return m.Replay(e)
	})
	if err == nil {
		m.Recovered(now)
		_, err = m.Take()
	}
	m.Advance(now)
	if err != nil {
		w.violate("replay what is stored: %v", err)
	}
	return m.Snapshot()
}

// open returns the runs that have not ended, by identifier.
func (w *world) open() []automation.RunID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []automation.RunID
	for _, id := range slices.Sorted(maps.Keys(w.runs)) {
		if !w.runs[id].ended {
			out = append(out, id)
		}
	}
	return out
}

func (w *world) allEnded() bool { return len(w.open()) == 0 }

// atTheEnd reads everything back: the records, the facts and the ledger agree.
func (w *world) atTheEnd() {
	ctx := context.Background()
	w.follow()
	for _, id := range slices.Sorted(maps.Keys(w.runs)) {
		r := w.runs[id]
		run, err := w.store.Run(ctx, automation.DefaultTenant, id)
		if err != nil || !run.State.Ended() {
			w.violate("run %s has ended, and is stored as %s (%v)", id, run.State, err)
		}
		entries, err := w.store.RunEntries(ctx, automation.DefaultTenant, id, 0, 1<<20)
		if err != nil {
			w.violate("read run %s: %v", id, err)
		}
		again := machine.NewFold(r.prog, run)
		for _, e := range entries {
			if _, err := again.Apply(e); err != nil {
				w.violate("fold the stored facts of run %s: %v", id, err)
			}
		}
		if state, _ := again.State(); state != run.State {
			w.violate("run %s is stored as %s; its stored facts give %s", id, run.State, state)
		}
		w.logsAtTheEnd(id)
	}
}

// describe says where runs stand.
func (w *world) describe(runs []automation.RunID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, id := range runs {
		r := w.runs[id]
		state, _ := r.fold.State()
		fmt.Fprintf(&b, "%s %s:", id, state)
		for step := range r.prog.Plan().Steps {
			for _, it := range r.fold.Items(step, 0, 100) {
				if !it.State.Ended() {
					fmt.Fprintf(&b, " %d/%d %s", step, it.Index, it.State)
				}
			}
		}
		b.WriteString("; ")
	}
	return b.String()
}
