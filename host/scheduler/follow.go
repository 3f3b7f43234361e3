package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// errDoubt ends an epoch of this host: a commit of which it is not known whether
// it was made may have granted attempts to it, and somebody else leads now.
var errDoubt = errors.New("it is not known whether the last commit was made")

// drainTries is how often a host that has drained tries to report what is left.
const drainTries = 3

// live is one epoch of this host: it registers, leads or follows until the epoch
// is over or ctx is done, and then drains.
func (l *Loop) live(ctx context.Context) error {
	sent := time.Now()
	host, err := l.cfg.Store.RegisterHost(ctx, automation.Host{
		ID: l.cfg.Host, Name: l.cfg.Name, Version: l.cfg.Version, Slots: l.cfg.Slots, Queues: l.cfg.Queues,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it had begun
		}
		return fmt.Errorf("register the host: %w", err)
	}
	alive, fence := context.WithCancelCause(ctx)
	defer fence(nil)
	m := l.newMember(host, sent, fence)
	l.me.Store(m)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { m.keep(background) })
	parts.Go(func() { m.read(background) })
	parts.Go(func() { l.lines.keep(background, host) })
	defer m.end()
	defer parts.Wait()
	defer stop()

	err = l.serve(alive, m)
	l.ready.Store(false)
	if cause := context.Cause(alive); ctx.Err() == nil && cause != nil {
		err = cause
	}
	if ctx.Err() != nil && err == nil {
		return l.drain(background, m)
	}
	l.abandon(err)
	return err
}

// serve leads whenever it can, and follows while another host leads, until ctx is
// done or this host must not go on under its epoch.
func (l *Loop) serve(ctx context.Context, m *member) error {
	hosts, stop := l.cfg.Store.Wake(store.TopicHosts)
	defer stop()
	told := false
	for ctx.Err() == nil {
		epoch, err := l.cfg.Store.Lead(ctx, l.cfg.Shard, m.host.ID, 0, l.cfg.TTL)
		switch {
		case err == nil:
			l.cfg.Log.Info("leading the shard", slog.Int("shard", l.cfg.Shard), slog.Int64("epoch", epoch))
			err = l.lead(ctx, m, epoch)
			if errors.Is(err, store.ErrFenced) && !errors.Is(err, errDoubt) {
				l.cfg.Log.Info("another host leads the shard", slog.Int("shard", l.cfg.Shard))
				err = nil
			}
		case errors.Is(err, store.ErrOutdated) && !told:
			l.cfg.Log.Warn("this host may not lead the shard any more", slog.Int("shard", l.cfg.Shard), slog.Any("error", err))
			told = true
			fallthrough
		case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrOutdated):
			l.ready.Store(true)
			err = l.follow(ctx, m, hosts)
		}
		if errors.Is(err, errDoubt) || errors.Is(err, store.ErrFenced) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			l.ready.Store(false)
			l.cfg.Log.Error("scheduling stopped; trying again", slog.Any("error", err))
			l.pause(ctx, l.cfg.Jitter(time.Second))
		}
	}
	return nil
}

// follow reports to the leader what comes in, until it is time to see whether the
// leadership is free: after a part of its time, or when a host has left it.
func (l *Loop) follow(ctx context.Context, m *member, hosts <-chan struct{}) error {
	again := time.NewTimer(l.cfg.Jitter(l.cfg.TTL / 4))
	defer again.Stop()
	for {
		if err := m.flush(ctx); err != nil {
			return err
		}
		over := false
		select {
		case <-ctx.Done():
		case <-again.C:
			over = true
		case <-hosts:
			over = true
		case <-l.inbox.news:
		}
		if left := heardOf(hosts); over || left || heardOf(again.C) || ctx.Err() != nil {
			return nil
		}
	}
}

// abandon stops the attempts of an epoch that is over: what they still report
// does not count.
func (l *Loop) abandon(cause error) {
	for key := range l.worker.Running() {
		l.worker.Cancel(key, &automation.Error{
			Code: automation.CodeHostLost, Message: "this host's lease is over", Err: cause, CanRetry: true,
		})
	}
}

// drain ends this host's part: it says that it takes no more, gives back what has
// not begun, lets the rest finish for the drain time, reports it, and leaves.
func (l *Loop) drain(ctx context.Context, m *member) error {
	m.draining.Store(true)
	err := m.heartbeat(ctx)
	if err == nil {
		err = m.take(ctx)
	}
	if err != nil {
		l.cfg.Log.Warn("say that this host takes no more", slog.Any("error", err))
	}
	limit, cancel := context.WithTimeoutCause(ctx, l.cfg.Drain, errors.New("the drain time is up"))
	defer cancel()
	done := make(chan struct{})
	var drainer sync.WaitGroup
	drainer.Go(func() { l.worker.Drain(limit); close(done) })
	defer drainer.Wait()
	tries := 0 // after everything has ended
	for open := true; open || len(m.pending) > 0; {
		select {
		case <-done:
			open = false
			tries++
		case <-l.inbox.news:
		}
		err := m.flush(ctx)
		if err == nil {
			continue
		}
		if errors.Is(err, store.ErrFenced) || tries > drainTries {
			<-done
			return err
		}
		l.cfg.Log.Warn("report while draining", slog.Any("error", err))
		l.pause(ctx, 200*time.Millisecond)
		l.inbox.ring()
	}
	err = l.cfg.Store.ReapHost(ctx, m.host.ID, m.host.Epoch, automation.HostStopped)
	if err != nil && !errors.Is(err, store.ErrFenced) {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}
