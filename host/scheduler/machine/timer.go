package machine

import (
	"container/heap"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// timer is the end of an item's wait or backoff, or a deadline: of a run, a step
// or an item. It names them and does not point to them: a deadline may be far off,
// and would keep a run in memory that has ended long before.
type timer struct {
	at         time.Time
	run        automation.RunID
	step, item int
	deadline   string // of which of them; "" for an item's wait or backoff
	limit      *limit // of a rate that has room again; there is no run
}

// timers is a heap, the earliest first. A timer whose item or run has moved on is
// passed over when its time comes, or dropped before that when there are many.
type timers struct {
	h    timerHeap
	kept int // when the heap was last looked through
}

// wake sets a timer.
func (m *Machine) wake(x timer) {
	t := &m.timers
	if len(t.h) > 2*t.kept+1024 {
		t.h = slices.DeleteFunc(t.h, m.over)
		heap.Init(&t.h)
		t.kept = len(t.h)
	}
	heap.Push(&t.h, x)
}

// over reports whether what the timer is for has ended.
func (m *Machine) over(t timer) bool {
	if t.limit != nil {
		return t.limit.armed != t.at.UnixNano()
	}
	r := m.runs[t.run]
	if r == nil || r.state.Ended() {
		return true
	}
	switch t.deadline {
	case automation.TimerRun:
		return false
	case automation.TimerStep:
		return r.steps[t.step].state.Ended()
	}
	it := r.item(t.step, t.item)
	return it == nil || it.state.Ended()
}

// due takes the earliest timer off if its time has come.
func (t *timers) due(now time.Time) (timer, bool) {
	if len(t.h) == 0 || t.h[0].at.After(now) {
		return timer{}, false
	}
	x, ok := heap.Pop(&t.h).(timer)
	return x, ok
}

type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

func (h *timerHeap) Push(x any) {
	if t, ok := x.(timer); ok {
		*h = append(*h, t)
	}
}

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = timer{}
	*h = (*h)[:last]
	return x
}

// NextTimer returns when Advance has something to do next; false without a timer.
func (m *Machine) NextTimer() (time.Time, bool) {
	if len(m.timers.h) == 0 {
		return time.Time{}, false
	}
	return m.timers.h[0].at, true
}

// Advance fires the timers whose time has come: backoffs that are over make
// their items ready, waits that are over end, runs that took too long are stopped.
func (m *Machine) Advance(now time.Time) {
	m.relate()
	for {
		t, ok := m.timers.due(now)
		if !ok {
			return
		}
		m.fire(t, now)
		m.relate()
	}
}

func (m *Machine) fire(t timer, now time.Time) {
	if t.limit != nil {
		m.refilled(t.limit, t.at, now)
		return
	}
	r := m.runs[t.run]
	if r == nil || r.state.Ended() {
		return
	}
	if t.deadline != "" {
		m.fireDeadline(r, t, now)
		return
	}
	it := r.item(t.step, t.item)
	switch {
	case it == nil, !it.due.Equal(t.at):
	case it.state == automation.ItemWaitingRetry:
		m.toReady(it, now)
	case it.state == automation.ItemRunning && it.step.plan.Scheduler:
		m.mustHandle(r, automation.Fact{
			Kind: automation.FactItemEnded, At: now, Step: it.step.index, Item: it.index, Outcome: it.over(now),
		})
	}
}

// backoff returns how long to wait after the item's latest attempt: exponential,
// and with jitter "full" a fraction of that, which is a hash of the attempt's
// name, so that every replay finds the same time.
func backoff(it *item) time.Duration {
	r := it.step.plan.Retry
	factor := r.Factor
	if factor < 1 {
		factor = 1
	}
	d := float64(r.Initial) * math.Pow(factor, float64(it.attempt-it.uncounted-1))
	if r.Max > 0 {
		d = min(d, float64(r.Max))
	}
	d = min(d, float64(maxWait))
	if r.Jitter == "full" {
		d *= fraction(it.key())
	}
	return time.Duration(d)
}

// fraction hashes an attempt's name to a number from 0 to 1.
func fraction(k automation.AttemptKey) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(k.Run) + "/" + itoa(k.Step) + "/" + itoa(k.Item) + "/" + itoa(k.Attempt)))
	x := h.Sum64() // the low bits of FNV vary most; mix them into the high ones
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
