package scheduler

import (
	"context"
	"fmt"
	"log/slog"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
)

// recover makes the machine anew from the store, and finds the attempts that
// were lost: out by the store, and at work nowhere.
func (t *turn) recover(ctx context.Context) error {
	l := t.loop
	t.m = machine.New(l.cfg.Limits)
	broken := map[automation.RunID]bool{}
	seq, err := l.cfg.Store.Replay(ctx, l.cfg.Shard, func(e automation.Entry) error {
		if broken[e.Run] {
			return nil
		}
		if len(e.Facts) > 0 && e.Facts[0].Kind == automation.FactRunAccepted {
			if err := t.accept(ctx, &e); err != nil {
				return err
			}
			broken[e.Run] = !t.m.Has(e.Run)
			if len(e.Facts) == 1 || broken[e.Run] {
				return nil
			}
		}
		if err := t.m.Replay(e); err != nil {
			l.cfg.Log.Error("a run's facts contradict each other", slog.String("run_id", string(e.Run)), slog.Any("error", err))
			broken[e.Run] = true
			t.m.Reject(e.Run, e.Facts[0].At, automation.Errorf(automation.CodeInternal, "its stored facts contradict each other: %w", err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.seq, t.look = seq, true
	if err := t.lose(ctx); err != nil {
		return fmt.Errorf("find lost attempts: %w", err)
	}
	if n := t.m.Len(); n > 0 {
		l.cfg.Log.Info("going on with open runs", slog.Int("runs", n), slog.Int("attempts", t.m.OpenAttempts()))
	}
	return nil
}

// lose ends the attempts whose host is gone or does not have them (any more).
func (t *turn) lose(ctx context.Context) error {
	l := t.loop
	gone, err := t.gone(ctx)
	if err != nil {
		return err
	}
	mine := l.worker.Running()
	reported := l.inbox.reported()
	type open struct {
		key   automation.AttemptKey
		host  automation.HostID
		epoch int64
	}
	var lost []open
	t.m.Attempts(func(key automation.AttemptKey, host automation.HostID, epoch int64) {
		if host == l.host.ID && epoch == l.host.Epoch {
			if !mine[key] && !reported[key] {
				lost = append(lost, open{key, host, epoch})
			}
			return
		}
		if gone(host, epoch) {
			lost = append(lost, open{key, host, epoch})
		}
	})
	now := l.now()
	for _, a := range lost {
		err := t.m.Handle(a.key.Run, automation.Fact{
			Kind: automation.FactAttemptEnded, At: now, Step: a.key.Step, Item: a.key.Item, Attempt: a.key.Attempt,
			Host: a.host, HostEpoch: a.epoch,
			Outcome: &automation.Outcome{State: automation.ItemFailed, EndedAt: now, Error: &automation.Error{
				Code: automation.CodeHostLost, Message: "its host was lost", CanRetry: true,
			}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// gone returns the question whether a host's epoch is over. A host whose
// heartbeat is old is reaped first, so that nothing it still writes counts.
func (t *turn) gone(ctx context.Context) (func(automation.HostID, int64) bool, error) {
	l := t.loop
	hosts, err := l.cfg.Store.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	current := map[automation.HostID]int64{}
	var now automation.Host // this host's row was renewed a moment ago, by the database's clock
	for _, h := range hosts {
		if h.ID == l.host.ID {
			now = h
		}
	}
	for _, h := range hosts {
		stale := now.Heartbeat.Sub(h.Heartbeat) > 2*l.cfg.TTL
		if h.ID == l.host.ID || !l.cfg.Alone && !stale {
			current[h.ID] = h.Epoch
			continue
		}
		if err := l.cfg.Store.ReapHost(ctx, h.ID, h.Epoch); err != nil {
			return nil, err
		}
	}
	return func(id automation.HostID, epoch int64) bool { return current[id] != epoch }, nil
}
