package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"opsconductor.dev/host/automation"
)

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
		err := t.m.Handle(c.Run, factOf(&c, now))
		if err != nil { // the run has gone on meanwhile: nothing is left to do
			l.cfg.Log.Info("a command came too late", slog.String("run_id", string(c.Run)), slog.Any("error", err))
		}
	}
	return done, nil
}

// factOf is the fact that a command becomes.
func factOf(c *automation.Command, now time.Time) automation.Fact {
	f := automation.Fact{Kind: c.Kind, At: now, Step: c.Step, Item: c.Item, By: c.By, Reason: c.Reason}
	if c.Told != nil {
		told := *c.Told
		told.Command = c.ID
		f.Told = &told
	}
	return f
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
	if err != nil && passing(ctx, err) {
		return err
	}
	if err != nil {
		t.loop.cfg.Log.Error("a run's plan can't be used", slog.String("run_id", string(e.Run)), slog.Any("error", err))
		t.m.RejectAccepted(e.Run, f, automation.Errorf(automation.CodeInternal, "the stored plan can't be used any more: %w", err))
		return nil
	}
	return t.m.Accept(e.Run, f, prog)
}

// passing reports whether what could not be read may be read later: the store is not
// there, or the caller goes. A connection that broke in the middle of a read is not
// retryable by its error, which does not know that nothing was to be stored.
func passing(ctx context.Context, err error) bool {
	return ctx.Err() != nil || automation.Retryable(err) || automation.CodeOf(err) == automation.CodeUnavailable
}
