package runner_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/hostfuncs"
)

// TestLimitsAreRecorded: the attempt's record names the limit that ended it, and no
// plugin can say that one did.
func TestLimitsAreRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	w.config.LogBytes = 2000
	spin := func(a *automation.Attempt) { a.Timeout = 300 * time.Millisecond }
	for name, tc := range map[string]struct {
		action, with string
		change       func(*automation.Attempt)
		limit        func(*engine.Limits)
		code         automation.Code
		want         string
		truncated    bool
	}{
		"none":       {action: "mirror", with: `{"text":"hi"}`},
		"output":     {"say", `{"text":"` + strings.Repeat("x", 100) + `"}`, nil, func(l *engine.Limits) { l.OutputBytes = 10 }, automation.CodeOutputLimit, "output_bytes", false},
		"input":      {"say", `{"text":"` + strings.Repeat("x", 100) + `"}`, nil, func(l *engine.Limits) { l.InputBytes = 10 }, automation.CodeInputLimit, "input_bytes", false},
		"fuel":       {"actthenspin", `{"request":{}}`, nil, func(l *engine.Limits) { l.Fuel = 5_000_000 }, automation.CodeFuelLimit, "fuel", false},
		"remote":     {"actthenspin", `{"request":{}}`, nil, func(l *engine.Limits) { l.RemoteBytes = 3 }, automation.CodeRemoteLimit, "remote_bytes", false},
		"time":       {"actthenspin", `{"request":{}}`, spin, nil, automation.CodeTimeout, "wall", false},
		"log":        {"chatter", `{"text":"` + strings.Repeat("x", 100) + `","times":50}`, nil, nil, "", "", true},
		"one line":   {"chatter", `{"text":"` + strings.Repeat("x", 4000) + `","times":1}`, nil, nil, "", "", true},
		"says time":  {"fail", `{"text":"{\"code\":\"timeout\",\"message\":\"no\",\"limit\":\"wall\"}"}`, nil, nil, automation.CodeTimeout, "", false},
		"says fuel":  {"fail", `{"text":"{\"code\":\"fuel_limit\",\"message\":\"no\"}"}`, nil, nil, automation.CodePluginFailed, "", false},
		"says moved": {"fail", `{"text":"{\"code\":\"remote_limit\",\"message\":\"no\"}"}`, nil, nil, automation.CodePluginFailed, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w.config.Limits = engine.DefaultLimits()
			if tc.limit != nil {
				tc.limit(&w.config.Limits)
			}
			a := w.attempt(tc.action, tc.with, pure)
			if tc.change != nil {
				tc.change(&a)
			}
			o := w.execute(t.Context(), a)
			state := automation.ItemSucceeded
			if tc.code != "" {
				state = automation.ItemFailed
			}
			check(t, o, state, tc.code)
			if o.Usage.Limit != tc.want || o.Usage.LogTruncated != tc.truncated {
				t.Errorf("got limit %q, log truncated %t; want %q, %t", o.Usage.Limit, o.Usage.LogTruncated, tc.want, tc.truncated)
			}
		})
	}
}

// TestRemoteBytesAreCounted: requests and answers, of each call.
func TestRemoteBytesAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	w.act = func(context.Context, *hostfuncs.Session) (any, error) { return strings.Repeat("y", 5000), nil }
	o := w.execute(t.Context(), w.attempt("strict", `{"request":{}}`, pure))
	if got := o.Usage.RemoteBytes; got < 5000 || got > 5100 || o.Usage.HostCalls != 1 {
		t.Errorf("got %d bytes in %d calls, want some more than 5000 in one", got, o.Usage.HostCalls)
	}
}
