package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

// peers is what the leader knows of the hosts, itself among them.
type peers struct {
	byID  map[automation.HostID]*peer
	order []*peer // by identifier
	next  time.Time
	look  bool // a host may have come, drain or have gone
	// over: an epoch of a host is over, and the attempts of that epoch are lost once
	// its reports have been read.
	over bool
	// reports: hosts may have reported; whole: those of every host are to be read.
	reports, whole bool
}

// peer is one host.
type peer struct {
	host  automation.Host
	since time.Time // when this heartbeat was seen first, by this host's clock
	read  store.Cursor
}

// live reports whether the peer may be given attempts.
func (p *peer) live() bool { return p.host.State == automation.HostLive }

// gone reports whether nobody is there who could report.
func (p *peer) gone() bool {
	return p.host.State == automation.HostStopped || p.host.State == automation.HostLost
}

// lookAtHosts reads the hosts when it is time to, and reaps those whose heartbeat
// has stopped: their epoch first, so that nothing they still write counts.
func (t *turn) lookAtHosts(ctx context.Context) error {
	l := t.loop
	now := time.Now()
	if !t.peers.look && (l.cfg.Alone || now.Before(t.peers.next)) {
		return nil
	}
	hosts, err := l.cfg.Store.Hosts(ctx)
	if err != nil {
		return fmt.Errorf("read the hosts: %w", err)
	}
	t.peers.look, t.peers.next = false, now.Add(l.cfg.TTL/4)
	t.peers.order = t.peers.order[:0]
	for _, h := range hosts {
		p := t.peers.see(h, now)
		t.peers.order = append(t.peers.order, p)
		if h.ID == t.me.host.ID || p.gone() || !t.silent(p, now) {
			continue
		}
		l.cfg.Log.Warn("a host's heartbeat has stopped", slog.String("host", h.Name), slog.String("host_id", string(h.ID)), slog.Duration("age", h.Age))
		if err := l.cfg.Store.ReapHost(ctx, h.ID, h.Epoch, automation.HostLost); err != nil {
			return fmt.Errorf("reap a host: %w", err)
		}
		p.host.Epoch, p.host.State = h.Epoch+1, automation.HostLost
		t.peers.over, t.peers.whole = true, true
	}
	return nil
}

// see takes in a host's row.
func (ps *peers) see(h automation.Host, now time.Time) *peer {
	p := ps.byID[h.ID]
	if p == nil {
		p = &peer{host: h, since: now, read: store.Cursor{Host: h.ID}}
		ps.byID[h.ID] = p
		return p
	}
	if p.host.Epoch != h.Epoch {
		ps.over, ps.whole = true, true
	}
	if !p.host.Heartbeat.Equal(h.Heartbeat) {
		p.since = now
	}
	p.host = h
	return p
}

// silent reports whether a host's lease is over. After a fault of the database
// every heartbeat is old: a host has to be silent while this one watches, too.
func (t *turn) silent(p *peer, now time.Time) bool {
	ttl := t.loop.cfg.TTL
	return t.loop.cfg.Alone || p.host.Age > 2*ttl && now.Sub(p.since) > ttl/2
}

// readReports reads what hosts have reported. Reports of an epoch that is over
// are all there: the host's row was held by the last of them.
func (t *turn) readReports(ctx context.Context) ([]store.Report, error) {
	ps := &t.peers
	if !ps.reports && !ps.whole {
		return nil, nil
	}
	var after []store.Cursor
	for _, p := range ps.order {
		if ps.whole || p.host.ID != t.me.host.ID && !p.gone() {
			after = append(after, p.read)
		}
	}
	ps.reports = false
	if len(after) == 0 {
		return nil, nil
	}
	var all []store.Report
	for {
		list, err := t.loop.cfg.Store.Reports(ctx, t.loop.cfg.Shard, after, readLimit)
		if err != nil {
			return nil, fmt.Errorf("read the reports of hosts: %w", err)
		}
		all = append(all, list...)
		for i := range list {
			r := &list[i]
			ps.byID[r.Host].read = store.Cursor{Host: r.Host, Epoch: r.Epoch, Number: r.Number}
		}
		if len(list) < readLimit {
			return all, nil
		}
		for i := range after {
			after[i] = ps.byID[after[i].Host].read
		}
	}
}

// heard is what a turn folds: what came in from this host and from the others.
type heard struct {
	results []worker.Result
	own     int // the first results are this host's own: they go back when the commit fails
	intents []intention
	read    []store.Cursor // of hosts whose reports were read
}

// add takes in reports. An intent of an epoch that is over is passed over: nobody
// waits for its answer, and without one nobody acts.
func (t *turn) add(h *heard, reports []store.Report) {
	for i := range reports {
		r := &reports[i]
		p := t.peers.byID[r.Host]
		if n := len(h.read); n > 0 && h.read[n-1].Host == r.Host {
			h.read[n-1] = p.read
		} else {
			h.read = append(h.read, p.read)
		}
		switch {
		case r.Outcome != nil:
			h.results = append(h.results, worker.Result{Attempt: r.Attempt, Outcome: *r.Outcome, Live: r.Live})
		case r.Epoch == p.host.Epoch:
			h.intents = append(h.intents, intention{attempt: r.Attempt, command: r.Command})
		}
	}
}

// lose ends the attempts of epochs that are over, after their reports were folded.
// mine is what this host has at work, when the machine was just made anew: an
// attempt of its own that it does not have comes from a commit that failed.
func (t *turn) lose(now time.Time, mine map[automation.AttemptKey]bool) error {
	if !t.peers.over && mine == nil {
		return nil
	}
	t.peers.over = false
	var lost []worker.Result
	me := t.me.host
	t.m.Attempts(func(key automation.AttemptKey, host automation.HostID, epoch int64) {
		a := automation.Attempt{AttemptKey: key, Host: host, HostEpoch: epoch}
		p := t.peers.byID[host]
		switch {
		case host == me.ID && epoch == me.Epoch:
			if mine != nil && !mine[key] {
				lost = append(lost, returned(a, now))
			}
		case p == nil || p.host.Epoch != epoch:
			lost = append(lost, worker.Result{Attempt: a, Outcome: automation.Outcome{
				State: automation.ItemFailed, EndedAt: now,
				Error: &automation.Error{Code: automation.CodeHostLost, Message: "its host was lost", CanRetry: true},
			}})
		}
	})
	slices.SortFunc(lost, func(a, b worker.Result) int { return a.Attempt.Compare(b.Attempt.AttemptKey) })
	for i := range lost {
		if err := t.m.Handle(lost[i].Attempt.Run, ended(now, &lost[i])); err != nil {
			return fmt.Errorf("end a lost attempt: %w", err)
		}
	}
	return nil
}

// overCursors returns how far the reports of hosts may be removed of which every
// earlier epoch is over and read.
func (t *turn) overCursors() []store.Cursor {
	if !t.peers.whole {
		return nil
	}
	t.peers.whole = false
	var all []store.Cursor
	for _, p := range t.peers.order {
		if p.read.Epoch < p.host.Epoch && p.host.Epoch > 1 {
			p.read = store.Cursor{Host: p.host.ID, Epoch: p.host.Epoch - 1, Number: math.MaxInt64}
			all = append(all, p.read)
		}
	}
	return all
}

// grant gives ready items to the hosts that have room, the least loaded first, and
// this one first among equals: its own attempts begin without a way through the store.
func (t *turn) grant(now time.Time) {
	me := t.me.host
	own := machine.Lease{Host: me.ID, Epoch: me.Epoch, Queues: me.Queues}
	var open []*room
	for _, p := range t.peers.order {
		if used := t.m.OpenOn(p.host.ID); p.live() && p.host.ID != me.ID && used < p.host.Slots {
			open = append(open, &room{lease: machine.Lease{Host: p.host.ID, Epoch: p.host.Epoch, Queues: p.host.Queues}, used: used, slots: p.host.Slots})
		}
	}
	mine := &room{lease: own, used: t.m.OpenOn(me.ID), slots: me.Slots}
	if t.draining {
		mine.slots = 0
	}
	if len(open) == 0 {
		t.m.Grant(now, own, mine.slots-mine.used)
		return
	}
	t.m.Grant(now, own, 0) // waits need no host
	if mine.used < mine.slots {
		open = append([]*room{mine}, open...)
	}
	for len(open) > 0 {
		least := 0
		for i := range open {
			if open[i].used*open[least].slots < open[least].used*open[i].slots {
				least = i
			}
		}
		r := open[least]
		before := t.m.OpenAttempts()
		t.m.Grant(now, r.lease, 1)
		if r.used++; r.used >= r.slots || t.m.OpenAttempts() == before {
			open = append(open[:least], open[least+1:]...)
		}
	}
}

// room is a host that has free slots.
type room struct {
	lease       machine.Lease
	used, slots int
}

// others reports whether another host could lead.
func (t *turn) others() bool {
	for _, p := range t.peers.order {
		if p.host.ID != t.me.host.ID && p.live() && p.host.Age < t.loop.cfg.TTL {
			return true
		}
	}
	return false
}
