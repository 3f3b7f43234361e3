package app

import (
	"context"
	"log/slog"
	"time"
)

const (
	// schedulePoll is the longest time between two looks at the schedules: another
	// host may have changed one.
	schedulePoll = 20 * time.Second
	// scheduleGap is the shortest one.
	scheduleGap = 20 * time.Millisecond
)

// keepSchedules fires schedules until ctx is done. Every host does so: which of
// them fires a time is decided in the database. A failure is logged, and the next
// look tries again.
func (a *App) keepSchedules(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.service.ScheduleChanges():
		}
		pause := schedulePoll
		next, err := a.service.FireDue(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.log.LogAttrs(ctx, slog.LevelError, "fire schedules", slog.Any("error", err))
		case !next.IsZero():
			pause = min(pause, max(time.Until(next), scheduleGap))
		}
		timer.Reset(pause)
	}
}
