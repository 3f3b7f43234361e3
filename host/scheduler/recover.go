package scheduler

import (
	"context"
	"log/slog"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
)

// recover makes the machine anew from the store. The turn after it finds the
// attempts that were lost: out by the store, and at work nowhere.
func (t *turn) recover(ctx context.Context) error {
	l := t.loop
	t.m, t.fresh = machine.New(l.cfg.Limits), true // from here on: half a machine must decide nothing
	buckets, err := l.cfg.Store.Buckets(ctx, l.cfg.Shard)
	if err != nil {
		return err
	}
	t.m.SetBuckets(buckets)
	broken := map[automation.RunID]bool{}
	seq, err := l.cfg.Store.Replay(ctx, l.cfg.Shard, func(e automation.Entry) error {
		if broken[e.Run] {
			return nil
		}
		if len(e.Facts) > 0 && e.Facts[0].Kind == automation.FactRunAccepted {
			if err := t.accept(ctx, &e); err != nil {
				return err
			}
			broken[e.Run] = !t.m.Open(e.Run) // rejected
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
	t.seq, t.look, t.settings.look = seq, true, true
	t.m.Recovered(l.now())
	t.peers = peers{byID: map[automation.HostID]*peer{}, look: true, over: true, whole: true}
	// What an earlier leader has delivered to this host is all there: it can deliver
	// no more.
	if err := t.me.take(ctx); err != nil {
		return err
	}
	if n := t.m.Len(); n > 0 {
		l.cfg.Log.Info("going on with open runs", slog.Int("runs", n), slog.Int("attempts", t.m.OpenAttempts()))
	}
	return nil
}
