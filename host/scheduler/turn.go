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
	epoch    int64
	m        *machine.Machine
	seq      int64 // the last number of an accepted run that the machine has
	draining bool
	look     bool // the store may have accepted runs or commands
}

// turns makes a turn whenever something has come in, until ctx is done.
func (t *turn) turns(ctx context.Context) error {
	wake, stop := t.loop.cfg.Store.Wake(store.TopicInbox)
	defer stop()
	net := time.NewTicker(poll)
	defer net.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	t.look = true
	for ctx.Err() == nil {
		if err := t.once(ctx); err != nil {
			return err
		}
		if t.look { // a full read: there may be more
			continue
		}
		t.arm(timer)
		select {
		case <-ctx.Done():
		case <-t.loop.inbox.news:
		case <-timer.C:
		case <-wake:
			t.look = true
		case <-net.C:
			t.look = true
		}
		select {
		case <-wake:
			t.look = true
		default:
		}
	}
	return nil
}

// arm sets the timer to the machine's next one.
func (t *turn) arm(timer *time.Timer) {
	next, ok := t.m.NextTimer()
	if !ok {
		timer.Stop()
		return
	}
	timer.Reset(max(next.Sub(t.loop.cfg.Now()), 0))
}

// once makes one turn: fold what has come in, decide, commit, act.
func (t *turn) once(ctx context.Context) error {
	l := t.loop
	now := l.now()
	results, intents := l.inbox.take()
	refused := t.foldResults(now, results)
	logs := attemptLogs(results, refused)
	waiting := t.foldIntents(now, intents)
	commands, err := t.read(ctx, now)
	if err == nil {
		t.m.Advance(now)
		if !t.draining {
			t.m.Grant(now, machine.Lease{Host: l.host.ID, Epoch: l.host.Epoch}, l.cfg.Slots-t.m.OpenAttempts())
		}
		err = t.commit(ctx, logs, commands)
	}
	if err != nil { // the machine is ahead of the store: its inputs go back, it goes away
		l.inbox.giveBack(results)
		for _, in := range waiting {
			in.done <- fmt.Errorf("commit the intent: %w", err)
		}
		if errors.Is(err, store.ErrFenced) || ctx.Err() != nil {
			return err
		}
		l.cfg.Log.Error("a turn was not committed; replaying", slog.Any("error", err))
		l.pause(ctx, 200*time.Millisecond)
		return t.recover(ctx)
	}
	for _, in := range waiting {
		in.done <- nil
	}
	return nil
}

func (l *Loop) now() time.Time { return l.cfg.Now().UTC().Truncate(time.Microsecond) }

// foldResults folds outcomes and returns the places of those that do not count
// any more: a stale attempt's.
func (t *turn) foldResults(now time.Time, results []worker.Result) map[int]bool {
	var refused map[int]bool
	for i := range results {
		r := &results[i]
		err := t.m.Handle(r.Attempt.Run, automation.Fact{
			Kind: automation.FactAttemptEnded, At: now, Step: r.Attempt.Step, Item: r.Attempt.Item, Attempt: r.Attempt.Attempt,
			Host: r.Attempt.Host, HostEpoch: r.Attempt.HostEpoch, Outcome: &r.Outcome,
		})
		if err != nil {
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
			logs = append(logs, store.AttemptLogs{Tenant: r.Attempt.Tenant, Attempt: r.Attempt.AttemptKey, Lines: r.Outcome.Logs})
		}
	}
	return logs
}

// foldIntents folds intents and returns those that wait for the commit; the
// others are refused at once.
func (t *turn) foldIntents(now time.Time, intents []intention) []intention {
	waiting := intents[:0]
	for _, in := range intents {
		a := &in.attempt
		err := t.m.Handle(a.Run, automation.Fact{
			Kind: automation.FactAttemptStarted, At: now, Step: a.Step, Item: a.Item, Attempt: a.Attempt,
			Host: a.Host, HostEpoch: a.HostEpoch, CommandHash: in.command,
		})
		if err != nil {
			in.done <- fmt.Errorf("this host's lease on the attempt is over: %w", err)
			continue
		}
		waiting = append(waiting, in)
	}
	return waiting
}

// read takes in accepted runs and commands, when there may be some.
func (t *turn) read(ctx context.Context, now time.Time) ([]automation.CommandID, error) {
	if !t.look || t.draining {
		return nil, nil
	}
	t.look = false
	l := t.loop
	entries, err := l.cfg.Store.Accepted(ctx, l.cfg.Shard, t.seq, readLimit)
	if err != nil {
		return nil, fmt.Errorf("read accepted runs: %w", err)
	}
	for i := range entries {
		if err := t.accept(ctx, &entries[i]); err != nil {
			return nil, err
		}
		t.seq = entries[i].Seq
	}
	commands, err := l.cfg.Store.Commands(ctx, l.cfg.Shard, readLimit)
	if err != nil {
		return nil, fmt.Errorf("read commands: %w", err)
	}
	t.look = len(entries) == readLimit || len(commands) == readLimit
	done := make([]automation.CommandID, len(commands))
	for i, c := range commands {
		done[i] = c.ID
		err := t.m.Handle(c.Run, automation.Fact{Kind: c.Kind, At: now, By: c.By, Reason: c.Reason})
		if err != nil { // the run has ended meanwhile: nothing is left to do
			l.cfg.Log.Info("a command came too late", slog.String("run_id", string(c.Run)), slog.Any("error", err))
		}
	}
	return done, nil
}

// accept folds a run's first entry. A run whose plan can't be read or compiled
// can't be scheduled, and must not stop the others: it ends failed.
func (t *turn) accept(ctx context.Context, e *automation.Entry) error {
	if len(e.Facts) == 0 || e.Facts[0].Kind != automation.FactRunAccepted {
		return automation.Errorf(automation.CodeInternal, "entry %d is no accepted run", e.Seq)
	}
	if t.m.Has(e.Run) {
		return nil
	}
	f := &e.Facts[0]
	prog, err := t.loop.plans.get(ctx, f.Tenant, f.Plan)
	if err != nil && (automation.Retryable(err) || ctx.Err() != nil) {
		return err
	}
	if err != nil {
		t.loop.cfg.Log.Error("a run's plan can't be used", slog.String("run_id", string(e.Run)), slog.Any("error", err))
		t.m.Reject(e.Run, f.At, automation.Errorf(automation.CodeInternal, "the stored plan can't be used any more: %w", err))
		return nil
	}
	return t.m.Accept(e.Run, f, prog)
}

// commit writes what was decided, and acts on it after that.
func (t *turn) commit(ctx context.Context, logs []store.AttemptLogs, commands []automation.CommandID) error {
	l := t.loop
	d, err := t.m.Take()
	if err != nil {
		return fmt.Errorf("the machine's own fault: %w", err)
	}
	if len(d.Entries) > 0 || len(d.Runs) > 0 || len(commands) > 0 || len(logs) > 0 {
		start := time.Now()
		err := l.cfg.Store.Append(ctx, store.Batch{
			Shard: l.cfg.Shard, Host: l.host.ID, Epoch: t.epoch,
			Entries: d.Entries, Runs: d.Runs, Commands: commands, Logs: logs,
		})
		if err != nil {
			return fmt.Errorf("commit a turn: %w", err)
		}
		t.measure(&d, time.Since(start))
	}
	l.worker.Start(ctx, d.Attempts)
	for _, c := range d.Cancels {
		if c.Host == l.host.ID {
			l.worker.Cancel(c.Attempt, c.Why)
		}
	}
	return nil
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
