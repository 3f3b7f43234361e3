package workflow_test

import (
	"encoding/json"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// TestHugeFanOut: a list that is much longer than it takes room, and elements that
// are much larger together than what they were made of, are refused by their size.
func TestHugeFanOut(t *testing.T) {
	t.Parallel()
	double := strings.Repeat(".map(x, x + x)", 30)
	tests := map[string]struct{ in, want string }{
		"too long":  {"[[steps.a.outputs.text, '']]" + double + "[0]", "step b, for_each: it costs too much"},
		"long":      {"[[steps.a.outputs.text, '']]" + double[:13*len(".map(x, x + x)")] + "[0]", "step b, for_each: a list of 16384 elements"},
		"too large": {"[[steps.a.outputs.text, '']]" + double[:8*len(".map(x, x + x)")] + "[0]", "step b, for_each: a list of too many bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := build(t, steps(`{id: a, uses: core.report}`, `{id: b, uses: core.noop, needs: [a], for_each: {in: "${{ `+tt.in+` }}"}}`))
			p := compile(t, plan)
			s := workflow.NewScope(workflow.RunInfo{}, 2)
			out, err := json.Marshal(map[string]any{"text": strings.Repeat("x", 300_000)})
			if err != nil {
				t.Fatal(err)
			}
			s.SetStep(0, workflow.StepResult{Items: []workflow.ItemResult{{Outputs: out}}})
			_, err = p.Elements(1, s)
			if e := automation.AsError(err); err == nil || e.Code != automation.CodeLimit || e.Message != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
