package workflow_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// TestFilledValuesAreNotEvaluated fills in values that look like expressions, from
// every place that a value can come from, and finds them as they were.
func TestFilledValuesAreNotEvaluated(t *testing.T) {
	t.Parallel()
	r := request(`
schema: opsconductor/v1
name: t
inputs: {x: {type: string}, deep: {type: object}}
targets: {select: "asset.os == 'linux'"}
steps:
  - id: a
    uses: core.report
    with: {text: "<${{ inputs.x }}>", any: {k: "${{ inputs.deep }}", later: "${{ run.id }}"}}
  - id: b
    uses: core.report
    needs: [a]
    for_each: {in: "${{ [steps.a.outputs.text] }}"}
    with: {text: "${{ item }}", any: ["${{ steps.a.outputs }}", "-${{ steps.a.outputs.text }}-"]}
`)
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's dice
	pieces := []string{"${{ 1 + 1 }}", "$${{", "${{", "}}", "$", "{{", "run.id", "\"", "'", "\\", "\n", "é", "<", " ", "x"}
	for range 300 {
		var b strings.Builder
		for range rnd.IntN(6) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		evil := b.String()
		in, err := json.Marshal(map[string]any{"x": evil, "deep": map[string]any{evil: []any{evil}}})
		if err != nil {
			t.Fatal(err)
		}
		r.Inputs = in
		checkFilled(t, r, evil)
	}
}

func checkFilled(t *testing.T, r workflow.Request, evil string) {
	t.Helper()
	plan, err := workflow.Build(r)
	if err != nil {
		t.Fatalf("Build with %q: %v", evil, err)
	}
	raw, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if plan, err = workflow.DecodePlan(raw); err != nil {
		t.Fatal(err)
	}
	p, err := workflow.Compile(plan)
	if err != nil {
		t.Fatalf("Compile with %q: %v", evil, err)
	}
	s := workflow.NewScope(workflow.RunInfo{ID: automation.RunID(evil)}, 2)
	got := decoded(t, p, 0, s, workflow.Element{})
	want := map[string]any{"text": "<" + evil + ">", "any": map[string]any{"k": map[string]any{evil: []any{evil}}, "later": evil}}
	same(t, got, want)

	out, err := json.Marshal(map[string]any{"text": evil})
	if err != nil {
		t.Fatal(err)
	}
	s.SetStep(0, workflow.StepResult{Items: []workflow.ItemResult{{Outputs: out}}})
	elements, err := p.Elements(1, s)
	if err != nil || len(elements) != 1 {
		t.Fatalf("elements: got %v (%v), want one", elements, err)
	}
	got = decoded(t, p, 1, s, elements[0])
	same(t, got, map[string]any{"text": evil, "any": []any{map[string]any{"text": evil}, "-" + evil + "-"}})
}

func decoded(t *testing.T, p *workflow.Program, step int, s *workflow.Scope, e workflow.Element) any {
	t.Helper()
	raw, err := p.Input(step, s, e)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("input %s: %v", raw, err)
	}
	return v
}

func same(t *testing.T, got, want any) {
	t.Helper()
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if string(g) != string(w) {
		t.Errorf("input: got %s, want %s", g, w)
	}
}
