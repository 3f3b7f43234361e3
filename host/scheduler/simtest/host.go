package simtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/store"
)

// host is a simulated host over all its lives.
type host struct {
	w       *world
	name    string
	id      automation.HostID
	slots   int
	cut     spans         // it can't reach the store
	lost    time.Duration // nor before that time, since an answer was lost
	unled   spans         // its calls for the leadership do not get through
	stopped spans         // it stands still
	blows   []blow
	jumps   []jump
	down    time.Duration // after a death of a commit
}

// now is the host's own clock.
func (h *host) now() time.Time {
	at := time.Now()
	for _, j := range h.jumps {
		if h.w.sinceBegin() >= j.at {
			at = at.Add(j.by)
		}
	}
	return at
}

// crash ends a life as kill -9 does.
func (h *host) crash(l *link) {
	if h != h.w.client {
		l.die()
	}
}

// live is all lives of the host, until stop is done; then it ends by itself.
func (h *host) live(stop context.Context) {
	for life := 0; stop.Err() == nil; life++ {
		l := h.w.link(h, life)
		h.w.attach(h, l)
		ctx, cancel := context.WithCancel(context.WithoutCancel(stop)) // a host is told to stop by await
		ended := make(chan struct{})
		h.w.all.Go(func() {
			defer close(ended)
			//nolint:contextcheck // what compares the machines is of the simulation
			if err := h.loop(l).Run(ctx); err != nil && !l.isDead() && !errors.Is(err, store.ErrFenced) && automation.CodeOf(err) != automation.CodeUnavailable {
				h.w.violate("host %s ended: %v", h.name, err)
			}
		})
		down := h.await(stop, l, ended)
		cancel()
		if !l.isDead() {
			<-ended // it has drained
		}
		l.die()
		if down == gone {
			<-stop.Done()
			return
		}
		sleep(down)
	}
}

// await waits until the life is over, and returns how long the host is down then.
func (h *host) await(stop context.Context, l *link, ended chan struct{}) time.Duration {
	next := time.NewTimer(24 * time.Hour)
	defer next.Stop()
	now := h.w.sinceBegin()
	var b *blow
	for i := range h.blows {
		if h.blows[i].at > now && (b == nil || h.blows[i].at < b.at) {
			b = &h.blows[i]
		}
	}
	if b != nil {
		next.Reset(b.at - now)
	}
	select {
	case <-stop.Done():
		return 0
	case <-l.died:
		return h.down
	case <-ended:
		return h.down
	case <-next.C:
	}
	if b.gentle {
		h.w.excuse("told to stop")
	} else {
		h.w.excuse("killed")
		l.die()
	}
	return b.down
}

func (h *host) loop(l *link) *scheduler.Loop {
	w := h.w
	jitters := 0
	e := &executor{link: l, shelf: shelf{books: map[automation.AttemptKey]*book{}}}
	return scheduler.New(scheduler.Config{
		Store: l, Executor: e, Logs: e, LogsEvery: w.every, Host: h.id, Name: h.name, Version: "1", Slots: h.slots, Limits: w.limits,
		Alone: w.alone, TTL: w.ttl, Drain: 2 * time.Second, Now: h.now,
		Jitter: func(d time.Duration) time.Duration {
			l.mu.Lock()
			defer l.mu.Unlock()
			jitters++
			return between(w.dice.of("jitter"+h.name, l.life, jitters), d/2, d)
		},
		Committed: func(m *machine.Machine, now time.Time, epoch int64) { w.compare(h, m, now, epoch) },
	})
}

func (w *world) newHost(i int) *host {
	r := w.dice.rand("host", i)
	h := &host{
		w: w, name: fmt.Sprintf("h%d", i), id: automation.HostID(fmt.Sprintf("01900000-0000-7000-8000-00000000000%d", i)),
		slots: 1 + r.IntN(4), down: within(r, 10*time.Millisecond, 12*time.Second),
	}
	w.weather.randomFaults(r, h)
	w.weather.randomHops(w.dice.rand("hops", i), w.ttl, h)
	return h
}
