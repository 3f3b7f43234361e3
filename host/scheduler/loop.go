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
	store.Runs
	store.Leases
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
}

// Config is what a Loop needs.
type Config struct {
	Store    Store
	Executor worker.Executor
	Shard    int
	// Host is this host's identifier: the same at every start of the same host.
	Host    automation.HostID
	Name    string
	Version string
	// Slots is how many attempts this host runs at a time.
	Slots  int
	Limits machine.Limits
	// Alone: no other host can be alive on this store (SQLite, by its lock).
	Alone bool
	// TTL of the leadership and of hosts; 0 is 10 s.
	TTL time.Duration
	// Drain is how long attempts may finish when the loop stops; 0 is 5 s.
	Drain   time.Duration
	Log     *slog.Logger
	Metrics Metrics
	// Now is the clock of the facts; nil is time.Now. Leases use the database's.
	Now func() time.Time
}

// Loop is a host's part in the scheduling: it leads its shard whenever it can.
type Loop struct {
	cfg    Config
	ready  atomic.Bool
	inbox  inbox
	worker *worker.Worker
	host   automation.Host
	plans  programs
}

// New returns a loop; Run starts it.
func New(cfg Config) *Loop {
	if cfg.TTL == 0 {
		cfg.TTL = 10 * time.Second
	}
	if cfg.Drain == 0 {
		cfg.Drain = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Loop{cfg: cfg, inbox: inbox{news: make(chan struct{}, 1)}, plans: newPrograms(cfg.Store, 256)}
	l.worker = worker.New(worker.Config{
		Executor: cfg.Executor, Report: l.inbox.result, Intend: l.intend, Log: cfg.Log, Now: cfg.Now,
	})
	return l
}

// Ready reports whether the loop leads and has replayed its runs; the error says
// what it waits for.
func (l *Loop) Ready(context.Context) error {
	if l.ready.Load() {
		return nil
	}
	return automation.Errorf(automation.CodeUnavailable, "the scheduler does not lead its shard yet")
}

// Run registers the host, leads whenever it can, and schedules until ctx is
// done; then it lets the attempts at work finish for the drain time, commits
// their outcomes and gives the leadership back.
func (l *Loop) Run(ctx context.Context) error {
	host, err := l.cfg.Store.RegisterHost(ctx, automation.Host{
		ID: l.cfg.Host, Name: l.cfg.Name, Version: l.cfg.Version, Slots: l.cfg.Slots,
	})
	if ctx.Err() != nil {
		return nil // stopped before it had begun
	}
	if err != nil {
		return fmt.Errorf("register the host: %w", err)
	}
	l.host = host
	for ctx.Err() == nil {
		epoch, err := l.cfg.Store.Lead(ctx, l.cfg.Shard, l.host.ID, 0, l.cfg.TTL)
		if err == nil {
			err = l.lead(ctx, epoch)
		}
		l.ready.Store(false)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrFenced):
			l.cfg.Log.Info("another host leads the shard", slog.Int("shard", l.cfg.Shard))
		case err != nil:
			l.cfg.Log.Error("scheduling stopped; trying again", slog.Any("error", err))
		}
		l.pause(ctx, time.Second)
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
func (l *Loop) lead(ctx context.Context, epoch int64) error {
	leading, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	var keeper sync.WaitGroup
	keeper.Go(func() { l.keep(leading, epoch, lost) })
	defer keeper.Wait()
	defer lost(nil)

	t := &turn{loop: l, epoch: epoch}
	if err := t.recover(leading); err != nil {
		return fmt.Errorf("replay the open runs: %w", err)
	}
	l.ready.Store(true)
	err := t.turns(leading)
	if ctx.Err() != nil {
		return l.finish(context.WithoutCancel(ctx), t)
	}
	if cause := context.Cause(leading); cause != nil && leading.Err() != nil {
		err = cause
	}
	if errors.Is(err, store.ErrFenced) {
		for key := range l.worker.Running() {
			l.worker.Cancel(key, err)
		}
	}
	return err
}

// keep renews the leadership and the host's row, three times a TTL.
func (l *Loop) keep(ctx context.Context, epoch int64, lost context.CancelCauseFunc) {
	tick := time.NewTicker(l.cfg.TTL / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := l.cfg.Store.Lead(ctx, l.cfg.Shard, l.host.ID, epoch, l.cfg.TTL)
		if err == nil {
			err = l.cfg.Store.Heartbeat(ctx, l.host.ID, l.host.Epoch)
		}
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
	if err := l.cfg.Store.Resign(ctx, l.cfg.Shard, l.host.ID, t.epoch); err != nil && !errors.Is(err, store.ErrFenced) {
		return fmt.Errorf("give the leadership back: %w", err)
	}
	return nil
}

// intend asks the loop to commit an attempt's intent and waits for the commit.
func (l *Loop) intend(ctx context.Context, a automation.Attempt, command automation.Digest) error {
	in := intention{attempt: a, command: command, done: make(chan error, 1)}
	l.inbox.intent(in)
	select {
	case err := <-in.done:
		return err
	case <-ctx.Done():
		// The commit may still come; nothing is sent, and the attempt says so in its outcome.
		return context.Cause(ctx)
	}
}
