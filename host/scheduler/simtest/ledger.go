package simtest

import (
	"time"

	"opsconductor.dev/host/automation"
)

// ledger is what the targets saw: what began to act, and how it ended.
type ledger struct {
	acts  map[automation.AttemptKey]*actOf
	begun map[automation.AttemptKey]int  // by item: attempts that began
	done  map[automation.AttemptKey]bool // attempts that can't begin any more
}

// actOf is one attempt's entry in the ledger.
type actOf struct {
	attempt automation.Attempt
	end     automation.ItemState // "": it has not ended
}

func newLedger() ledger {
	return ledger{acts: map[automation.AttemptKey]*actOf{}, begun: map[automation.AttemptKey]int{}, done: map[automation.AttemptKey]bool{}}
}

// actOf returns the entry of an attempt; the zero value for one that did not begin.
func (l *ledger) actOf(k automation.AttemptKey) actOf {
	if a := l.acts[k]; a != nil {
		return *a
	}
	return actOf{}
}

// started is told of an attempt that begins to act.
func (w *world) started(l *link, a *automation.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts["acts"]++
	r := w.runs[a.Run]
	if r == nil {
		w.broke("%v acts, and its run was never accepted", a.AttemptKey)
		return
	}
	it := r.item(a.Step, a.Item)
	place := a.AttemptKey
	place.Attempt = 0
	once := a.Effect == automation.EffectOnce || a.Effect == automation.EffectGuarded
	if w.acts[a.AttemptKey] != nil {
		w.broke("%v acts twice", a.AttemptKey)
	}
	if once && !it.intent[a.Attempt] {
		w.broke("%v acts without a stored intent", a.AttemptKey)
	}
	found := a.Effect == automation.EffectGuarded && w.begun[place] > 0 // it finds the journal, and what was begun
	if found && a.Begun == nil && a.Round == 0 {
		w.broke("%v finds what an attempt before it began, and was not told that there may be anything", a.AttemptKey)
	}
	if found {
		w.counts["guarded again"]++
		w.acts[a.AttemptKey] = &actOf{attempt: *a}
		return
	}
	if once && w.begun[place] > 0 {
		w.broke("%v acts, and an attempt before it has acted", a.AttemptKey)
	}
	if it.back[a.Attempt] {
		w.broke("%v acts, and it was given back before it began", a.AttemptKey)
	}
	w.begun[place]++
	w.acts[a.AttemptKey] = &actOf{attempt: *a}
	w.write("act " + string(a.Run) + " " + l.host.name)
	if !it.current(a) {
		w.counts["zombie acts"]++
		if w.lastFault < w.sinceBegin()-margin && !w.allowed[a.AttemptKey] {
			w.broke("%v acts, and is not the item's attempt any more; there was no fault", a.AttemptKey)
		}
		return
	}
	w.actsWithinLimits(r, a)
}

// current reports whether an attempt is out by the facts.
func (it *itemState) current(a *automation.Attempt) bool {
	return it.state.Open() && it.attempt == a.AttemptKey && it.host == a.Host && it.epoch == a.HostEpoch
}

// ended is told of an attempt that has ended on its target.
func (w *world) ended(a *automation.Attempt, state automation.ItemState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[a.AttemptKey] = true
	if act := w.acts[a.AttemptKey]; act != nil && state != "" {
		act.end = state
	}
}

// valueOf returns what a limit of a kind counts an item of a step by; false: it
// doesn't count.
func valueOf(r *runState, step int, target *automation.Target, kind automation.LimitKind) (string, bool) {
	s := &r.prog.Plan().Steps[step]
	switch kind {
	case automation.LimitQueue:
		if s.Queue != "" {
			return s.Queue, true
		}
		return automation.DefaultQueue, true
	case automation.LimitPlugin:
		return s.Plugin, true
	case automation.LimitAction:
		return s.Plugin + "." + s.Action, true
	case automation.LimitCredential:
		if target != nil {
			return string(target.Credential), target.Credential != ""
		}
		return "", false
	case automation.LimitAsset:
		if target != nil {
			return string(target.ID), true
		}
		return "", false
	case automation.LimitConcurrency:
		return s.ConcurrencyKey, s.ConcurrencyKey != ""
	case automation.LimitGlobal, automation.LimitTenant:
	}
	return "", true
}

// most is how many may run at the same time by the rules of a kind; 0: any number.
func (w *world) most(kind automation.LimitKind, target *automation.Target) int {
	own := 0
	switch {
	case kind == automation.LimitConcurrency:
		own = 1
	case kind == automation.LimitAsset && target != nil && target.OS == automation.OSNetwork:
		own = w.limits.PerNetworkDevice
	case kind == automation.LimitAsset:
		own = w.limits.PerTarget
	}
	for _, l := range w.rules {
		if l.Kind == kind && l.Max > 0 && (target == nil || target.OS != automation.OSNetwork || own == 0 || l.Max < own) {
			return l.Max
		}
	}
	return own
}

// withinLimits checks a grant against every limit, over all that is out by the facts.
func (w *world) withinLimits(r *runState, f *automation.Fact, it *itemState) {
	w.count(r, f.Step, it.target, "by the facts", func(o *runState, _ [2]int, other *itemState) bool {
		return other.state.Open() || other.state == automation.ItemUnknown
	})
	w.withinSlots(f.Host)
	if w.weather.jumps { // rates go by the hosts' clocks
		return
	}
	for _, l := range w.rules {
		value, counts := valueOf(r, f.Step, it.target, l.Kind)
		if l.Rate == nil || !counts {
			continue
		}
		key := string(l.ID) + value
		gap := l.Rate.Per / time.Duration(l.Rate.Count)
		if window := time.Duration(max(l.Rate.Burst, 1)-1) * gap; w.rates[key].Sub(f.At) > window {
			w.broke("%v starts %s too early by the rate of %s %q", it.attempt, w.rates[key].Sub(f.At)-window, l.Kind, value)
		}
		if w.rates[key].Before(f.At) {
			w.rates[key] = f.At
		}
		w.rates[key] = w.rates[key].Add(gap)
	}
}

// withinSlots checks that a host has no more out than it has slots for.
func (w *world) withinSlots(id automation.HostID) {
	out := 0
	for _, r := range w.runs {
		for _, it := range r.items {
			if !r.ended && it.state.Open() && it.host == id {
				out++
			}
		}
	}
	for _, h := range w.hosts {
		if h.id == id && out > h.slots {
			w.broke("host %s has %d attempts out, and %d slots", h.name, out, h.slots)
		}
	}
}

// actsWithinLimits checks an act against every limit, over all that acts under a
// lease that counts.
func (w *world) actsWithinLimits(r *runState, a *automation.Attempt) {
	w.count(r, a.Step, a.Target, "by the ledger", func(o *runState, at [2]int, other *itemState) bool {
		act := w.acts[other.attempt]
		return act != nil && act.end == "" && other.current(&act.attempt)
	})
}

// count checks that the items that run, among which is one of the step, are not more
// than may.
func (w *world) count(r *runState, step int, target *automation.Target, by string, runs func(*runState, [2]int, *itemState) bool) {
	kinds := automation.LimitKinds()
	used, values, counts := make([]int, len(kinds)), make([]string, len(kinds)), make([]bool, len(kinds))
	for i, kind := range kinds {
		values[i], counts[i] = valueOf(r, step, target, kind)
	}
	parallel := 0
	for _, o := range w.runs {
		if o.ended {
			continue
		}
		for at, other := range o.items {
			if o.prog.Plan().Steps[at[0]].Scheduler || !runs(o, at, other) {
				continue
			}
			if o == r && at[0] == step {
				parallel++
			}
			for i, kind := range kinds {
				if value, of := valueOf(o, at[0], other.target, kind); of && counts[i] && value == values[i] {
					used[i]++
				}
			}
		}
	}
	for i, kind := range kinds {
		if most := w.most(kind, target); most > 0 && used[i] > most {
			w.broke("limit %s %q: %d of %d run %s", kind, values[i], used[i], most, by)
		}
	}
	if f := r.prog.Plan().Steps[step].ForEach; f != nil && f.MaxParallel > 0 && parallel > f.MaxParallel {
		w.broke("step %d of run %s: %d of %d run %s", step, r.id, parallel, f.MaxParallel, by)
	}
}
