package workflow_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTimes(t *testing.T) {
	t.Parallel()
	const s, m = time.Second, time.Minute
	tests := map[string][3]time.Duration{ // attempt, item, step
		`{id: a, uses: core.noop}`:                                                                {5 * m, 0, 0},
		`{id: a, uses: core.noop, item_timeout: 10s}`:                                             {5 * m, 10 * s, 0},
		`{id: a, uses: core.noop, step_timeout: 20s}`:                                             {5 * m, 0, 20 * s},
		`{id: a, uses: core.noop, item_timeout: 10m}`:                                             {5 * m, 10 * m, 0},
		`{id: a, uses: core.noop, timeout: 10s, item_timeout: 10s, step_timeout: 10s}`:            {10 * s, 10 * s, 10 * s},
		`{id: a, uses: linux.disk, for_each: {in: targets}, with: {path: /}}`:                     {20 * s, 0, 0},
		`{id: a, uses: linux.disk@1, for_each: {in: targets}, with: {path: /}, item_timeout: 3s}`: {20 * s, 3 * s, 0},
	}
	for line, want := range tests {
		p := build(t, steps(line)).Steps[0]
		if got := [3]time.Duration{p.Timeout, p.ItemTimeout, p.StepTimeout}; got != want {
			t.Errorf("%s: got %v, want %v", line, got, want)
		}
	}
}

func TestTimeFaults(t *testing.T) {
	t.Parallel()
	const at = "/steps/0"
	tests := map[string]struct {
		definition string
		want       []brief
	}{
		"item shorter than attempt": {
			steps(`{id: a, uses: core.noop, timeout: 30s, item_timeout: 20s}`),
			[]brief{{"invalid", at + "/item_timeout", 5, 56, "item_timeout is shorter than timeout, which it holds", "at least 30s", "raise item_timeout, or shorten timeout"}},
		},
		"step shorter than item": {
			steps(`{id: a, uses: core.noop, item_timeout: 2m, step_timeout: 1m}`),
			[]brief{{"invalid", at + "/step_timeout", 5, 60, "step_timeout is shorter than item_timeout, which it holds", "at least 2m", "raise step_timeout, or shorten item_timeout"}},
		},
		"step shorter than attempt": {
			steps(`{id: a, uses: core.noop, timeout: 2m, step_timeout: 1m}`),
			[]brief{{"invalid", at + "/step_timeout", 5, 55, "step_timeout is shorter than timeout, which it holds", "at least 2m", "raise step_timeout, or shorten timeout"}},
		},
		"longer than the run": {
			"schema: opsconductor/v1\nname: t\nlimits: {timeout: 1h}\nsteps: [{id: a, uses: core.noop, item_timeout: 2h, step_timeout: 3h}]",
			[]brief{
				{"invalid", at + "/item_timeout", 4, 48, "item_timeout is longer than the run's timeout", "at most 1h", "raise limits.timeout, or shorten item_timeout"},
				{"invalid", at + "/step_timeout", 4, 66, "step_timeout is longer than the run's timeout", "at most 1h", "raise limits.timeout, or shorten step_timeout"},
			},
		},
		"longer than allowed": {
			steps(`{id: a, uses: core.noop, item_timeout: 25h}`),
			[]brief{{"limit", at + "/item_timeout", 5, 42, "too long a time", "at most 24h", ""}},
		},
		"no time": {
			steps(`{id: a, uses: core.noop, step_timeout: 0s}`),
			[]brief{{"invalid", at + "/step_timeout", 5, 42, "too short a time", "at least 1ms", ""}},
		},
		"of the run, with the rest": {
			"schema: opsconductor/v1\nname: t\nlimits: {timeout: 25h}\nsteps: [{id: a, uses: core.nop}]",
			[]brief{
				{"limit", "/limits/timeout", 3, 19, "too long a time", "at most 24h", ""},
				{"unknown_name", at + "/uses", 4, 23, `plugin core 1.0.0 has no action "nop"`, "noop, report, wait", `did you mean "noop"?`},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, briefs(faults(t, request(tt.definition)))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}
