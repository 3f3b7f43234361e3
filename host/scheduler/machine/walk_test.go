package machine_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/calendar"
	"opsconductor.dev/host/scheduler/machine"
)

// world is what surrounds the machine in the walk: the log, the hosts, the clock.
type world struct {
	t      *testing.T
	r      *rand.Rand
	m      *machine.Machine
	limits machine.Limits
	now    time.Time
	epoch  int64
	log    []automation.Entry
	progs  map[automation.RunID]*program
	ended  map[automation.RunID]automation.RunState
	open   []automation.RunID
	out    []automation.Attempt // at work
	told   map[automation.AttemptKey]bool
	paused map[automation.RunID]bool
	clock  deadlines
	done   []automation.Fact // outcomes of attempts that have ended, to deliver again
	doneOf []automation.RunID
	starts map[automation.AttemptKey]bool
	count  map[string]int
	// rates are when attempts started by a rate since the rules changed; buckets are
	// what the store has of them.
	rates   map[count][]time.Time
	buckets map[string]int64
	to      machine.Lease // of the latest grant
	past    []pastRun     // the latest runs that ended: to rerun
	kept    map[automation.RunID]map[[2]int]bool
	family
	// calendar is a second one of the machine's windows; nil: none.
	calendar *calendar.Calendar
	asked    map[spot]automation.Approval // the latest record of each approval
	said     []automation.Fact            // what was told, to be told again
	saidOf   []automation.RunID
}

func (w *world) accept() {
	if len(w.open) > 12 {
		return
	}
	id := automation.RunID("run-" + strconv.Itoa(len(w.progs)))
	p, first := randomProgram(w.r, id, 2), *accepted(w.now)
	if len(w.past) > 0 && w.r.IntN(3) == 0 {
		p, first.Begin = w.rerun()
		w.kept[id] = map[[2]int]bool{}
		for _, k := range first.Begin.Kept {
			w.kept[id][[2]int{k.Step, k.Item}] = true
		}
	}
	w.progs[id] = p
	w.open = append(w.open, id)
	w.log = append(w.log, automation.Entry{Run: id, Facts: []automation.Fact{first}})
	if err := w.m.Accept(id, &first, p); err != nil {
		w.t.Fatalf("accept: %v", err)
	}
	w.count["accept"]++
}

func (w *world) report() {
	if len(w.out) == 0 {
		return
	}
	i := w.r.IntN(len(w.out))
	a := w.out[i]
	w.out = append(w.out[:i], w.out[i+1:]...)
	o := &automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{}`)}
	switch w.r.IntN(6) {
	case 0, 1:
		o = &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeUnreachable, CanRetry: true}}
	case 2:
		o = &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodePluginFailed}}
	case 3:
		if w.told[a.AttemptKey] {
			o = &automation.Outcome{State: automation.ItemCancelled, Error: &automation.Error{Code: automation.CodeCancelled}}
		} else if w.r.IntN(4) == 0 {
			o = &automation.Outcome{State: automation.ItemUnknown, Error: &automation.Error{Code: automation.CodeLost}}
		}
	}
	f := outcome(a, w.now, o)
	if err := w.m.Handle(a.Run, f); err != nil {
		w.t.Fatalf("outcome of %v: %v", a.AttemptKey, err)
	}
	w.done, w.doneOf = append(w.done, f), append(w.doneOf, a.Run)
	w.count["outcome "+string(o.State)]++
}

func outcome(a automation.Attempt, at time.Time, o *automation.Outcome) automation.Fact {
	return automation.Fact{
		Kind: automation.FactAttemptEnded, At: at, Step: a.Step, Item: a.Item, Attempt: a.Attempt,
		Host: a.Host, HostEpoch: a.HostEpoch, Outcome: o,
	}
}

// again delivers an outcome a second time: it must be refused and change nothing.
func (w *world) again() {
	if len(w.done) == 0 {
		return
	}
	i := w.r.IntN(len(w.done))
	before := w.m.Snapshot()
	if err := w.m.Handle(w.doneOf[i], w.done[i]); automation.CodeOf(err) != automation.CodeConflict {
		w.t.Fatalf("a second outcome was taken: %v", err)
	}
	if diff := cmp.Diff(before, w.m.Snapshot()); diff != "" {
		w.t.Fatalf("a refused outcome changed the state:\n%s", diff)
	}
	w.count["refused"]++
}

func (w *world) intent() {
	if len(w.out) == 0 {
		return
	}
	a := w.out[w.r.IntN(len(w.out))]
	if a.Effect != automation.EffectOnce || w.starts[a.AttemptKey] {
		return
	}
	w.starts[a.AttemptKey] = true
	err := w.m.Handle(a.Run, automation.Fact{
		Kind: automation.FactAttemptStarted, At: w.now, Step: a.Step, Item: a.Item, Attempt: a.Attempt,
		Host: a.Host, HostEpoch: a.HostEpoch,
	})
	if err != nil {
		w.t.Fatalf("intent: %v", err)
	}
	w.count["intent"]++
}

func (w *world) cancel() {
	if len(w.open) == 0 || w.r.IntN(4) > 0 {
		return
	}
	id := w.open[w.r.IntN(len(w.open))]
	if err := w.m.Handle(id, automation.Fact{Kind: automation.FactCancelAsked, At: w.now, By: "walker"}); err != nil {
		w.t.Fatalf("cancel: %v", err)
	}
	w.count["cancel"]++
}

// pause pauses a run, or resumes it; nothing of a paused run may start (take looks).
func (w *world) pause() {
	if len(w.open) == 0 {
		return
	}
	id := w.open[w.r.IntN(len(w.open))]
	kind, other := automation.FactPauseAsked, automation.FactResumeAsked
	if w.paused[id] {
		kind, other = other, kind
	}
	if err := w.m.Handle(id, automation.Fact{Kind: other, At: w.now}); automation.CodeOf(err) != automation.CodeConflict {
		w.t.Fatalf("%s of a run of which that was asked already: %v", other, err)
	}
	if err := w.m.Handle(id, automation.Fact{Kind: kind, At: w.now, By: "walker"}); err != nil {
		if w.m.Stopping(id) {
			return
		}
		w.t.Fatalf("%s: %v", kind, err)
	}
	w.paused[id] = kind == automation.FactPauseAsked
	w.count[string(kind)]++
}

func (w *world) grant() {
	w.to = w.lease()
	w.m.Grant(w.now, w.to, w.r.IntN(8))
}

// take commits what the machine decided and checks it against the world.
func (w *world) take() {
	d, err := w.m.Take()
	if err != nil {
		w.t.Fatalf("the machine's fault: %v", err)
	}
	w.adopt(&d)
	for _, e := range d.Entries {
		if s, ok := w.ended[e.Run]; ok {
			w.t.Fatalf("run %s is %s, and has new facts %v", e.Run, s, e.Facts)
		}
	}
	w.log = append(w.log, d.Entries...)
	w.noteTimes(d.Entries)
	w.approvals(d.Approvals)
	for _, u := range d.Runs {
		if s, ok := w.ended[u.Run]; ok {
			w.t.Fatalf("run %s was %s and is %s", u.Run, s, u.State)
		}
		if u.State == automation.RunQueued && !u.Started.IsZero() || u.State == automation.RunRunning && u.Started.IsZero() {
			w.t.Fatalf("run %s is %s, and started at %v", u.Run, u.State, u.Started)
		}
		if u.State.Ended() {
			w.ended[u.Run] = u.State
			w.past = append(w.past, w.pastRun(u.Run))
			w.open = remove(w.open, u.Run)
			w.count["run "+string(u.State)]++
		}
	}
	w.checkFamily(&d)
	for _, a := range d.Attempts {
		w.checkOpen(&a)
		if w.kept[a.Run][[2]int{a.Step, a.Item}] {
			w.t.Fatalf("%v was granted, and is kept from the run before", a.AttemptKey)
		}
		if w.paused[a.Run] {
			w.t.Fatalf("%v was granted while its run is paused", a.AttemptKey)
		}
		if before := a.AttemptKey; a.Effect == automation.EffectOnce {
			before.Attempt--
			if w.starts[before] {
				w.t.Fatalf("%v was granted, and the attempt before had begun to act", a.AttemptKey)
			}
		}
		if why := w.clock.over[stepKey{a.Run, a.Step}]; why {
			w.t.Fatalf("%v was granted after its step's time", a.AttemptKey)
		}
		for _, other := range w.out {
			if other.Run == a.Run && other.Step == a.Step && other.Item == a.Item {
				w.t.Fatalf("%v was granted while %v is at work", a.AttemptKey, other.AttemptKey)
			}
		}
		w.limited(a)
		w.served(a, w.to)
		w.out = append(w.out, a)
	}
	w.keepBuckets(d.Buckets)
	for _, c := range d.Cancels {
		w.told[c.Attempt] = true
	}
}

func remove(ids []automation.RunID, id automation.RunID) []automation.RunID {
	for i := range ids {
		if ids[i] == id {
			return append(ids[:i], ids[i+1:]...)
		}
	}
	return ids
}

// replay makes the machine anew from the log.
func (w *world) replay() *machine.Machine {
	m := machine.New(w.limits)
	if w.calendar != nil {
		windows := w.calendar.Windows()
		m.SetCalendar(mustCalendar(windows), w.now)
	}
	m.SetBuckets(w.bucketList())
	for _, e := range w.log {
		if _, over := w.ended[e.Run]; over {
			continue
		}
		if e.Facts[0].Kind == automation.FactRunAccepted {
			if err := m.Accept(e.Run, &e.Facts[0], w.progs[e.Run]); err != nil {
				w.t.Fatalf("replay: %v", err)
			}
		}
		if err := m.Replay(e); err != nil {
			w.t.Fatalf("replay: %v", err)
		}
	}
	m.Recovered(w.now)
	if d, err := m.Take(); err != nil || len(d.Entries)+len(d.Accepted) > 0 {
		w.t.Fatalf("a replay decides %v (the machine's fault: %v)", d.Entries, err)
	}
	m.Advance(w.now)
	return m
}

func (w *world) crash() {
	w.m.Advance(w.now)
	w.m.Sweep(w.now)
	w.take()
	m := w.replay()
	lived, replayed := w.m.Snapshot(), m.Snapshot()
	for _, snap := range []map[string]machine.Item{lived, replayed} { // buckets that are full are forgotten at any time
		maps.DeleteFunc(snap, func(key string, v machine.Item) bool {
			return strings.HasPrefix(key, "bucket ") && v.Epoch <= w.now.UnixNano()
		})
	}
	if diff := cmp.Diff(lived, replayed); diff != "" {
		w.t.Fatalf("a replay gives another state (-lived +replayed):\n%s", diff)
	}
	w.m = m
	w.epoch++
	for _, a := range w.out { // the host lost them all
		o := &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeHostLost, CanRetry: true}}
		if err := m.Handle(a.Run, outcome(a, w.now, o)); err != nil {
			w.t.Fatalf("lose %v: %v", a.AttemptKey, err)
		}
		if again := w.starts[a.AttemptKey]; again {
			w.count["lost after intent"]++
		}
	}
	w.out = nil
	w.log = compact(w.log, w.ended)
	w.count["crash"]++
}

func compact(log []automation.Entry, ended map[automation.RunID]automation.RunState) []automation.Entry {
	kept := log[:0]
	for _, e := range log {
		if _, over := ended[e.Run]; !over {
			kept = append(kept, e)
		}
	}
	return kept
}

func (w *world) step() {
	switch n := w.r.IntN(213); {
	case n < 20:
		w.accept()
	case n < 110:
		w.report()
	case n < 150:
		w.grant()
	case n < 165:
		w.intent()
	case n < 170:
		w.cancel()
	case n < 172:
		w.pause()
	case n == 199:
		w.windows()
	case n < 173:
		w.again()
	case n < 174:
		w.crash()
	case n < 175:
		w.relimit()
	case n < 187:
		w.tell()
	default:
		w.now = w.now.Add(time.Duration(w.r.IntN(3000)) * time.Millisecond)
		w.m.Advance(w.now)
		w.take()
		w.checkTimes()
	}
	w.take()
	if fault := w.m.Fault(w.now, false); fault != "" {
		w.t.Fatal(fault)
	}
}

// settle runs everything to its end: nothing may be stuck.
func (w *world) settle() {
	w.calendar = nil // a window may be over for good
	w.m.SetCalendar(nil, w.now)
	w.round(50) // what is not paused goes on beside what is
	for _, id := range w.open {
		if w.paused[id] {
			w.paused[id] = false
			_ = w.m.Handle(id, automation.Fact{Kind: automation.FactResumeAsked, At: w.now}) // refused when it is being stopped
		}
	}
	w.round(10000)
	if len(w.open) == 0 {
		return
	}
	w.t.Fatalf("%d runs never end: %v", len(w.open), w.open)
}

// round grants with slots to spare, reports everything and lets time pass, until
// no run is open or n times.
func (w *world) round(n int) {
	for ; n > 0 && len(w.open) > 0; n-- {
		w.to = machine.Lease{Host: "h", Epoch: w.epoch}
		w.m.Grant(w.now, w.to, 1000)
		w.take()
		if fault := w.m.Fault(w.now, true); fault != "" {
			w.t.Fatalf("with slots to spare: %s", fault)
		}
		for len(w.out) > 0 {
			w.report()
			w.take()
		}
		w.answerAll()
		w.take()
		w.now = w.now.Add(10 * time.Second)
		w.m.Advance(w.now)
		w.take()
	}
}

// TestWalk walks the machine through random histories and checks after every
// event that it keeps its promises. WALK_EVENTS sets how many.
func TestWalk(t *testing.T) {
	t.Parallel()
	events := 200_000
	if n, err := strconv.Atoi(os.Getenv("WALK_EVENTS")); err == nil {
		events = n
	}
	total := map[string]int{}
	for seed := range uint64(events / 2000) {
		w := &world{
			t: t, r: rand.New(rand.NewPCG(seed, 1)), limits: machine.Limits{PerTarget: int(seed % 3), PerNetworkDevice: int(seed % 2)},
			now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), epoch: 1, progs: map[automation.RunID]*program{},
			ended: map[automation.RunID]automation.RunState{}, told: map[automation.AttemptKey]bool{},
			kept: map[automation.RunID]map[[2]int]bool{}, starts: map[automation.AttemptKey]bool{}, count: total,
			paused: map[automation.RunID]bool{}, rates: map[count][]time.Time{}, buckets: map[string]int64{}, asked: map[spot]automation.Approval{}, clock: newDeadlines(),
			family: family{parents: map[automation.RunID]*automation.Parent{}, heard: map[automation.RunID]int{}},
		}
		if seed%4 > 0 {
			w.limits.Rules = randomRules(w.r)
		}
		w.m = machine.New(w.limits)
		for range 2000 {
			w.step()
		}
		w.settle()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d events: %v", events, total)
	for _, kind := range []string{
		"accept", "intent", "cancel", "crash", "refused", "lost after intent", "outcome succeeded", "outcome failed",
		"relimit", "full global", "full tenant", "full queue", "full plugin", "full action", "full credential", "full asset", "full concurrency_key",
		"rated global", "rated tenant", "rated queue", "rated plugin", "rated action", "rated credential", "rated asset", "rated concurrency_key",
		"outcome cancelled", "pause_asked", "resume_asked", "outcome unknown", automation.TimerRun, automation.TimerStep, automation.TimerItem, "run succeeded", "run failed", "run cancelled",
		"child started", "child retried", "child paused", "child cancelled with its parent", "child succeeded", "child failed", "child ended in the turn it began",
		"told decision_given", "told event_received", "told item_resolved", "approve", "reject", "ran", "did_not_run", "abandon",
		"delivered", "event kept", "told late", "told again", "unknown at the end", "approval approved", "approval rejected", "approval expired",
		"approval cancelled", "lost, then told",
	} {
		if total[kind] == 0 {
			t.Errorf("the walk never came to %q", kind)
		}
	}
}
