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
// or an item.
type timer struct {
	at       time.Time
	run      *run
	step     *step  // of automation.TimerStep
	item     *item  // of automation.TimerItem, and without a deadline
	deadline string // "" for a wait or a backoff
	limit    *limit // of a rate that has room again; run is nil
}

// timers is a heap, the earliest first. A timer whose item or run has moved on is
// passed over when its time comes, or dropped before that when there are many:
// a deadline may be far off, and would keep its run in memory until then.
type timers struct {
	h    timerHeap
	kept int // when the heap was last looked through
}

func (t *timers) push(x timer) {
	if len(t.h) > 2*t.kept+1024 {
		t.h = slices.DeleteFunc(t.h, timer.over)
		heap.Init(&t.h)
		t.kept = len(t.h)
	}
	heap.Push(&t.h, x)
}

// over reports whether what the timer is for has ended.
func (t timer) over() bool {
	if t.limit != nil {
		return t.limit.armed != t.at.UnixNano()
	}
	return t.run.state.Ended() || t.item != nil && t.item.state.Ended() || t.step != nil && t.step.state.Ended()
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
	if t.run.state.Ended() {
		return
	}
	it := t.item
	switch {
	case t.deadline != "":
		m.fireDeadline(t, now)
	case !it.due.Equal(t.at):
	case it.state == automation.ItemWaitingRetry:
		m.toReady(it, now)
	case it.state == automation.ItemRunning && it.step.plan.Scheduler:
		m.mustHandle(t.run, automation.Fact{
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
