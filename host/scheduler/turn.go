package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

// readLimit is how many accepted runs and commands one turn takes in.
const readLimit = 1000

// poll is how often the loop looks for news without being woken: the safety net.
const poll = 2 * time.Second

// turn is the loop's state under one epoch of leadership.
type turn struct {
	loop     *Loop
	me       *member
	epoch    int64
	now      time.Time // of the latest turn
	peers    peers
	queues   queues
	m        *machine.Machine
	seq      int64 // the last number of an accepted run that the machine has
	draining bool
	look     bool // the store may have accepted runs or commands
	fresh    bool // the machine was just made anew
	settings settings
	asked    bool // there may be questions
	// doubt: whether the last commit was made is not known.
	doubt bool
}

// turns makes a turn whenever something has come in, until ctx is done.
func (t *turn) turns(ctx context.Context) error {
	l := t.loop
	wake, stop := l.cfg.Store.Wake(store.TopicInbox)
	defer stop()
	reports, stopReports := l.cfg.Store.Wake(store.TopicReports)
	defer stopReports()
	hosts, stopHosts := l.cfg.Store.Wake(store.TopicHosts)
	defer stopHosts()
	settings, stopSettings := l.cfg.Store.Wake(store.TopicSettings)
	defer stopSettings()
	questions, stopQuestions := l.cfg.Store.Wake(store.TopicQuestions)
	defer stopQuestions()
	net := time.NewTicker(min(poll, l.cfg.TTL/4))
	defer net.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	t.look = true
	for ctx.Err() == nil {
		if err := t.once(ctx); err != nil {
			return err
		}
		if err := t.answer(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Log.Warn("questions stay open", slog.Any("error", err))
		}
		if t.look || t.peers.reports { // a full read: there may be more
			continue
		}
		t.arm(timer)
		select {
		case <-ctx.Done():
		case <-l.inbox.news:
		case <-timer.C:
		case <-wake:
			t.look = true
		case <-reports:
			t.peers.reports = true
		case <-hosts:
			t.peers.look = true
		case <-settings:
			t.settings.look = true
		case <-questions:
			t.asked = true
		case <-net.C:
			t.lookAtAll()
		}
		if heardOf(net.C) {
			t.lookAtAll()
		}
		// Whatever else is there is of the same turn: which of them came up makes no difference.
		t.look = heardOf(wake) || t.look
		t.peers.reports = heardOf(reports) || t.peers.reports
		t.peers.look = heardOf(hosts) || t.peers.look
		t.settings.look = heardOf(settings) || t.settings.look
		t.asked = heardOf(questions) || t.asked
		heardOf(l.inbox.news)
	}
	return nil
}

// lookAtAll has the turn look at what it was not told of.
func (t *turn) lookAtAll() {
	t.look, t.peers.reports, t.settings.look, t.asked = true, true, true, true
}

// heardOf takes a signal that is there.
func heardOf[T any](c <-chan T) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// arm sets the timer to the machine's next one.
func (t *turn) arm(timer *time.Timer) {
	next, ok := t.m.NextTimer()
	if !ok {
		timer.Stop()
		return
	}
	timer.Reset(max(next.Sub(t.loop.now()), 0)) // by the clock that it is held to, or the turn comes too early for it
}

// once makes one turn: fold what has come in, decide, commit, act.
func (t *turn) once(ctx context.Context) error {
	l := t.loop
	var mine map[automation.AttemptKey]bool
	if t.fresh { // before the results are taken: what ends meanwhile is among them
		mine = l.worker.Running()
	}
	h := heard{}
	h.results, h.intents = l.inbox.take()
	h.own = len(h.results)
	waiting, err := t.decideAndCommit(ctx, &h, mine)
	if err == nil {
		t.fresh, t.doubt = false, false
		if l.cfg.Committed != nil {
			l.cfg.Committed(t.m, t.now, t.epoch)
		}
		for _, in := range waiting {
			t.tell(&in, nil)
		}
		t.sayQueues(ctx)
		return nil
	}
	// The machine is ahead of the store: its inputs go back, it goes away.
	t.fresh = true // whoever hands over now must not go on with it
	l.inbox.giveBack(h.results[:h.own])
	for _, in := range waiting {
		t.tell(&in, fmt.Errorf("commit the intent: %w", err))
	}
	if errors.Is(err, store.ErrFenced) || ctx.Err() != nil {
		return err
	}
	l.cfg.Log.Error("a turn was not committed; replaying", slog.Any("error", err))
	l.pause(ctx, 200*time.Millisecond)
	return t.recover(ctx)
}

// decideAndCommit returns the intents that wait for the commit that it made or not.
func (t *turn) decideAndCommit(ctx context.Context, h *heard, mine map[automation.AttemptKey]bool) (waiting []intention, err error) {
	waiting = h.intents // all of them, until they are folded
	if err := t.lookAtHosts(ctx); err != nil {
		return waiting, err
	}
	reports, err := t.readReports(ctx)
	if err != nil {
		return waiting, err
	}
	now := t.loop.now()
	t.setBack(now)
	t.now = now
	t.add(h, reports)
	refused := t.foldResults(now, h.results)
	b := store.Batch{Logs: attemptLogs(h.results, refused)}
	waiting = t.foldIntents(now, h.intents, &b)
	if err := t.lose(now, mine); err != nil {
		return waiting, err
	}
	b.Read = append(h.read, t.overCursors()...)
	if b.Commands, err = t.read(ctx, now); err != nil {
		return waiting, err
	}
	if err := t.readSettings(ctx, now); err != nil {
		return waiting, err
	}
	t.m.Advance(now)
	t.grant(now)
	return waiting, t.commit(ctx, b)
}

// tell answers an intent of this host. One that was reported while another host led
// has its attempt waiting at the member.
func (t *turn) tell(in *intention, err error) {
	if in.done != nil {
		tell(in.done, err)
	} else if in.attempt.Host == t.me.host.ID {
		t.me.answer(in.attempt.AttemptKey, err)
	}
}

// setBack has the limits drawn anew when this host's clock was set back: by the new
// time, rates would else have nothing left until it has come to where it was.
func (t *turn) setBack(now time.Time) {
	if !now.Before(t.now.Add(-time.Second)) {
		return
	}
	t.loop.cfg.Log.Warn("this host's clock was set back", slog.Duration("by", t.now.Sub(now)))
	t.settings.look, t.settings.limits = true, nil
}

func (l *Loop) now() time.Time { return l.cfg.Now().UTC().Truncate(time.Microsecond) }

// foldResults folds outcomes and returns the places of those that do not count
// any more: a stale attempt's.
func (t *turn) foldResults(now time.Time, results []worker.Result) map[int]bool {
	var refused map[int]bool
	for i := range results {
		r := &results[i]
		if err := t.m.Handle(r.Attempt.Run, ended(now, r)); err != nil {
			if refused == nil {
				refused = map[int]bool{}
			}
			refused[i] = true
			t.loop.cfg.Log.Warn("an outcome does not count", slog.String("run_id", string(r.Attempt.Run)),
				slog.String("step_id", r.Attempt.StepID), slog.Int("attempt", r.Attempt.Attempt), slog.Any("error", err))
			continue
		}
		if mt := t.loop.cfg.Metrics; mt != nil {
			mt.AttemptEnded(r.Outcome.State, codeOf(r.Outcome.Error))
		}
	}
	return refused
}

// ended is the fact of an attempt's end.
func ended(now time.Time, r *worker.Result) automation.Fact {
	return automation.Fact{
		Kind: automation.FactAttemptEnded, At: now, Step: r.Attempt.Step, Item: r.Attempt.Item, Attempt: r.Attempt.Attempt,
		Host: r.Attempt.Host, HostEpoch: r.Attempt.HostEpoch, Outcome: &r.Outcome,
	}
}

func codeOf(e *automation.Error) automation.Code {
	if e == nil {
		return ""
	}
	return e.Code
}

// attemptLogs gathers what the attempts that count have logged.
func attemptLogs(results []worker.Result, refused map[int]bool) []store.AttemptLogs {
	var logs []store.AttemptLogs
	for i := range results {
		if r := &results[i]; len(r.Outcome.Logs) > 0 && !refused[i] {
			logs = append(logs, store.AttemptLogs{Tenant: r.Attempt.Tenant, Attempt: r.Attempt.AttemptKey, Lines: r.Outcome.Logs, Live: r.Live})
		}
	}
	return logs
}

// foldIntents folds intents and returns those that wait for the commit; the
// others are refused. Other hosts get their answers with the commit.
func (t *turn) foldIntents(now time.Time, intents []intention, b *store.Batch) []intention {
	var waiting []intention
	folded := map[automation.AttemptKey]bool{}
	for _, in := range intents {
		a := &in.attempt
		err := t.m.Handle(a.Run, automation.Fact{
			Kind: automation.FactAttemptStarted, At: now, Step: a.Step, Item: a.Item, Attempt: a.Attempt,
			Host: a.Host, HostEpoch: a.HostEpoch, CommandHash: in.command,
		})
		if err == nil {
			folded[a.AttemptKey] = true
		}
		switch refused := err != nil && !folded[a.AttemptKey]; { // twice in one turn: reported, and taken back
		case a.Host != t.me.host.ID:
			b.Deliveries = append(b.Deliveries, answerTo(a, err))
		case refused:
			t.tell(&in, fmt.Errorf("this host's lease on the attempt is over: %w", err))
		default:
			waiting = append(waiting, in)
		}
	}
	return waiting
}

func answerTo(a *automation.Attempt, err error) store.Delivery {
	d := store.Delivery{Host: a.Host, Epoch: a.HostEpoch, Kind: store.DeliverIntent, Attempt: *a}
	if err != nil {
		d.Error = &automation.Error{Code: automation.CodeConflict, Message: "the host's lease on the attempt is over", Phase: automation.PhaseBefore}
	}
	return d
}

// commit writes what was decided, and acts on it after that.
func (t *turn) commit(ctx context.Context, b store.Batch) error {
	l := t.loop
	d, err := t.m.Take()
	if err != nil {
		return fmt.Errorf("the machine's own fault: %w", err)
	}
	b.Shard, b.Host, b.Epoch, b.Entries, b.Accepted, b.Runs = l.cfg.Shard, t.me.host.ID, t.epoch, d.Entries, d.Accepted, d.Runs
	b.Approvals, b.Buckets = d.Approvals, d.Buckets
	own := t.deliver(&d, &b)
	if news(&b) {
		start := time.Now()
		if err := l.cfg.Store.Append(ctx, b); err != nil {
			t.doubt = t.doubt || len(own) > 0 && !errors.Is(err, store.ErrFenced)
			return fmt.Errorf("commit a turn: %w", err)
		}
		t.measure(&d, time.Since(start))
	}
	l.worker.Start(ctx, own)
	for _, c := range d.Cancels {
		if c.Host == t.me.host.ID {
			l.worker.Cancel(c.Attempt, c.Why)
		}
	}
	return nil
}

// news reports whether a batch has anything to commit.
func news(b *store.Batch) bool {
	return len(b.Entries) > 0 || len(b.Runs) > 0 || len(b.Approvals) > 0 || len(b.Commands) > 0 || len(b.Buckets) > 0 ||
		len(b.Logs) > 0 || len(b.Deliveries) > 0 || len(b.Read) > 0
}

// deliver puts what is for other hosts into the batch and returns this host's own
// attempts.
func (t *turn) deliver(d *machine.Decisions, b *store.Batch) []automation.Attempt {
	own := d.Attempts[:0]
	for _, a := range d.Attempts {
		if a.Host == t.me.host.ID {
			own = append(own, a)
			continue
		}
		b.Deliveries = append(b.Deliveries, store.Delivery{Host: a.Host, Epoch: a.HostEpoch, Kind: store.DeliverAttempt, Attempt: a})
	}
	for _, c := range d.Cancels {
		if p := t.peers.byID[c.Host]; c.Host != t.me.host.ID && p != nil && !p.gone() {
			b.Deliveries = append(b.Deliveries, store.Delivery{
				Host: c.Host, Epoch: p.host.Epoch, Kind: store.DeliverCancel,
				Attempt: automation.Attempt{AttemptKey: c.Attempt}, Error: c.Why,
			})
		}
	}
	return own
}

func (t *turn) measure(d *machine.Decisions, took time.Duration) {
	mt := t.loop.cfg.Metrics
	if mt == nil {
		return
	}
	facts := 0
	for i := range d.Entries {
		facts += len(d.Entries[i].Facts)
	}
	mt.Turn(facts, took)
	for i := range d.Runs {
		if d.Runs[i].State.Ended() {
			mt.RunEnded(d.Runs[i].State)
		}
	}
	mt.Open(t.m.Len(), t.m.OpenAttempts())
}
