package workflow_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// chain is n steps, each of which needs the one before.
func chain(n int) string {
	lines := []string{`{id: s0, uses: core.noop}`}
	for i := 1; i < n; i++ {
		lines = append(lines, fmt.Sprintf(`{id: s%d, uses: core.noop, needs: [s%d]}`, i, i-1))
	}
	return steps(lines...)
}

// side is n steps side by side.
func side(n int) string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{id: s%d, uses: core.noop}`, i)
	}
	return steps(lines...)
}

const twoCalls = `{id: a, uses: linux.disk, for_each: {in: targets}, with: {path: /}, retry: {max_attempts: 2}}`

// TestLimits passes each limit by one, and then not.
func TestLimits(t *testing.T) {
	t.Parallel()
	inputs := "schema: opsconductor/v1\nname: t\ninputs: {x: {type: string}}\nsteps: [{id: a, uses: core.noop}]"
	tests := map[string]struct {
		definition string
		inputs     string
		bad, good  func(*workflow.Limits)
		pointer    string
		allowed    string
	}{
		"definition bytes": {chain(2), "", func(l *workflow.Limits) { l.DefinitionBytes = len(chain(2)) - 1 }, func(l *workflow.Limits) { l.DefinitionBytes++ }, "", fmt.Sprintf("at most %d", len(chain(2))-1)},
		"input bytes":      {inputs, `{"x": "12"}`, func(l *workflow.Limits) { l.InputBytes = 10 }, func(l *workflow.Limits) { l.InputBytes++ }, "/inputs", "at most 10"},
		"steps":            {side(4), "", func(l *workflow.Limits) { l.Steps = 3 }, func(l *workflow.Limits) { l.Steps++ }, "/steps", "at most 3"},
		"depth":            {chain(4), "", func(l *workflow.Limits) { l.Depth = 3 }, func(l *workflow.Limits) { l.Depth++ }, "/steps/3/needs", "at most 3"},
		"parallel":         {side(4), "", func(l *workflow.Limits) { l.Parallel = 3 }, func(l *workflow.Limits) { l.Parallel++ }, "/steps/3", "at most 3"},
		"iterations":       {steps(`{id: a, uses: core.noop, for_each: {in: [1, 2, 3]}}`), "", func(l *workflow.Limits) { l.Iterations = 2 }, func(l *workflow.Limits) { l.Iterations++ }, "/steps/0/for_each/in", "at most 2"},
		"targets":          {chain(1), "", func(l *workflow.Limits) { l.Targets = 3 }, func(l *workflow.Limits) { l.Targets++ }, "/targets/select", "at most 3"},
		"attempts":         {steps(`{id: a, uses: core.noop, retry: {max_attempts: 4}}`), "", func(l *workflow.Limits) { l.Attempts = 3 }, func(l *workflow.Limits) { l.Attempts++ }, "/steps/0/retry/max_attempts", "at most 3"},
		"host calls":       {steps(twoCalls), "", func(l *workflow.Limits) { l.HostCalls = 7 }, func(l *workflow.Limits) { l.HostCalls++ }, "/steps", "at most 7"},
		"run timeout":      {"limits: {timeout: 2h}\n" + chain(1), "", func(l *workflow.Limits) { l.RunTimeout = 90 * time.Minute }, func(l *workflow.Limits) { l.RunTimeout *= 2 }, "/limits/timeout", "at most 1h30m"},
		"step timeout":     {steps(`{id: a, uses: core.noop, timeout: 2h}`), "", func(l *workflow.Limits) { l.RunTimeout = time.Hour }, func(l *workflow.Limits) { l.RunTimeout *= 2 }, "/steps/0/timeout", "at most 1h"},
		"expression cost":  {steps(`{id: a, uses: core.noop, if: "[1, 2, 3].all(x, x > 0)"}`), "", func(l *workflow.Limits) { l.ExpressionCost = 15 }, func(l *workflow.Limits) { l.ExpressionCost = 100 }, "/steps/0/if", "a cost of 15"},
		"own targets":      {"limits: {max_targets: 3}\n" + chain(1), "", func(*workflow.Limits) {}, nil, "/targets/select", "at most 3"},
		"own limit":        {"limits: {max_targets: 9}\n" + chain(1), "", func(l *workflow.Limits) { l.Targets = 8 }, func(l *workflow.Limits) { l.Targets++ }, "/limits/max_targets", "at most 8"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(tt.definition)
			r.Inputs, r.Limits = json.RawMessage(tt.inputs), workflow.DefaultLimits()
			tt.bad(&r.Limits)
			got := faults(t, r)
			want := brief{Code: automation.CodeLimit, Pointer: tt.pointer, Allowed: tt.allowed}
			if diff := cmp.Diff([]brief{want}, []brief{{Code: got[0].Code, Pointer: got[0].Pointer, Allowed: got[0].Allowed}}); diff != "" || len(got) != 1 {
				t.Errorf("errors (-want +got):\n%s%v", diff, got)
			}
			if tt.good == nil {
				return
			}
			tt.good(&r.Limits)
			if _, err := workflow.Build(r); err != nil {
				t.Errorf("at the limit: got %v, want no error", err)
			}
		})
	}
}

func TestRunTimeLimits(t *testing.T) {
	t.Parallel()
	r := request(steps(
		`{id: a, uses: core.report}`,
		`{id: b, uses: core.noop, needs: [a], for_each: {in: "${{ [1, 2, 3].map(x, steps.a.outputs.n) + [4] }}"}}`,
		`{id: c, uses: core.report, needs: [a], with: {text: "${{ steps.a.outputs.text }}${{ steps.a.outputs.text }}"}}`,
		`{id: d, uses: linux.disk, for_each: {in: targets}, with: {path: /}}`,
		`{id: e, uses: core.noop, needs: [d], if: "steps.d.items.all(i, steps.d.items.exists(j, j.outputs.mount != i.outputs.mount))"}`,
	))
	r.Limits = workflow.DefaultLimits()
	r.Limits.Iterations = 3
	r.Limits.ExpressionCost = 9_000
	plan, err := workflow.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	p, err := workflow.Compile(plan)
	if err != nil {
		t.Fatal(err)
	}
	s := workflow.NewScope(workflow.RunInfo{}, len(plan.Steps))
	out := fmt.Sprintf(`{"n": 1, "text": %q}`, strings.Repeat("x", 600<<10))
	s.SetStep(0, workflow.StepResult{Items: []workflow.ItemResult{{Outputs: json.RawMessage(out)}}})
	items := make([]workflow.ItemResult, 4)
	for i := range items {
		items[i].Outputs = json.RawMessage(fmt.Sprintf(`{"used_pct": 1, "mount": %q}`, strings.Repeat("y", 100<<10)))
	}
	s.SetStep(3, workflow.StepResult{Items: items})
	_, loop := p.Elements(1, s)
	_, text := p.Input(2, s, workflow.Element{})
	_, cost := p.Condition(4, s)
	for want, err := range map[string]error{
		"/for_each/in: step b, for_each: a list of 4 elements (allowed: at most 3); split the list":                                  loop,
		"/with/text: step c, with: the filled-in inputs have too many bytes (allowed: at most 1048576); pass less from step to step": text,
		"/if: step e, if: it costs too much; loop over fewer elements":                                                               cost,
	} {
		if got := automation.AsError(err); got.Code != automation.CodeLimit || got.Error() != want {
			t.Errorf("error: got %q %q (%v), want limit %q", got.Code, got.Error(), got.Err, want)
		}
	}
}

func TestValidateLimits(t *testing.T) {
	t.Parallel()
	if err := workflow.DefaultLimits().Validate(); err != nil {
		t.Errorf("defaults: got %v, want no error", err)
	}
	err := workflow.Limits{Steps: 1, Depth: -1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "depth") || !strings.Contains(err.Error(), "run_timeout") || strings.Contains(err.Error(), "steps") {
		t.Errorf("error: got %v, want depth and run_timeout but not steps in it", err)
	}
}
