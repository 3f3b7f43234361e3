package app

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"opsconductor.dev/host/config"
	"opsconductor.dev/host/store"
)

const (
	// sweepEvery is the time between two sweeps of the store.
	sweepEvery = time.Hour
	// sweepAgain is when one that was put off is tried again.
	sweepAgain = 2 * time.Minute
	// keysKept is for how long idempotency keys are known at least: longer than the
	// webhooks whose runs they stand for.
	keysKept = 31 * config.Day
	// hostsKept is for how long a host that stopped or was lost is listed.
	hostsKept = config.Day
	// dailyUpTo is how long runs may be kept for a partition to have one day; kept for
	// longer, or for ever, it has thirty, so that there are never too many of them.
	dailyUpTo = 90 * config.Day
	longDays  = 30
)

// keepStore sweeps the store until ctx is done: at once, and then every hour. Every
// host does so, and the store keeps two from being in each other's way.
func (a *App) keepStore(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(a.sweep(ctx))
	}
}

// sweep sweeps once and returns when to do it again.
func (a *App) sweep(ctx context.Context) time.Duration {
	done, err := a.store.Sweep(ctx, sweepOf(time.Now(), a.cfg.Retain))
	a.metrics.Swept(done.Runs, done.Plans, done.Keys, done.Hosts)
	a.metrics.Unswept(done.Pinned, done.Misplaced)
	if ctx.Err() != nil {
		return sweepEvery
	}
	jitter := rand.N(sweepAgain / 2) //nolint:gosec // no secret
	if done.Runs+done.Plans+done.Keys+done.Hosts > 0 {
		a.log.LogAttrs(ctx, slog.LevelInfo, "removed what is over", slog.Duration("retain", a.cfg.Retain),
			slog.Int64("runs", done.Runs), slog.Int64("plans", done.Plans), slog.Int64("keys", done.Keys), slog.Int64("hosts", done.Hosts))
	}
	if done.Pinned > 0 {
		a.log.LogAttrs(ctx, slog.LevelWarn, "runs that have not ended keep what would be removed", slog.Int64("open_runs", done.Pinned))
	}
	if done.Misplaced > 0 {
		a.log.LogAttrs(ctx, slog.LevelWarn, "runs stand in no partition of a day: the clocks of hosts or the partitions are wrong", slog.Int64("runs", done.Misplaced))
	}
	if err != nil {
		a.log.LogAttrs(ctx, slog.LevelError, "remove what is over", slog.Any("error", err))
		return sweepAgain + jitter
	}
	if done.PutOff {
		a.log.LogAttrs(ctx, slog.LevelInfo, "others use what would be removed; it is tried again soon")
		return sweepAgain + jitter
	}
	return sweepEvery + jitter
}

// sweepOf is what to forget at a moment: runs after retain; 0 is never.
func sweepOf(now time.Time, retain time.Duration) store.Sweep {
	s := store.Sweep{Now: now, Gone: hostsKept, Days: 1}
	if retain == 0 || retain > dailyUpTo {
		s.Days = longDays
	}
	if retain > 0 {
		s.Before, s.Keys = now.Add(-retain), now.Add(-max(retain, keysKept))
	}
	return s
}
