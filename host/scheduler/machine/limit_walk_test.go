package machine_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// shares gives a random step its part in the sharing.
func shares(r *rand.Rand, s *workflow.PlanStep) {
	s.Plugin, s.Action = "p"+strconv.Itoa(r.IntN(2)), "a"+strconv.Itoa(r.IntN(2))
	s.Priority = []int{0, 0, 0, -10, 1, 10}[r.IntN(6)]
	s.Queue = []string{"", "", "q"}[r.IntN(3)]
	switch r.IntN(6) {
	case 0:
		s.ConcurrencyKey = "key1"
	case 1:
		s.ConcurrencyKey, s.KeyDynamic = "${{ item }}", true
	}
}

// randomTarget is a target with a credential, a queue and an OS, or without.
func randomTarget(r *rand.Rand, i int) automation.Target {
	t := automation.Target{ID: automation.AssetID(strconv.Itoa(i)), Name: "t" + strconv.Itoa(i), OS: []string{"linux", automation.OSNetwork}[i%2]}
	t.Credential = []automation.CredentialID{"", "c0", "c1"}[i%3]
	t.Queue = []string{"", "q"}[r.IntN(2)]
	return t
}

// randomRules are limits of all kinds, with and without rates.
func randomRules(r *rand.Rand) []automation.Limit {
	matches := map[automation.LimitKind][]string{
		automation.LimitGlobal: {""}, automation.LimitTenant: {"", "default"}, automation.LimitQueue: {"", "q", "default"},
		automation.LimitPlugin: {"", "p0"}, automation.LimitAction: {"", "p0.a1"}, automation.LimitCredential: {"", "c1"},
		automation.LimitAsset: {"", "t0", "t1"}, automation.LimitConcurrency: {"", "key1"},
	}
	var out []automation.Limit
	for _, kind := range automation.LimitKinds() {
		for _, match := range matches[kind] {
			if r.IntN(3) > 0 {
				continue
			}
			l := automation.Limit{Kind: kind, Match: match, Max: r.IntN(4)}
			if r.IntN(2) == 0 || l.Max == 0 {
				l.Rate = &automation.Rate{Count: 1 + r.IntN(5), Per: time.Duration(1+r.IntN(4)) * time.Second, Burst: r.IntN(4)}
			}
			out = append(out, l)
		}
	}
	return out
}

// bounds says what bounds a value: a second writing of the rule.
func (w *world) bounds(kind automation.LimitKind, match string, most int) (int, *automation.Rate) {
	var own, all automation.Limit
	for _, l := range w.limits.Rules {
		if l.Kind == kind && l.Match == match {
			own = l
		}
		if l.Kind == kind && l.Match == "" {
			all = l
		}
	}
	if own.Max == 0 {
		own.Max = all.Max
	}
	if own.Rate == nil {
		own.Rate = all.Rate
	}
	if own.Max == 0 {
		own.Max = most
	}
	return own.Max, own.Rate
}

// count is what an attempt counts against.
type count struct {
	kind  automation.LimitKind
	value string
}

// countsOf returns the values of an attempt, each with what rules call it and its
// bound without rules.
func (w *world) countsOf(a automation.Attempt) map[count]int {
	p := w.progs[a.Run].plan.Steps[a.Step]
	queue := p.Queue
	if a.Target != nil && queue == "" {
		queue = a.Target.Queue
	}
	if queue == "" {
		queue = "default"
	}
	out := map[count]int{
		{automation.LimitGlobal, ""}: 0, {automation.LimitTenant, "default"}: 0, {automation.LimitQueue, queue}: 0,
		{automation.LimitPlugin, p.Plugin}: 0, {automation.LimitAction, p.Plugin + "." + p.Action}: 0,
	}
	if p.ConcurrencyKey != "" {
		key := p.ConcurrencyKey
		if p.KeyDynamic {
			key, _ = w.progs[a.Run].ConcurrencyKey(a.Step, nil, workflow.Element{Index: a.Item})
		}
		out[count{automation.LimitConcurrency, key}] = 1
	}
	if t := a.Target; t != nil {
		most := w.limits.PerTarget
		if t.OS == automation.OSNetwork {
			most = w.limits.PerNetworkDevice
		}
		out[count{automation.LimitAsset, t.Name}] = most
		if t.Credential != "" {
			out[count{automation.LimitCredential, string(t.Credential)}] = 0
		}
	}
	return out
}

// limited checks that an attempt that was just granted exceeds no limit together
// with those at work, and no rate with those that started before.
func (w *world) limited(a automation.Attempt) {
	for c, most := range w.countsOf(a) {
		bound, rate := w.bounds(c.kind, c.value, most)
		if c.kind == automation.LimitAsset && a.Target.OS == automation.OSNetwork && most > 0 {
			if own := slices.IndexFunc(w.limits.Rules, func(l automation.Limit) bool { return l.Kind == c.kind && l.Match == c.value && l.Max > 0 }); own < 0 {
				bound = min(bound, most)
			}
		}
		used := 1
		for _, other := range w.out {
			if _, same := w.countsOf(other)[c]; same {
				used++
			}
		}
		if bound > 0 && used > bound {
			w.t.Fatalf("%v was granted: %d are at work by %s %q, and %d may be", a.AttemptKey, used, c.kind, c.value, bound)
		}
		if bound > 0 && used == bound {
			w.count["full "+string(c.kind)]++
		}
		w.rated(c, rate)
	}
}

// rated checks a start against a rate: in no time of its past since the rules
// changed may more have started than the burst and one for each interval.
func (w *world) rated(c count, rate *automation.Rate) {
	if rate == nil {
		return
	}
	starts := append(w.rates[c], w.now)
	if len(starts) > 40 {
		starts = starts[1:]
	}
	w.rates[c] = starts
	for i, from := range starts {
		n, span := len(starts)-i, w.now.Sub(from)
		if allowed := float64(max(rate.Burst, 1)) + float64(span)*float64(rate.Count)/float64(rate.Per); float64(n) > allowed {
			w.t.Fatalf("%d started by %s %q within %s, and %v may", n, c.kind, c.value, span, *rate)
		}
	}
	w.count["rated "+string(c.kind)]++
}

// relimit changes the rules while things run.
func (w *world) relimit() {
	w.limits.Rules = randomRules(w.r)
	w.rates = map[count][]time.Time{}
	w.m.SetLimits(w.limits, w.now)
	w.count["relimit"]++
}

// keep keeps the buckets as the store does.
func (w *world) keepBuckets(list []automation.Bucket) {
	for _, b := range list {
		if b.Tat == 0 {
			delete(w.buckets, b.Key)
			continue
		}
		w.buckets[b.Key] = b.Tat
	}
}

func (w *world) bucketList() []automation.Bucket {
	var out []automation.Bucket
	for _, key := range slices.Sorted(maps.Keys(w.buckets)) {
		out = append(out, automation.Bucket{Key: key, Tat: w.buckets[key]})
	}
	return out
}

// leases are what hosts may serve.
func (w *world) lease() machine.Lease {
	queues := [][]string{nil, {"default"}, {"q"}, {"default", "q"}, {"none"}}
	return machine.Lease{Host: "h", Epoch: w.epoch, Queues: queues[w.r.IntN(len(queues))]}
}

// served checks that an attempt's host serves its queue.
func (w *world) served(a automation.Attempt, to machine.Lease) {
	for c := range w.countsOf(a) {
		if c.kind == automation.LimitQueue && to.Queues != nil && !slices.Contains(to.Queues, c.value) {
			w.t.Fatalf("%v of queue %s was granted to a host that serves %v", a.AttemptKey, c.value, to.Queues)
		}
	}
}
