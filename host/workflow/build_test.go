package workflow_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestGoldenPlans(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("definitions: got %v (%v), want some", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := request(string(src))
			r.Inputs = json.RawMessage(`{"limit": 80}`)
			plan, err := workflow.Build(r)
			if err != nil {
				t.Fatalf("Build: %v", err)
			}
			raw, err := plan.Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := workflow.DecodePlan(raw)
			if err != nil || again.Hash() != plan.Hash() {
				t.Errorf("hash after a round trip: got %s (%v), want %s", again.Hash(), err, plan.Hash())
			}
			compareGolden(t, file+".plan.json", raw)
		})
	}
}

func compareGolden(t *testing.T, file string, raw []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil { //nolint:gosec // a test file
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// TestRun walks a plan as the scheduler does.
func TestRun(t *testing.T) {
	t.Parallel()
	plan := build(t, `
schema: opsconductor/v1
name: disk-cleanup
inputs: {limit: {type: integer, default: 90}}
targets: {select: "asset.os == 'linux' && 'web' in asset.tags"}
steps:
  - id: check
    uses: linux.disk@1
    with: {path: /var, limit: "${{ inputs.limit }}"}
    for_each: {in: targets, max_parallel: 50}
  - id: clean
    uses: linux.command
    needs: [check]
    if: "steps.check.items.exists(i, i.outputs.used_pct > inputs.limit)"
    for_each: {in: "${{ steps.check.items.filter(i, i.outputs.used_pct > 90.0) }}"}
    with: {argv: [echo, "${{ asset.name }}: ${{ item.outputs.used_pct }}%", "${{ item.asset.address }}"]}
  - id: report
    uses: core.report
    needs: [clean]
    with:
      text: "${{ run.workflow }} by ${{ run.by }}: ${{ steps.clean.status }}"
      n: "${{ steps.clean.items.size() }}"
      list: ["${{ steps.check.items.map(i, i.outputs.used_pct) }}", 1.50, 12345678901234567890123]
`)
	p, err := workflow.Compile(plan)
	if err != nil {
		t.Fatal(err)
	}
	s := workflow.NewScope(workflow.RunInfo{ID: "r1", Workflow: plan.Workflow, By: "ann"}, 3)
	elements, err := p.Elements(0, s)
	if err != nil || len(elements) != 4 {
		t.Fatalf("elements: got %d (%v), want 4", len(elements), err)
	}
	input(t, p, 0, s, elements[0], `{"limit":90,"path":"/var"}`)
	var r workflow.StepResult
	for i, e := range elements {
		out := []string{`{"used_pct": 91}`, `{"used_pct": 20.5}`, `{"used_pct": 99.9}`, `{"used_pct": 90}`}[i]
		r.Items = append(r.Items, workflow.ItemResult{Element: e, Status: automation.ItemSucceeded, Attempts: 1, Outputs: json.RawMessage(out)})
	}
	r.Status = automation.ItemSucceeded
	s.SetStep(0, r)
	if ok, err := p.Condition(1, s); !ok || err != nil {
		t.Errorf("condition: got %t (%v), want true", ok, err)
	}
	elements, err = p.Elements(1, s)
	if err != nil || len(elements) != 2 || elements[1].Target != &plan.Targets[2] || elements[1].Index != 1 {
		t.Fatalf("elements: got %+v (%v), want the targets 0 and 2", elements, err)
	}
	input(t, p, 1, s, elements[1], `{"argv":["echo","host-00003: 99.9%","10.0.0.4"]}`)
	s.SetStep(1, workflow.StepResult{Status: automation.ItemFailed, Items: make([]workflow.ItemResult, 2)})
	input(t, p, 2, s, workflow.Element{}, `{"list":[[91,20.5,99.9,90],1.50,12345678901234567890123],"n":2,"text":"disk-cleanup by ann: failed"}`)
}

func input(t *testing.T, p *workflow.Program, step int, s *workflow.Scope, e workflow.Element, want string) {
	t.Helper()
	got, err := p.Input(step, s, e)
	if err != nil || string(got) != want {
		t.Errorf("input of step %d: got %s (%v), want %s", step, got, err, want)
	}
}
