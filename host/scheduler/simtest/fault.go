package simtest

import (
	"math/rand/v2"
	"time"
)

// fault is what happens to one call of the store.
type fault int

const (
	faultNone      fault = iota
	faultBefore          // it never arrived
	faultLost            // it was done, and its answer lost
	faultDieBefore       // the host died before it arrived
	faultDieAfter        // the host died when it was done
)

func (f fault) String() string {
	return [...]string{"", "call refused", "answer lost", "death before a commit", "death after a commit"}[f]
}

// spans are stretches of time since the begin of the simulation.
type spans []span

type span struct{ from, to time.Duration }

// left returns how long the span lasts that now is in; 0: it is in none.
func (s spans) left(now time.Duration) time.Duration {
	for _, w := range s {
		if w.from <= now && now < w.to {
			return w.to - now
		}
	}
	return 0
}

// blow ends a host's life at a time.
type blow struct {
	at, down time.Duration
	gentle   bool // as SIGTERM does
}

// jump moves a host's clock.
type jump struct{ at, by time.Duration }

// weather is the faults of a seed.
type weather struct {
	until time.Duration // no fault begins after it
	calls int           // how many of 1000 calls go wrong
	deaf  int           // how many of 1000 wake-ups are lost
	slows spans         // the store is slow
	// The commit of this number, of all, has the fault.
	commit      int
	commitFault fault
	jumps       bool
	hops        bool // hosts can't renew the leadership at times, and are hosts all the same
}

// randomWeather draws the faults that are of no host.
func randomWeather(r *rand.Rand) weather {
	w := weather{until: within(r, 5*time.Second, 20*time.Second)}
	if r.IntN(8) == 0 { // fair
		return w
	}
	w.calls, w.deaf = pick(r, 0, 0, 5, 30), pick(r, 0, 50, 1000)
	if r.IntN(4) == 0 {
		w.slows = randomSpans(r, w.until, 8*time.Second)
	}
	if r.IntN(2) == 0 {
		w.commit, w.commitFault = 1+r.IntN(60), fault(1+r.IntN(4))
	}
	w.jumps = r.IntN(4) == 0
	return w
}

// gone is how long a host is down that does not come back; the first one always does.
const (
	gone      = 24 * time.Hour
	firstHost = "h0"
)

// randomFaults draws the faults of a host.
func (w *weather) randomFaults(r *rand.Rand, h *host) {
	if w.calls+w.deaf+w.commit == 0 && !w.jumps && w.slows == nil { // fair
		return
	}
	switch r.IntN(6) {
	case 0:
		h.cut = randomSpans(r, w.until, 15*time.Second)
	case 1:
		h.stopped = randomSpans(r, w.until, 15*time.Second)
	case 2:
		for range 1 + r.IntN(2) {
			h.blows = append(h.blows, blow{at: within(r, 0, w.until), down: within(r, time.Millisecond, 12*time.Second), gentle: r.IntN(3) == 0})
		}
		if h.name != firstHost && r.IntN(4) == 0 {
			h.blows[len(h.blows)-1].down = gone
		}
	case 3:
		if w.jumps {
			for range 1 + r.IntN(3) {
				h.jumps = append(h.jumps, jump{at: within(r, 0, w.until), by: within(r, 0, 20*time.Minute) - 10*time.Minute})
			}
		}
	}
}

// randomHops draws when a host's calls for the leadership do not get through, which go
// over a connection of their own; all else does. It is drawn apart, so that seeds
// without it have the history that they had before there was such a fault.
func (w *weather) randomHops(r *rand.Rand, ttl time.Duration, h *host) {
	if !w.hops {
		return
	}
	for at := within(r, 0, 2*ttl); at < w.until; at += within(r, ttl, 6*ttl) {
		s := span{at, at + within(r, ttl/2, 3*ttl)}
		h.unled = append(h.unled, s)
		at = s.to
	}
}

func within(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

func randomSpans(r *rand.Rand, until, most time.Duration) spans {
	var s spans
	for range 1 + r.IntN(2) {
		from := within(r, 0, until)
		s = append(s, span{from, from + within(r, 10*time.Millisecond, most)})
	}
	return s
}

// faultOf decides what happens to a call.
func (w *world) faultOf(name, op string, writes bool, life, n int) fault {
	f := faultNone
	h := w.dice.of("fault"+name, life, n)
	switch {
	case !w.faulty():
		return faultNone
	case op == "append" && w.countCommit() == w.weather.commit && w.weather.commit > 0:
		f = w.weather.commitFault
	case !chance(h, w.weather.calls) && (op != "report" || !chance(h, 8*w.weather.calls)): // reports are few
		return faultNone
	case writes:
		f = fault(1 + mix(h)%4) //nolint:gosec // small
	default:
		f = faultBefore
	}
	w.excuse(f.String())
	return f
}

func (w *world) countCommit() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits++
	return w.commits
}
