package machine

import (
	"maps"
	"math"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// Limits bounds what runs at the same time, and how often it starts. 0 is no limit.
type Limits struct {
	// PerTarget is the number of attempts at a time on one asset, over all runs;
	// PerNetworkDevice the same for assets whose OS is network.
	PerTarget        int
	PerNetworkDevice int
	// MaxLost is how often an attempt of one item may be lost with its host before
	// the item fails; 0 is 5.
	MaxLost int
	// Rules are the operator's. For each value of each kind the rule that matches it
	// counts, and where that one leaves Max or Rate out the rule of the kind without a
	// match, and then, of assets, the two settings above; of concurrency keys, 1.
	Rules []automation.Limit
}

// limitParallel is the kind of a step's own max_parallel, of which there are no rules.
const limitParallel automation.LimitKind = "max_parallel"

// counter names what a limit counts: of a kind, a value. What tenants name
// themselves is apart by tenant.
type counter struct {
	kind   automation.LimitKind
	tenant automation.TenantID
	value  string
}

// bucket is the counter's key in the store.
func (c counter) bucket() string {
	if c.tenant == "" {
		return string(c.kind) + ":" + c.value
	}
	return string(c.kind) + ":" + string(c.tenant) + "/" + c.value
}

// limit is a bound on what runs at the same time and on how often it starts, and
// what waits for it.
type limit struct {
	counter
	match     string // what rules call the value
	max, used int    // max 0: any number
	// A rate is a bucket by GCRA: a start moves tat by gap, and may be when tat is at
	// most window ahead of now. gap 0: no rate. All in nanoseconds.
	gap, window, tat int64

	gate  *gate            // of maintenance windows; nil without
	steps int              // that keep a pointer to it
	lines map[string]*line // of flows that wait for it, by queue; without empty ones
	armed int64            // the time of its timer; 0: it has none
}

// full reports whether nothing more may start now.
func (l *limit) full(now time.Time) bool { return l.crowded() || l.spent(now) || l.shut(now) }

func (l *limit) crowded() bool { return l.max > 0 && l.used >= l.max }

func (l *limit) spent(now time.Time) bool { return l.gap > 0 && l.tat-now.UnixNano() > l.window }

func (l *limit) shut(now time.Time) bool {
	if l.gate == nil {
		return false
	}
	_, closed := l.gate.closed(now)
	return closed
}

// refill is when the rate lets something start again.
func (l *limit) refill() time.Time { return time.Unix(0, l.tat-l.window).UTC() }

// take counts a start against the rate.
func (l *limit) take(now time.Time) { l.tat = max(l.tat, now.UnixNano()) + l.gap }

// set gives a limit its bounds. A bucket can't owe more than all it holds.
func (l *limit) set(most int, r *automation.Rate, now time.Time) {
	l.max, l.gap, l.window = most, 0, 0
	if r == nil {
		return
	}
	l.gap = int64(math.Ceil(float64(r.Per) / float64(r.Count)))
	burst := int64(max(r.Burst, 1))
	l.window = (burst - 1) * l.gap
	if !now.IsZero() {
		l.tat = min(l.tat, now.UnixNano()+burst*l.gap)
	}
}

// rules is the operator's settings by kind and match.
type rules map[ruleKey]*automation.Limit

type ruleKey struct {
	kind  automation.LimitKind
	match string
}

func newRules(list []automation.Limit) rules {
	out := make(rules, len(list))
	for i := range list {
		out[ruleKey{list[i].Kind, list[i].Match}] = &list[i]
	}
	return out
}

// of returns what the rules say of a value; most is the bound without them.
func (r rules) of(kind automation.LimitKind, match string, most int) (int, *automation.Rate) {
	var rate *automation.Rate
	found := 0
	for _, m := range []string{match, ""} {
		rule := r[ruleKey{kind, m}]
		if rule == nil {
			continue
		}
		if found == 0 {
			found = rule.Max
		}
		if rate == nil {
			rate = rule.Rate
		}
	}
	if found == 0 {
		found = most
	}
	return found, rate
}

// limit returns the limit of a counter, nil when nothing bounds it. most is the
// bound without rules.
func (m *Machine) limit(c counter, match string, most int) *limit {
	if l := m.counters[c]; l != nil {
		return l
	}
	bound, rate := m.rules.of(c.kind, match, most)
	return m.bounded(c, match, bound, rate)
}

// bounded makes the limit of a counter, nil when nothing bounds it.
func (m *Machine) bounded(c counter, match string, most int, rate *automation.Rate) *limit {
	if most == 0 && rate == nil {
		return nil
	}
	l := &limit{counter: c, match: match}
	if rate != nil {
		l.tat = m.buckets[c.bucket()]
	}
	l.set(most, rate, m.latest)
	m.counters[c] = l
	return l
}

// forget drops a limit that nothing counts against and nothing waits for.
func (m *Machine) forget(l *limit) {
	if l.used == 0 && l.steps == 0 && len(l.lines) == 0 && m.counters[l.counter] == l {
		delete(m.counters, l.counter)
	}
}

// asset returns the limit of a target. What a rule without a match allows for all
// assets is not for network devices, unless it is less than what they have.
func (m *Machine) asset(t *automation.Target) *limit {
	c := counter{kind: automation.LimitAsset, value: string(t.ID)}
	if l := m.counters[c]; l != nil {
		return l
	}
	most := m.limits.PerTarget
	if t.OS == automation.OSNetwork {
		most = m.limits.PerNetworkDevice
	}
	bound, rate := m.rules.of(c.kind, t.Name, most)
	if own := m.rules[ruleKey{c.kind, t.Name}]; t.OS == automation.OSNetwork && most > 0 && (own == nil || own.Max == 0) {
		bound = min(bound, most)
	}
	return m.bounded(c, t.Name, bound, rate)
}

// concurrency returns the limit of a concurrency key; nil for "".
func (m *Machine) concurrency(r *run, key string) *limit {
	if key == "" {
		return nil
	}
	return m.limit(counter{automation.LimitConcurrency, r.tenant, key}, key, 1)
}

// credential returns the limit of a target's credential, nil without one.
func (m *Machine) credential(t *automation.Target) *limit {
	if t == nil || t.Credential == "" {
		return nil
	}
	return m.limit(counter{automation.LimitCredential, "", string(t.Credential)}, string(t.Credential), 0)
}

// shared returns the limits that all items of a step in a queue count against.
func (m *Machine) shared(s *step, queue string) []*limit {
	var out []*limit
	add := func(l *limit) {
		if l != nil {
			out = append(out, l)
		}
	}
	add(s.limit)
	if s.plan.Scheduler {
		return out
	}
	if len(m.rules) > 0 {
		add(m.limit(counter{kind: automation.LimitGlobal}, "", 0))
		add(m.limit(counter{kind: automation.LimitTenant, value: string(s.run.tenant)}, string(s.run.tenant), 0))
		add(m.limit(counter{kind: automation.LimitQueue, value: queue}, queue, 0))
		add(m.limit(counter{kind: automation.LimitPlugin, value: s.plan.Plugin}, s.plan.Plugin, 0))
		action := s.plan.Plugin + "." + s.plan.Action
		add(m.limit(counter{kind: automation.LimitAction, value: action}, action, 0))
	}
	if !s.plan.KeyDynamic {
		add(m.concurrency(s.run, s.plan.ConcurrencyKey))
	}
	return out
}

// SetLimits replaces the limits. The counters are drawn anew from the attempts
// that are out, and everything that waits is looked at again: what runs goes on,
// and what waits for a bound that has been lowered starts when there is room.
func (m *Machine) SetLimits(l Limits, now time.Time) {
	if l.MaxLost == 0 {
		l.MaxLost = 5
	}
	m.sweep(now)
	m.latest = now
	for _, l := range m.counters { // its timer, if it has one, is for nothing
		l.lines, l.armed = nil, 0
	}
	m.limits, m.rules = l, newRules(l.Rules)
	for _, old := range m.counters {
		old.armed = 0 // its timer is over
	}
	m.counters, m.lines, m.carried = map[counter]*limit{}, nil, line{}
	for _, id := range slices.Sorted(maps.Keys(m.runs)) {
		r := m.runs[id]
		for _, ln := range r.lanes {
			ln.stands = nil
		}
		for i := range r.steps {
			m.renew(&r.steps[i])
		}
	}
}

// renew counts a step's items again, and lets those that wait stand in line again.
func (m *Machine) renew(s *step) {
	s.flows, s.groups, s.bound = nil, nil, nil
	if s.limit != nil {
		s.limit = &limit{counter: s.limit.counter, match: s.limit.match, max: s.limit.max}
	}
	for i := range s.items {
		it := &s.items[i]
		if it.alone != nil {
			it.alone.limits[0].armed = 0 // a gate's timer is over
		}
		it.group, it.alone, it.in, it.held, it.queued = nil, nil, nil, nil, false
		switch {
		case it.holds():
			m.acquire(it)
		case it.state == automation.ItemReady:
			m.queue(it)
		}
	}
}

// SetBuckets gives the machine what the store has of the rates' buckets. It is
// called before anything is granted.
func (m *Machine) SetBuckets(list []automation.Bucket) {
	for _, b := range list {
		m.buckets[b.Key] = b.Tat
	}
	for c, l := range m.counters {
		if l.gap > 0 {
			l.tat = m.buckets[c.bucket()]
		}
	}
}

// note keeps what a bucket has left, for the next commit.
func (m *Machine) note(l *limit) {
	if l.gap == 0 {
		return
	}
	key := l.bucket()
	if m.buckets[key] == l.tat {
		return
	}
	m.buckets[key] = l.tat
	m.out.bucket(key)
	if len(m.buckets) > 2*m.swept+1024 {
		m.sweep(m.latest)
	}
}

// sweep forgets the buckets that are full.
func (m *Machine) sweep(now time.Time) {
	for key, tat := range m.buckets {
		if tat <= now.UnixNano() {
			delete(m.buckets, key)
			m.out.bucket(key)
		}
	}
	m.swept = len(m.buckets)
}
