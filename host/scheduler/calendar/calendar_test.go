package calendar_test

import (
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/calendar"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func nightly(name string, kind automation.WindowKind) automation.Window {
	return automation.Window{
		Name: name, Tenant: "t", WindowSpec: automation.WindowSpec{
			Kind: kind, Scope: automation.WindowChanges, Tags: []string{"prod"}, Cron: "0 2 * * *", Duration: "3h", TimeZone: "Europe/Berlin",
		},
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	freeze := automation.Window{
		Name: "freeze", Tenant: "t", WindowSpec: automation.WindowSpec{
			Kind: automation.WindowFreeze, Scope: automation.WindowAll, Assets: []string{"*"},
			From: at("2026-12-20T00:00:00Z"), Until: at("2027-01-05T00:00:00Z"),
		},
	}
	once := freeze
	once.Name, once.Kind, once.Scope = "once", automation.WindowMaintenance, automation.WindowChanges
	long := nightly("long", automation.WindowMaintenance)
	long.Cron, long.Duration = "0 * * * *", "90m" // each begins before the one before has ended
	tests := []struct {
		name    string
		windows []automation.Window
		target  automation.Target
		effect  automation.Effect
		now     string
		want    string // "window until", "" when it is open
	}{
		{name: "no windows", now: "2026-06-01T12:00:00Z"},
		{name: "before the night", windows: []automation.Window{nightly("w", "maintenance")}, now: "2026-06-01T22:00:00Z", want: "w 2026-06-02T00:00:00Z"},
		{name: "in the night", windows: []automation.Window{nightly("w", "maintenance")}, now: "2026-06-02T00:00:00Z"},
		{name: "its last moment", windows: []automation.Window{nightly("w", "maintenance")}, now: "2026-06-02T02:59:59Z"},
		{name: "its end", windows: []automation.Window{nightly("w", "maintenance")}, now: "2026-06-02T03:00:00Z", want: "w 2026-06-03T00:00:00Z"},
		{name: "in winter an hour later", windows: []automation.Window{nightly("w", "maintenance")}, now: "2026-12-02T00:30:00Z", want: "w 2026-12-02T01:00:00Z"},
		{name: "a night without two o'clock begins at three", windows: []automation.Window{nightly("w", "maintenance")}, now: "2027-03-28T00:59:59Z", want: "w 2027-03-28T01:00:00Z"},
		{name: "reading is no change", windows: []automation.Window{nightly("w", "maintenance")}, effect: automation.EffectPure, now: "2026-06-01T22:00:00Z"},
		{name: "another asset", windows: []automation.Window{nightly("w", "maintenance")}, target: automation.Target{Name: "x", Tags: []string{"dev"}}, now: "2026-06-01T22:00:00Z"},
		{name: "one of two is on", windows: []automation.Window{nightly("w", "maintenance"), once}, now: "2026-12-24T12:00:00Z"},
		{name: "the first of two to come", windows: []automation.Window{once, nightly("w", "maintenance")}, now: "2026-12-19T12:00:00Z", want: "once 2026-12-20T00:00:00Z"},
		{name: "a window that is over for good", windows: []automation.Window{once}, now: "2027-02-01T00:00:00Z", want: "once never"},
		{name: "another one comes", windows: []automation.Window{once, nightly("w", "maintenance")}, now: "2027-02-01T12:00:00Z", want: "w 2027-02-02T01:00:00Z"},
		{name: "a freeze", windows: []automation.Window{freeze}, now: "2026-12-24T12:00:00Z", want: "freeze 2027-01-05T00:00:00Z"},
		{name: "a freeze holds reading too", windows: []automation.Window{freeze}, effect: automation.EffectPure, now: "2026-12-24T12:00:00Z", want: "freeze 2027-01-05T00:00:00Z"},
		{name: "a freeze within a night", windows: []automation.Window{nightly("w", "maintenance"), freeze}, now: "2026-12-24T01:30:00Z", want: "freeze 2027-01-05T00:00:00Z"},
		{name: "after the freeze", windows: []automation.Window{freeze}, now: "2027-01-05T00:00:00Z"},
		{name: "windows that overlap are one", windows: []automation.Window{long}, now: "2026-06-01T10:15:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := calendar.New(tt.windows)
			if err != nil {
				t.Fatal(err)
			}
			if tt.target.Name == "" {
				tt.target = automation.Target{Name: "web-1", Tags: []string{"web", "prod"}}
			}
			if tt.effect == "" {
				tt.effect = automation.EffectOnce
			}
			for range 2 { // the second time from what it remembers
				if got := closed(c, "t", &tt.target, tt.effect, at(tt.now)); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
			if got := closed(c, "other", &tt.target, tt.effect, at(tt.now)); got != "" {
				t.Errorf("another tenant: got %q", got)
			}
		})
	}
}

func closed(c *calendar.Calendar, tenant automation.TenantID, target *automation.Target, effect automation.Effect, now time.Time) string {
	why, is := c.Closed(tenant, target, effect, now)
	if !is {
		return ""
	}
	until := "never"
	if !why.Until.IsZero() {
		until = why.Until.UTC().Format(time.RFC3339)
	}
	return why.Window + " " + until
}

// TestWalk: asked again and again, forwards and backwards, a calendar says what a
// fresh one says, and never to ask later than at the next change.
func TestWalk(t *testing.T) {
	t.Parallel()
	windows := []automation.Window{nightly("a", "maintenance"), nightly("b", "freeze")}
	windows[1].Cron, windows[1].Duration = "30 3 * * 6", "24h"
	target := automation.Target{Name: "x", Tags: []string{"prod"}}
	used, err := calendar.New(windows)
	if err != nil {
		t.Fatal(err)
	}
	var until time.Time
	var was bool
	for i := range 5000 {
		now := at("2026-03-20T00:00:00Z").Add(time.Duration(i) * 7 * time.Minute)
		if i%97 == 0 {
			now = now.Add(-24 * time.Hour)
			until = time.Time{}
		}
		fresh, err := calendar.New(windows)
		if err != nil {
			t.Fatal(err)
		}
		got, want := closed(used, "t", &target, automation.EffectOnce, now), closed(fresh, "t", &target, automation.EffectOnce, now)
		if got != want {
			t.Fatalf("at %s: got %q, a fresh one says %q", now, got, want)
		}
		why, is := used.Closed("t", &target, automation.EffectOnce, now)
		if was && !is && !until.IsZero() && now.Before(until) {
			t.Fatalf("at %s it is open, and was to be asked at %s", now, until)
		}
		was, until = is, why.Until
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*automation.Window){
		func(w *automation.Window) { w.Cron = "x" },
		func(w *automation.Window) { w.TimeZone = "Mars/Base" },
		func(w *automation.Window) { w.Duration = "-1h" },
	} {
		w := nightly("broken", "maintenance")
		change(&w)
		if _, err := calendar.New([]automation.Window{w}); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("got %v; want an error that names the window", err)
		}
	}
}
