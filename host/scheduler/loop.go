package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/worker"
)

// Store is what the loop needs of the store.
type Store interface {
	store.Log
	store.LiveLogs
	store.Runs
	store.Leases
	Settings
	store.Questions
	store.Bounds
	store.Deliveries
	store.Queues
}

// Metrics receives what the loop measures. Safe for concurrent use.
type Metrics interface {
	// Turn: one commit of the leader, with the facts in it and how long it took.
	Turn(facts int, commit time.Duration)
	// RunEnded and AttemptEnded count outcomes by state.
	RunEnded(state automation.RunState)
	AttemptEnded(state automation.ItemState, code automation.Code)
	// Open is the number of runs that have not ended and of attempts at work.
	Open(runs, attempts int)
	// QueuesWithoutWorker is how many items wait in each task queue that no live host
	// serves; empty when this host does not lead.
	QueuesWithoutWorker(waiting map[string]int)
}

// Config is what a Loop needs.
type Config struct {
	Store    Store
	Executor worker.Executor
	// Logs is where what attempts at work have logged is found, and LogsEvery how often
	// it is stored; nil or 0: with the outcome alone.
	Logs      worker.Logs
	LogsEvery time.Duration
	Shard     int
	// Host is this host's identifier: the same at every start of the same host.
	Host    automation.HostID
	Name    string
	Version string
	// Slots is how many attempts this host runs at a time.
	Slots int
	// Queues are the task queues that this host serves; none is the default queue.
	Queues []string
	Limits machine.Limits
	// Alone: no other host can be alive on this store (SQLite, by its lock).
	Alone bool
	// TTL of the leadership and of hosts; 0 is 4 s. A host that was silent for twice
	// as long is reaped.
	TTL time.Duration
	// Drain is how long attempts may finish when the loop stops; 0 is 5 s.
	Drain   time.Duration
	Log     *slog.Logger
	Metrics Metrics
	// Now is the clock of the facts; nil is time.Now. Leases use the database's.
	Now func() time.Time
	// Jitter returns a time between a half and the whole of d; nil draws it.
	Jitter func(d time.Duration) time.Duration
	// Committed, when set, is called after each turn that was committed, by the
	// loop's goroutine, with the machine that decided it, the turn's time and the
	// leader's epoch: for who wants to compare it with what is stored. It must not
	// change the machine.
	Committed func(m *machine.Machine, now time.Time, epoch int64)
}

// Loop is a host's part in the scheduling: it leads its shard whenever it can.
type Loop struct {
	cfg    Config
	ready  atomic.Bool
	inbox  inbox
	worker *worker.Worker
	lines  *lines
	me     atomic.Pointer[member] // this host under its latest epoch
	plans  programs
}

// New returns a loop; Run starts it.
func New(cfg Config) *Loop {
	if cfg.TTL == 0 {
		cfg.TTL = 4 * time.Second
	}
	if len(cfg.Queues) == 0 {
		cfg.Queues = []string{automation.DefaultQueue}
	}
	if cfg.Drain == 0 {
		cfg.Drain = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Jitter == nil {
		cfg.Jitter = jitter
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Loop{cfg: cfg, inbox: inbox{news: make(chan struct{}, 1)}, lines: newLines(cfg), plans: newPrograms(cfg.Store, 256)}
	l.worker = worker.New(worker.Config{
		Executor: cfg.Executor, Report: l.report, Intend: l.intend, Log: cfg.Log, Now: cfg.Now,
	})
	return l
}

// report takes a worker's result.
func (l *Loop) report(r worker.Result) {
	r.Live = l.lines.over(r.Attempt.AttemptKey)
	l.inbox.result(r)
}

// Ready reports whether the loop leads and has replayed its runs, or follows
// another host that leads; the error says what it waits for.
func (l *Loop) Ready(context.Context) error {
	if l.ready.Load() {
		return nil
	}
	return automation.Errorf(automation.CodeUnavailable, "the scheduler neither leads its shard nor follows its leader yet")
}

// Run registers the host, leads whenever it can and follows otherwise, until ctx is
// done; then it gives the leadership up, lets the attempts at work finish for the
// drain time, reports their outcomes and leaves. When the host's epoch is over (it
// was silent for too long) it stops its attempts and begins again under a new one.
func (l *Loop) Run(ctx context.Context) error {
	defer func() { // whatever has gone wrong: nothing is at work when it returns
		none, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancel()
		l.worker.Drain(none)
	}()
	for ctx.Err() == nil {
		err := l.live(ctx)
		if ctx.Err() != nil {
			if errors.Is(err, store.ErrFenced) || errors.Is(err, errDoubt) {
				return nil // whoever leads knows what has become of its attempts
			}
			return err
		}
		l.cfg.Log.Error("this host's lease is over; it begins again", slog.Any("error", err))
		l.pause(ctx, l.cfg.Jitter(time.Second))
	}
	return nil
}

func (l *Loop) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// lead schedules under one epoch until the lease is over, a fault, or the stop.
func (l *Loop) lead(ctx context.Context, m *member, epoch int64) error {
	m.leading.Store(true)
	defer m.leading.Store(false)
	if l.cfg.Metrics != nil {
		defer l.cfg.Metrics.QueuesWithoutWorker(nil)
	}
	leading, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	var keeper sync.WaitGroup
	keeper.Go(func() { l.keep(leading, m, epoch, lost) })
	defer keeper.Wait()
	defer lost(nil)

	m.unsend()
	t := &turn{loop: l, me: m, epoch: epoch}
	err := t.recover(leading)
	if err != nil {
		err = fmt.Errorf("replay the open runs: %w", err)
	} else {
		l.ready.Store(true)
		err = t.turns(leading)
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), store.ErrFenced) {
		return l.handOver(context.WithoutCancel(ctx), t)
	}
	if cause := context.Cause(leading); cause != nil && leading.Err() != nil {
		err = cause
	}
	if t.doubt {
		return errors.Join(errDoubt, err)
	}
	return err
}

// handOver ends the lead because this host stops: where another host can lead it
// does so at once, and this one drains as a follower; else it drains leading.
func (l *Loop) handOver(ctx context.Context, t *turn) error {
	if !t.fresh && !t.others() {
		if err := l.finish(ctx, t); err != nil {
			return err
		}
	}
	if t.doubt {
		return errDoubt
	}
	if err := l.cfg.Store.Resign(ctx, l.cfg.Shard, t.me.host.ID, t.epoch); err != nil && !errors.Is(err, store.ErrFenced) {
		return fmt.Errorf("give the leadership back: %w", err)
	}
	return nil
}

// keep renews the leadership, three times a TTL.
func (l *Loop) keep(ctx context.Context, m *member, epoch int64, lost context.CancelCauseFunc) {
	tick := time.NewTicker(l.cfg.TTL / 3)
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
		_, err := l.cfg.Store.Lead(ctx, l.cfg.Shard, m.host.ID, epoch, l.cfg.TTL)
		if errors.Is(err, store.ErrFenced) {
			lost(fmt.Errorf("renew the leadership: %w", err))
			return
		}
		if err != nil && ctx.Err() == nil {
			l.cfg.Log.Warn("renew the leadership", slog.Any("error", err))
		}
	}
}

// finish drains the worker and commits what it still reports.
func (l *Loop) finish(ctx context.Context, t *turn) error {
	drain, cancel := context.WithTimeout(ctx, l.cfg.Drain)
	defer cancel()
	t.draining = true
	done := make(chan struct{})
	var drainer sync.WaitGroup
	drainer.Go(func() { l.worker.Drain(drain); close(done) })
	defer drainer.Wait()
	for open := true; open; {
		select {
		case <-done:
			open = false
		case <-l.inbox.news:
		}
		if err := t.once(ctx); err != nil {
			<-done
			return fmt.Errorf("commit the last outcomes: %w", err)
		}
	}
	return nil
}

// intend asks the leader to commit an attempt's intent and waits for the commit.
func (l *Loop) intend(ctx context.Context, a automation.Attempt, command automation.Digest) error {
	if m := l.me.Load(); a.HostEpoch != m.host.Epoch || !m.sure() {
		return &automation.Error{
			Code: automation.CodeUnavailable, Message: "this host is not sure of its lease, and sends nothing",
			Phase: automation.PhaseBefore, CanRetry: true,
		}
	}
	in := intention{attempt: a, command: command, done: make(chan error, 1)}
	l.inbox.intent(in)
	late := time.NewTimer(intentWait)
	defer late.Stop()
	select {
	case err := <-in.done:
		return err
	case <-late.C:
		return &automation.Error{
			Code: automation.CodeUnavailable, Message: fmt.Sprintf("no leader committed the intent within %s; nothing was sent", intentWait),
			Phase: automation.PhaseBefore, CanRetry: true,
		}
	case <-ctx.Done():
		// The commit may still come; nothing is sent, and the attempt says so in its outcome.
		return context.Cause(ctx)
	}
}
