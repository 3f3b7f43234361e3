package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/calendar"
	"opsconductor.dev/host/store"
)

// Settings is what the loop needs of the operators' settings.
type Settings interface {
	// AllWindows returns the maintenance windows of all tenants.
	AllWindows(ctx context.Context) ([]automation.Window, error)
}

var _ Settings = store.Store(nil)

// settings is what the leader goes by, as it read it last.
type settings struct {
	look    bool // it may have changed
	windows []automation.Window
	limits  []automation.Limit
}

// readSettings gives the machine the operators' settings, when they have changed:
// before anything is granted, so that what was stored when the turn began counts in it.
func (t *turn) readSettings(ctx context.Context, now time.Time) error {
	if !t.settings.look {
		return nil
	}
	if err := t.readLimits(ctx, now); err != nil {
		return err
	}
	windows, err := t.loop.cfg.Store.AllWindows(ctx)
	if err != nil {
		return fmt.Errorf("read the maintenance windows: %w", err)
	}
	t.settings.look = false
	same := func(a, b automation.Window) bool { return a.ID == b.ID && a.Version == b.Version }
	if !t.fresh && slices.EqualFunc(windows, t.settings.windows, same) {
		return nil
	}
	t.settings.windows = windows
	if len(windows) == 0 {
		t.m.SetCalendar(nil, now)
		return nil
	}
	c, err := calendar.New(windows)
	if err != nil { // they were checked when they were stored
		t.loop.cfg.Log.Error("a maintenance window can't be used; those of before hold on", slog.Any("error", err))
		return nil
	}
	t.m.SetCalendar(c, now)
	return nil
}

// readLimits gives the machine the operators' limits, when they have changed.
func (t *turn) readLimits(ctx context.Context, now time.Time) error {
	l := t.loop
	all, err := l.cfg.Store.AllLimits(ctx)
	if err != nil {
		return fmt.Errorf("read the limits: %w", err)
	}
	same := func(a, b automation.Limit) bool { return a.ID == b.ID && a.Version == b.Version }
	if !t.fresh && slices.EqualFunc(all, t.settings.limits, same) {
		return nil
	}
	t.settings.limits = all
	if t.fresh && len(all) == 0 {
		return nil
	}
	limits := l.cfg.Limits
	limits.Rules = all
	t.m.SetLimits(limits, now)
	return nil
}
