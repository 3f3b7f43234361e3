package machine

import (
	"encoding/json"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// Lease says to whom Grant gives attempts.
type Lease struct {
	Host  automation.HostID
	Epoch int64
	// Queues are the task queues that the host serves; nil: all.
	Queues []string
}

// Grant begins the waits that are ready and gives ready items of the queues that
// the host serves to it, at most slots of them. The attempts are in Take's answer.
func (m *Machine) Grant(now time.Time, to Lease, slots int) {
	m.latest = now
	m.lines = slices.DeleteFunc(m.lines, func(q *queueLine) bool { return q.Len() == 0 })
	m.relate()
	m.beginWaits(now, to)
	for slots > 0 {
		p := m.first(to)
		if p == nil {
			return
		}
		if m.serve(p.flows[0], now, to) {
			slots--
		}
		m.relate()
		m.beginWaits(now, to) // an item that could not start may have let a wait be next
	}
}

// first returns the place whose turn it is among the queues that a lease serves.
func (m *Machine) first(to Lease) (best *stand) {
	for _, q := range m.lines {
		if to.Queues != nil && !slices.Contains(to.Queues, q.name) {
			continue
		}
		if p := q.first(); p != nil && (best == nil || p.before(best)) {
			best = p
		}
	}
	return best
}

// beginWaits does what the scheduler carries out itself and is ready.
func (m *Machine) beginWaits(now time.Time, to Lease) {
	for p := m.carried.first(); p != nil; p = m.carried.first() {
		m.serve(p.flows[0], now, to)
		m.relate()
	}
}

// serve starts the next item of a flow and reports whether it granted it. A flow
// that has no room for any leaves the line; what it was let in for, others may use.
func (m *Machine) serve(f *flow, now time.Time, to Lease) bool {
	if l := f.full(now); l != nil {
		f.remove()
		m.wait(f, l, now)
		m.handOn(f, now)
		return false
	}
	it := m.next(f, now)
	if it == nil {
		f.remove()
		m.handOn(f, now)
		f.unlist()
		return false
	}
	granted := m.start(it, now, to)
	if granted {
		m.served(f, now)
	}
	return granted
}

// served puts the lane of a flow that started something behind the others.
func (m *Machine) served(f *flow, now time.Time) {
	m.turns++
	f.lane.served, f.lane.turn = now.UnixNano(), m.turns
	if f.at != nil {
		f.at.line.fix(f.at)
	}
}

// next takes the next item off a flow that no limit keeps from starting; nil when
// there is none. What a narrower limit keeps goes to wait for that one.
func (m *Machine) next(f *flow, now time.Time) *item {
	for f.waits() {
		if len(f.ready) > 0 {
			if it := m.nextBelow(f, f.ready[0], now); it != nil {
				return it
			}
			continue
		}
		it := f.items[0]
		f.drop()
		if below := m.below(f, it, now); below != nil {
			below.push(it)
			m.list(below)
			continue
		}
		it.queued = false
		return it
	}
	return nil
}

// nextBelow is next of the first flow that is ready below f; c leaves f when it
// has nothing more that could start.
func (m *Machine) nextBelow(f, c *flow, now time.Time) *item {
	l := c.full(now)
	if l == nil {
		if it := m.next(c, now); it != nil {
			return it
		}
	}
	f.ready[0] = nil
	f.ready = f.ready[1:]
	c.listed = false
	if l != nil {
		m.wait(c, l, now)
	}
	m.handOn(c, now)
	return nil
}

// below returns the flow in which an item of f stands with limits of its own: of
// its credential and its key, then of its asset when that has no room; nil: it may start.
func (m *Machine) below(f *flow, it *item, now time.Time) *flow {
	if f.above == nil {
		if g := m.group(it); g != nil {
			return g
		}
	}
	return m.ownFull(f, it, now)
}

// group returns the flow of the items of a step that share a credential and a key
// which have limits; nil for an item with neither.
func (m *Machine) group(it *item) *flow {
	s := it.step
	if it.group != nil || s.plan.Scheduler {
		return it.group
	}
	g := groupKey{queue: it.queueOf(), credential: m.credential(it.element.Target)}
	if s.plan.KeyDynamic {
		if key, err := m.key(it); err == nil {
			g.key = m.concurrency(s.run, key)
		}
	}
	if g.credential == nil && g.key == nil {
		return nil
	}
	f := s.groups[g]
	if f == nil {
		f = &flow{step: s, above: m.flow(s, g.queue), queue: g.queue}
		f.lane = f.above.lane
		for _, l := range []*limit{g.credential, g.key} {
			if l != nil {
				f.limits = append(f.limits, l)
			}
		}
		if s.groups == nil {
			s.groups = map[groupKey]*flow{}
		}
		s.groups[g] = f
		s.bind(f.limits)
	}
	it.group = f
	return f
}

type groupKey struct {
	queue           string
	credential, key *limit
}

// key returns an item's concurrency key where that differs from item to item. The
// error is its expression's.
func (m *Machine) key(it *item) (string, error) {
	if !it.step.plan.KeyDynamic || it.keyed {
		return it.ckey, nil
	}
	key, err := it.step.run.program.ConcurrencyKey(it.step.index, it.step.run.scope, it.element)
	if err != nil {
		return "", err
	}
	it.ckey, it.keyed = key, true
	return key, nil
}

// start grants an item, or carries it out where that is the scheduler's part, and
// reports whether it granted it; an item whose input can't be evaluated ends here.
func (m *Machine) start(it *item, now time.Time, to Lease) bool {
	r, s := it.step.run, it.step
	f := automation.Fact{At: now, Step: s.index, Item: it.index}
	input, err := r.program.Input(s.index, r.scope, it.element)
	if err == nil {
		_, err = m.key(it)
	}
	if err == nil && s.plan.SubWorkflow() {
		if err = m.startChild(it, input, now); err == nil {
			return false
		}
	} else if err == nil && s.plan.Scheduler {
		err = carryOut(s.plan.Action, input, &f)
	}
	if err != nil {
		f.Kind = automation.FactItemEnded
		f.Outcome = &automation.Outcome{State: automation.ItemFailed, Error: automation.AsError(err)}
	}
	if f.Kind != "" {
		m.mustHandle(r, f)
		return false
	}
	f.Kind, f.Attempt, f.Host, f.HostEpoch = automation.FactAttemptGranted, it.attempt+1, to.Host, to.Epoch
	if !s.plan.Constant {
		f.Input = input
	}
	m.mustHandle(r, f)
	m.spend(it, now)
	m.out.attempts = append(m.out.attempts, m.attempt(it, input, to))
	return true
}

// mustHandle records a fact that the machine itself made from its own state.
func (m *Machine) mustHandle(r *run, f automation.Fact) {
	if err := m.Handle(r.id, f); err != nil {
		m.out.fault = err
	}
}

func (m *Machine) attempt(it *item, input json.RawMessage, to Lease) automation.Attempt {
	r, p := it.step.run, it.step.plan
	return automation.Attempt{
		AttemptKey: it.key(), Tenant: r.tenant, Workflow: r.plan.Workflow, StepID: p.ID,
		Plugin: p.Plugin, Action: p.Action, Digest: p.Digest, Effect: p.Effect,
		Input: input, Target: it.element.Target, Timeout: p.Timeout, Host: to.Host, HostEpoch: to.Epoch,
		Begun: it.begun, Round: it.round,
	}
}

func (it *item) key() automation.AttemptKey {
	return automation.AttemptKey{Run: it.step.run.id, Step: it.step.index, Item: it.index, Attempt: it.attempt}
}

// limitsOf returns every limit that an item counts against.
func (m *Machine) limitsOf(it *item) []*limit {
	out := slices.Clip(m.flow(it.step, it.queueOf()).limits)
	if g := m.group(it); g != nil {
		out = append(out, g.limits...)
	}
	if t := it.element.Target; t != nil && !it.step.plan.Scheduler {
		if l := m.asset(t); l != nil {
			out = append(out, l)
		}
	}
	return out
}

// acquire counts an item against its limits.
func (m *Machine) acquire(it *item) {
	if m.observe != nil {
		return // a view limits nothing
	}
	it.held = m.limitsOf(it)
	for _, l := range it.held {
		l.used++
	}
}

// spend counts an item's start against the rates.
func (m *Machine) spend(it *item, now time.Time) {
	for _, l := range it.held {
		if l.gap > 0 {
			l.take(now)
			m.note(l)
			m.arm(l, now)
		}
	}
}

// release frees the item's limits, and lets what waits for them in.
func (m *Machine) release(it *item, at time.Time) {
	held := it.held
	it.held = nil
	for _, l := range held {
		l.used--
	}
	for _, l := range held {
		m.offerQueues(l, at)
		m.forget(l)
	}
}
