// Package calendar says whether an asset's maintenance windows let an attempt
// start. It is pure: the time is a value.
//
// An asset is closed while one of its freezes is on, and while it has maintenance
// windows and none of them is on.
package calendar

import (
	"fmt"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/cron"
)

// Calendar is the windows of all tenants. It remembers where it stands in the
// times that it was asked about, so one goroutine owns it.
type Calendar struct{ windows []*window }

// Windows returns the windows, as they were given to New.
func (c *Calendar) Windows() []automation.Window {
	out := make([]automation.Window, len(c.windows))
	for i, w := range c.windows {
		out[i] = w.Window
	}
	return out
}

type window struct {
	automation.Window
	times  cron.Times // nil: once
	length time.Duration
	// on and next are valid from known until next: whether the window is on, and when
	// that changes (zero: never).
	on          bool
	known, next time.Time
}

// New reads windows. The error says what is wrong with the first bad one, by its name.
func New(windows []automation.Window) (*Calendar, error) {
	c := &Calendar{windows: make([]*window, len(windows))}
	for i, w := range windows {
		read := &window{Window: w}
		if w.Cron != "" {
			zone, err := cron.Zone(w.TimeZone)
			if err != nil {
				return nil, fmt.Errorf("window %s: %w", w.Name, err)
			}
			if read.times, err = cron.Parse(w.Cron, zone); err != nil {
				return nil, fmt.Errorf("window %s: %w", w.Name, err)
			}
			if read.length, err = time.ParseDuration(w.Duration); err != nil || read.length <= 0 {
				return nil, fmt.Errorf("window %s: %q is no duration", w.Name, w.Duration)
			}
		}
		c.windows[i] = read
	}
	return c, nil
}

// Closed reports whether an attempt with the effect must not start on the target
// now, and what keeps it.
func (c *Calendar) Closed(tenant automation.TenantID, t *automation.Target, effect automation.Effect, now time.Time) (automation.Closure, bool) {
	var opens automation.Closure // the first maintenance window to come
	waits, open := false, false
	for _, w := range c.windows {
		if w.Tenant != tenant || w.Scope == automation.WindowChanges && effect == automation.EffectPure || !w.holds(t) {
			continue
		}
		on, next := w.at(now)
		switch {
		case w.Kind == automation.WindowFreeze:
			if on {
				return automation.Closure{Window: w.Name, Until: next}, true
			}
		case on:
			open = true
		default:
			if !waits || opens.Until.IsZero() || !next.IsZero() && next.Before(opens.Until) {
				opens = automation.Closure{Window: w.Name, Until: next}
			}
			waits = true
		}
	}
	return opens, waits && !open
}

// holds reports whether the target is in the window.
func (w *window) holds(t *automation.Target) bool {
	return slices.Contains(w.Assets, "*") || slices.Contains(w.Assets, t.Name) ||
		slices.ContainsFunc(w.Tags, func(tag string) bool { return slices.Contains(t.Tags, tag) })
}

// at returns whether the window is on, and when that changes; zero: never.
func (w *window) at(now time.Time) (on bool, next time.Time) {
	if !w.known.IsZero() && !now.Before(w.known) && (w.next.IsZero() || now.Before(w.next)) {
		return w.on, w.next
	}
	w.known = now
	w.on, w.next = w.look(now)
	return w.on, w.next
}

func (w *window) look(now time.Time) (on bool, next time.Time) {
	if w.times == nil {
		switch {
		case now.Before(w.From):
			return false, w.From
		case now.Before(w.Until):
			return true, w.Until
		}
		return false, time.Time{}
	}
	if last := cron.Latest(w.times, now.Add(-w.length), now, 1); len(last) > 0 {
		end := last[0].Add(w.length)
		for { // a time that begins before the end makes it longer
			again, ok := w.times.Next(last[0])
			if !ok || again.After(end) {
				return true, end
			}
			last[0], end = again, again.Add(w.length)
			if end.Sub(now) > 366*24*time.Hour {
				return true, end
			}
		}
	}
	next, ok := w.times.Next(now)
	if !ok {
		return false, time.Time{}
	}
	return false, next
}
