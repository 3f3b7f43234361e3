package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

// takeLimit is how many deliveries a host reads at a time.
const takeLimit = 1000

// intentWait is how long an attempt waits for leave to act.
const intentWait = 30 * time.Second

// member is this host under one epoch: its heartbeat, what is delivered to it, and
// what it has to report while another host leads.
type member struct {
	loop  *Loop
	host  automation.Host
	fence context.CancelCauseFunc // the epoch is over

	draining atomic.Bool
	leading  atomic.Bool
	// beat is when the latest heartbeat that succeeded was sent.
	beat atomic.Pointer[time.Time]

	taking chan struct{} // of capacity one: one take at a time
	taken  atomic.Int64  // the last delivery that was taken up

	mu      sync.Mutex
	answers map[automation.AttemptKey]chan error // intents that wait for the leader
	// pending is what was to be reported and is not known to be stored; the goroutine
	// of Run owns it, and number, the last report's.
	pending []pending
	number  int64
}

// pending is a report and what it was made of.
type pending struct {
	report store.Report
	result *worker.Result
	intent *intention
}

func (l *Loop) newMember(host automation.Host, sent time.Time, fence context.CancelCauseFunc) *member {
	m := &member{loop: l, host: host, fence: fence, taking: make(chan struct{}, 1), answers: map[automation.AttemptKey]chan error{}}
	m.beat.Store(&sent)
	return m
}

// sure reports whether this host can still count on its epoch: whoever wants to
// reap it waits for twice as long.
func (m *member) sure() bool { return time.Since(*m.beat.Load()) < m.loop.cfg.TTL }

// keep sends heartbeats, four in a TTL, until ctx is done.
func (m *member) keep(ctx context.Context) {
	tick := time.NewTicker(m.loop.cfg.TTL / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if ctx.Err() != nil {
			return
		}
		if err := m.heartbeat(ctx); err != nil && ctx.Err() == nil {
			m.loop.cfg.Log.Warn("renew the host's lease", slog.Any("error", err))
		}
	}
}

func (m *member) heartbeat(ctx context.Context) error {
	b := automation.Beat{State: automation.HostLive, AtWork: m.loop.worker.AtWork()}
	if m.draining.Load() {
		b.State = automation.HostDraining
	}
	sent := time.Now()
	err := m.loop.cfg.Store.Heartbeat(ctx, m.host.ID, m.host.Epoch, b)
	if errors.Is(err, store.ErrFenced) {
		m.fence(fmt.Errorf("renew the host's lease: %w", err))
	}
	if err == nil {
		m.beat.Store(&sent)
	}
	return err
}

// read takes up what is delivered to this host until ctx is done. A leader has no
// deliveries: it takes what the last one has left when it begins.
func (m *member) read(ctx context.Context) {
	wake, stop := m.loop.cfg.Store.Wake(store.HostTopic(m.host.ID))
	defer stop()
	for {
		net := time.NewTimer(m.loop.cfg.Jitter(poll))
		select {
		case <-ctx.Done():
		case <-wake:
		case <-net.C:
		}
		net.Stop()
		heardOf(wake)
		if ctx.Err() != nil {
			return
		}
		if m.leading.Load() {
			continue
		}
		if err := m.take(ctx); err != nil && ctx.Err() == nil {
			m.loop.cfg.Log.Warn("read what is delivered to this host", slog.Any("error", err))
		}
	}
}

// jitter returns a time between a half and the whole of d.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // no secret
}

// take takes up all that is delivered: when it returns nil, every attempt that was
// committed for this host before the call is at work or has been given back.
func (m *member) take(ctx context.Context) error {
	select {
	case m.taking <- struct{}{}:
		defer func() { <-m.taking }()
	case <-ctx.Done():
		return fmt.Errorf("read the deliveries: %w", context.Cause(ctx))
	}
	for {
		to := store.Cursor{Host: m.host.ID, Epoch: m.host.Epoch, Number: m.taken.Load()}
		list, err := m.loop.cfg.Store.Deliveries(ctx, m.loop.cfg.Shard, to, takeLimit)
		if err != nil {
			return fmt.Errorf("read the deliveries: %w", err)
		}
		for i := range list {
			m.takeUp(ctx, &list[i])
			m.taken.Store(list[i].Number)
		}
		if len(list) < takeLimit {
			return nil
		}
	}
}

func (m *member) takeUp(ctx context.Context, d *store.Delivery) {
	switch d.Kind {
	case store.DeliverAttempt:
		if m.draining.Load() {
			m.loop.inbox.result(returned(d.Attempt, m.loop.now()))
			return
		}
		m.loop.worker.Start(ctx, []automation.Attempt{d.Attempt})
	case store.DeliverCancel:
		m.loop.worker.Cancel(d.Attempt.AttemptKey, d.Error)
	case store.DeliverIntent:
		var err error
		if d.Error != nil {
			err = d.Error
		}
		m.answer(d.Attempt.AttemptKey, err)
	}
}

// returned is the result of an attempt that its host gives back before it began.
func returned(a automation.Attempt, now time.Time) worker.Result {
	return worker.Result{Attempt: a, Outcome: automation.Outcome{
		State: automation.ItemFailed, StartedAt: now, EndedAt: now,
		Error: &automation.Error{Code: automation.CodeReturned, Message: "its host gave it back before it began", Phase: automation.PhaseBefore, CanRetry: true},
	}}
}

// answer tells an attempt that waits whether it may act.
func (m *member) answer(key automation.AttemptKey, err error) {
	m.mu.Lock()
	done := m.answers[key]
	delete(m.answers, key)
	m.mu.Unlock()
	if done != nil {
		tell(done, err)
	}
}

// end refuses the intents that wait: nobody will answer them.
func (m *member) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, done := range m.answers {
		tell(done, store.Fenced("intend"))
	}
	clear(m.answers)
}

// tell sends an answer unless there is one already.
func tell(done chan error, err error) {
	select {
	case done <- err:
	default:
	}
}

// flush reports to the leader what has come in. What could not be stored stays
// pending, under its number.
func (m *member) flush(ctx context.Context) error {
	m.gather()
	for len(m.pending) > 0 {
		n := min(len(m.pending), takeLimit)
		reports := make([]store.Report, n)
		for i := range reports {
			reports[i] = m.pending[i].report
		}
		taken := store.Cursor{Host: m.host.ID, Epoch: m.host.Epoch, Number: m.taken.Load()}
		if err := m.loop.cfg.Store.PutReports(ctx, m.loop.cfg.Shard, taken, reports); err != nil {
			return fmt.Errorf("report to the leader: %w", err)
		}
		m.pending = m.pending[n:]
	}
	m.pending = nil
	return nil
}

// gather makes reports of what has come in; what is of an earlier epoch is dropped:
// it does not count any more.
func (m *member) gather() {
	results, intents := m.loop.inbox.take()
	for i := range results {
		r := &results[i]
		if r.Attempt.HostEpoch == m.host.Epoch {
			m.add(pending{result: r, report: store.Report{Attempt: r.Attempt, Outcome: &r.Outcome, Live: r.Live}})
		}
	}
	for i := range intents {
		in := &intents[i]
		if in.attempt.HostEpoch != m.host.Epoch {
			tell(in.done, store.Fenced("intend"))
			continue
		}
		m.mu.Lock()
		m.answers[in.attempt.AttemptKey] = in.done
		m.mu.Unlock()
		m.add(pending{intent: in, report: store.Report{Attempt: in.attempt, Command: in.command}})
	}
}

func (m *member) add(p pending) {
	m.number++
	p.report.Host, p.report.Epoch, p.report.Number = m.host.ID, m.host.Epoch, m.number
	m.pending = append(m.pending, p)
}

// unsend puts what is pending back into the inbox: this host leads now, and folds
// it itself. What was stored all the same is read and folded too, once.
func (m *member) unsend() {
	var results []worker.Result
	for _, p := range m.pending {
		if p.result != nil {
			results = append(results, *p.result)
		} else {
			m.loop.inbox.intent(*p.intent)
		}
	}
	m.pending = nil
	m.loop.inbox.giveBack(results)
}
