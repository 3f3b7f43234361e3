package machine

import (
	"container/heap"
	"slices"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// ageStep is how much waiting weighs as much as one step of priority.
const ageStep = time.Minute

// lane is what a run has of one priority. Lanes take turns: each start puts its
// lane behind those that have waited longer, so that runs share evenly, however
// many items they have.
type lane struct {
	run      *run
	priority int
	served   int64 // the time of its latest start, in nanoseconds
	turn     uint64
	stands   []*stand
}

// flow is the items of a step that wait and count against the same limits, in the
// order in which they became ready. Those that count against limits of their own
// beside (of a credential, an asset, a key that is different for each) stand in
// flows below it once one of these has no room.
type flow struct {
	step   *step
	lane   *lane
	queue  string
	limits []*limit
	above  *flow   // nil for a step's own
	items  []*item // may hold some that are not ready any more
	ready  []*flow // flows below that don't wait for a limit of their own
	listed bool    // it stands in ready of the flow above
	at     *stand  // where it stands; nil while it stands in no line
	parked *limit  // what it waits for; nil while it doesn't
}

// stand is a lane's place in a line, with the flows that stand there.
type stand struct {
	lane  *lane
	line  *line
	flows []*flow
	since int64 // how long the oldest of its items has been ready
	// rank is when its turn is, the smallest first: the time since which it waits,
	// less ageStep for each step of priority; turn decides between equals.
	rank  int64
	turn  uint64
	index int
}

// line is a heap of stands, the first in turn on top.
type line struct{ h []*stand }

func (l *line) Len() int      { return len(l.h) }
func (l *line) Swap(i, j int) { l.h[i], l.h[j] = l.h[j], l.h[i]; l.h[i].index, l.h[j].index = i, j }

func (l *line) Less(i, j int) bool { return l.h[i].before(l.h[j]) }

func (p *stand) before(o *stand) bool {
	return p.rank < o.rank || p.rank == o.rank && p.turn < o.turn
}

// Push is heap.Interface's.
func (l *line) Push(x any) {
	if p, ok := x.(*stand); ok {
		p.index = len(l.h)
		l.h = append(l.h, p)
	}
}

// Pop is heap.Interface's.
func (l *line) Pop() any {
	last := len(l.h) - 1
	p := l.h[last]
	l.h[last] = nil
	l.h = l.h[:last]
	return p
}

// settle draws a place's rank from its lane; it reports whether that changed it.
func (p *stand) settle() bool {
	rank := max(p.since, p.lane.served) - int64(p.lane.priority)*int64(ageStep)
	if rank == p.rank && p.turn == p.lane.turn {
		return false
	}
	p.rank, p.turn = rank, p.lane.turn
	return true
}

// first returns the place whose turn it is; nil of an empty line. A lane that had
// its turn in another line has moved back here too: that is seen when it comes first.
func (l *line) first() *stand {
	for len(l.h) > 0 && l.h[0].settle() {
		heap.Fix(l, 0)
	}
	if len(l.h) == 0 {
		return nil
	}
	return l.h[0]
}

// fix moves a place to where its rank belongs.
func (l *line) fix(p *stand) {
	p.settle()
	heap.Fix(l, p.index)
}

// add lets a flow stand in line.
func (l *line) add(f *flow) {
	since := f.since()
	for _, p := range f.lane.stands {
		if p.line == l {
			p.flows = append(p.flows, f)
			f.at = p
			if since < p.since {
				p.since = since
				l.fix(p)
			}
			return
		}
	}
	p := &stand{lane: f.lane, line: l, flows: []*flow{f}, since: since}
	p.settle()
	f.at = p
	f.lane.stands = append(f.lane.stands, p)
	heap.Push(l, p)
}

// remove takes a flow out of its line.
func (f *flow) remove() {
	p, parked := f.at, f.parked
	f.at, f.parked = nil, nil
	i := slices.Index(p.flows, f)
	p.flows = slices.Delete(p.flows, i, i+1)
	if len(p.flows) > 0 {
		return
	}
	heap.Remove(p.line, p.index)
	if parked != nil && p.line.Len() == 0 {
		delete(parked.lines, f.queue)
	}
	i = slices.Index(p.lane.stands, p)
	p.lane.stands = slices.Delete(p.lane.stands, i, i+1)
}

// since returns since when the first item of a flow is ready.
func (f *flow) since() int64 {
	if f.waits() && len(f.items) > 0 {
		return f.items[0].since
	}
	for _, c := range f.ready {
		if c.waits() {
			return c.since()
		}
	}
	return 0
}

// waits reports whether an item of the flow is ready, and drops those in front of
// the first one.
func (f *flow) waits() bool {
	for len(f.items) > 0 {
		if f.items[0].state == automation.ItemReady {
			return true
		}
		f.items[0].queued = false
		f.drop()
	}
	return slices.ContainsFunc(f.ready, (*flow).waits)
}

// drop takes the first item off.
func (f *flow) drop() {
	f.items[0] = nil
	f.items = f.items[1:]
}

func (f *flow) push(it *item) {
	it.queued, it.in = true, f
	f.items = append(f.items, it)
}

// full returns the first of the flow's limits that has no room.
func (f *flow) full(now time.Time) *limit {
	for _, l := range f.limits {
		if l.full(now) {
			return l
		}
	}
	return nil
}

// flow returns the flow of a step's items in a queue.
func (m *Machine) flow(s *step, queue string) *flow {
	for _, f := range s.flows {
		if f.queue == queue {
			return f
		}
	}
	f := &flow{step: s, lane: s.run.lane(m, s.plan.Priority), queue: queue, limits: m.shared(s, queue)}
	s.flows = append(s.flows, f)
	s.bind(f.limits)
	return f
}

// bind keeps limits as long as the step has not ended.
func (s *step) bind(limits []*limit) {
	for _, l := range limits {
		l.steps++
	}
	s.bound = append(s.bound, limits...)
}

// unbind lets the limits of a step that has ended go.
func (m *Machine) unbind(s *step) {
	for _, l := range s.bound {
		l.steps--
		m.forget(l)
	}
	s.bound = nil
}

// lane returns the run's lane of a priority.
func (r *run) lane(m *Machine, priority int) *lane {
	for _, l := range r.lanes {
		if l.priority == priority {
			return l
		}
	}
	m.turns++
	l := &lane{run: r, priority: priority, turn: m.turns}
	r.lanes = append(r.lanes, l)
	return l
}

// queueOf returns the task queue of an item.
func (it *item) queueOf() string {
	switch t := it.element.Target; {
	case it.step.plan.Scheduler:
		return ""
	case it.step.plan.Queue != "":
		return it.step.plan.Queue
	case t != nil && t.Queue != "":
		return t.Queue
	}
	return automation.DefaultQueue
}

// queue lets a ready item stand in line.
func (m *Machine) queue(it *item) {
	if m.observe != nil {
		return // a view starts nothing
	}
	f := m.flow(it.step, it.queueOf())
	f.push(it)
	m.enqueue(f)
}

// enqueue lets a flow stand in the line of its queue, unless it stands in one or
// its run is paused.
func (m *Machine) enqueue(f *flow) {
	if f.at == nil && f.step.run.state != automation.RunPaused {
		m.line(f).add(f)
	}
}

// line returns the line of a flow's queue; the scheduler's own acts have theirs.
func (m *Machine) line(f *flow) *line {
	if f.step.plan.Scheduler {
		return &m.carried
	}
	i, ok := slices.BinarySearchFunc(m.lines, f.queue, func(q *queueLine, name string) int { return strings.Compare(q.name, name) })
	if !ok {
		m.lines = slices.Insert(m.lines, i, &queueLine{name: f.queue})
	}
	return &m.lines[i].line
}

// queueLine is the line of a task queue.
type queueLine struct {
	line
	name string
}
