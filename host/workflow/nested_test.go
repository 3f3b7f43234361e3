package workflow_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// stored makes stored workflows of definitions, each by NAME@VERSION.
func stored(definitions map[string]string) []automation.Workflow {
	var out []automation.Workflow
	for ref, definition := range definitions {
		name, version, _ := strings.Cut(ref, "@")
		w := automation.Workflow{Name: name, Definition: "schema: opsconductor/v1\nname: " + name + "\n" + definition, State: automation.WorkflowActive}
		_, _ = fmt.Sscan(version, &w.Version)
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b automation.Workflow) int { // the newest first, as the store lists them
		return cmp.Or(strings.Compare(a.Name, b.Name), b.Version-a.Version)
	})
	return out
}

const patchOne = `inputs:
  pkgname: {type: string, required: true}
  level: {type: integer, default: 1, enum: [1, 2]}
steps:
- {id: check, uses: linux.disk, for_each: {in: targets}, with: {path: "/${{ inputs.pkgname }}"}}
- {id: say, uses: core.report, needs: [check], with: {n: "${{ inputs.level }}"}}
outputs:
  used: "${{ steps.check.items[0].outputs.used_pct }}"
  text: "level ${{ inputs.level }}"
`

// nestedRequest is a definition that may include the tests' stored workflows.
func nestedRequest(definition string) workflow.Request {
	r := request(definition)
	r.Workflows = stored(map[string]string{
		"patch@1":  patchOne,
		"patch@2":  "steps:\n- {id: a, uses: core.noop}\n",
		"own@1":    "inputs: {os: {type: string, default: linux}, word: {type: string}}\ntargets: {select: \"asset.os == inputs.os\"}\nsteps:\n- {id: a, uses: linux.disk, for_each: {in: targets}, with: {path: \"${{ inputs.word }}\"}}\n",
		"outer@1":  "inputs: {pkgname: {type: string, default: vim}}\nsteps:\n- {id: all, uses: workflow.patch@1, for_each: {in: targets, max_parallel: 1}, with: {pkgname: \"${{ inputs.pkgname }}\"}}\noutputs: {n: \"${{ steps.all.items.size() }}\"}\n",
		"loop@1":   "steps:\n- {id: a, uses: workflow.pool@1}\n",
		"pool@1":   "steps:\n- {id: a, uses: workflow.loop@1}\n",
		"l6@1":     "steps:\n- {id: a, uses: core.noop}\n",
		"l5@1":     "steps:\n- {id: a, uses: workflow.l6@1}\n",
		"l4@1":     "steps:\n- {id: a, uses: workflow.l5@1}\n",
		"l3@1":     "steps:\n- {id: a, uses: workflow.l4@1}\n",
		"l2@1":     "steps:\n- {id: a, uses: workflow.l3@1}\n",
		"l1@1":     "steps:\n- {id: a, uses: workflow.l2@1}\n",
		"broken@1": "steps:\n- {id: a, uses: linux.gone}\n- {id: b, uses: linux.disk, for_each: {in: targets}, with: {path: 5}}\n",
		"many@1":   "steps:\n- {id: a, uses: workflow.patch@2, for_each: {in: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}, retry: {max_attempts: 100}}\n",
		"old@1":    "steps:\n- {id: a, uses: core.noop}\n",
	})
	for i := range r.Workflows {
		if r.Workflows[i].Name == "old" {
			r.Workflows[i].State = automation.WorkflowRetired
		}
	}
	return r
}

func TestNestedFaults(t *testing.T) {
	t.Parallel()
	const at = "/steps/0"
	const call = `uses: workflow.patch@1, for_each: {in: targets}`
	names := "broken, l1, l2, l3, l4, l5, l6, loop, many, outer, own, patch, pool"
	tests := map[string]struct {
		definition string
		want       brief
	}{
		"no such workflow":    {steps(`{id: a, uses: workflow.pacth@1}`), brief{"unknown_name", at + "/uses", 5, 17, `no stored workflow "pacth"`, names, `did you mean "patch"?`}},
		"no such version":     {steps(`{id: a, uses: workflow.patch@3}`), brief{"unknown_name", at + "/uses", 5, 17, `workflow patch has no version "3"`, "2, 1", ""}},
		"a version in part":   {steps(`{id: a, uses: workflow.patch@1.0}`), brief{"unknown_name", at + "/uses", 5, 17, `workflow patch has no version "1.0"`, "2, 1", ""}},
		"no version":          {steps(`{id: a, uses: workflow.l6}`), brief{"missing", at + "/uses", 5, 17, "the version of workflow l6 is missing", "1", "write workflow.l6@1"}},
		"retired":             {steps(`{id: a, uses: workflow.old@1}`), brief{"unknown_name", at + "/uses", 5, 17, "workflow old@1 is retired", "", "use another version"}},
		"itself, by another":  {steps(`{id: a, uses: workflow.loop@1}`), brief{"cycle", at + "/uses", 5, 17, "workflows that include each other: test -> loop@1 -> pool@1 -> loop@1", "", "take one of them out"}},
		"too deep":            {steps(`{id: a, uses: workflow.l1@1}`), brief{"limit", at + "/uses", 5, 17, "workflows nested too deep: test -> l1@1 -> l2@1 -> l3@1 -> l4@1 -> l5@1 -> l6@1", "at most 5 levels", ""}},
		"an input missing":    {steps(`{id: a, ` + call + `}`), brief{"missing", at + "/with/pkgname", 5, 3, "pkgname is missing", "string", "add pkgname"}},
		"an input unknown":    {steps(`{id: a, ` + call + `, with: {pkgname: x, levle: 1}}`), brief{"unknown_field", at + "/with/levle", 5, 79, `unknown field "levle"`, "level, pkgname", `did you mean "level"?`}},
		"an input's type":     {steps(`{id: a, ` + call + `, with: {pkgname: 5}}`), brief{"wrong_type", at + "/with/pkgname", 5, 76, "a value of type number", "string", ""}},
		"an expression's":     {steps(`{id: a, ` + call + `, with: {pkgname: x, level: "${{ asset.name }}"}}`), brief{"wrong_type", at + "/with/level", 5, 86, "an expression that gives a value of type string", "integer", ""}},
		"an input's values":   {steps(`{id: a, ` + call + `, with: {pkgname: x, level: 3}}`), brief{"invalid", at + "/with/level", 5, 86, "not one of the allowed values", "1, 2", ""}},
		"an effect":           {steps(`{id: a, ` + call + `, with: {pkgname: x}, effect: pure}`), brief{"invalid", at + "/effect", 5, 88, "a sub-workflow has no effect of its own: its steps have", "", "leave effect out"}},
		"late selection":      {steps(`{id: n, uses: core.report}`, `{id: a, uses: workflow.own@1, needs: [n], with: {word: a, os: "${{ steps.n.outputs.text }}"}}`), brief{"expression", "/steps/1/with/os", 6, 65, "the targets of workflow own@1 depend on this input, whose value is known at run time only", "", "give it a value that reads nothing, or a target by for_each: {in: targets}"}},
		"empty selection":     {steps(`{id: a, uses: workflow.own@1, with: {word: a, os: plan9}}`), brief{"invalid", at + "/uses", 5, 17, "workflow own@1, line 4: no asset of the 6 in the inventory is selected", "", "change the expression, or add assets"}},
		"no targets":          {"schema: opsconductor/v1\nname: test\nsteps:\n- {id: a, uses: workflow.patch@1, with: {pkgname: x}}\n", brief{"missing", at, 4, 3, "the steps of workflow patch@1 loop over targets, and there are none that it could take over", "", "add targets, and for_each: {in: targets} for a run on each of them"}},
		"faults of its own":   {steps(`{id: a, uses: workflow.broken@1}`), brief{"unknown_name", at + "/uses", 5, 17, `workflow broken@1, line 4: plugin linux 1.10.3 has no action "gone"`, "command, disk", ""}},
		"too many runs":       {steps(`{id: a, uses: workflow.many@1, for_each: {in: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}`), brief{"limit", "/steps", 5, 1, "about 10010 runs of sub-workflows", "at most 10000", "select fewer targets, or repeat less"}},
		"an output's field":   {steps(`{id: a, uses: workflow.outer@1}`, `{id: b, uses: core.report, needs: [a], with: {any: "${{ steps.a.outputs.m }}"}}`), brief{"expression", "/steps/1/with/any", 6, 54, "undefined field m at column 16 of the expression", "n", ""}},
		"output of no step":   {steps(`{id: check, uses: core.noop}`) + "outputs: {x: \"${{ steps.chek.status }}\"}\n", brief{"unknown_name", "/outputs/x", 6, 14, `no step "chek" at column 1 of the expression`, "check", `did you mean "check"?`}},
		"output of a fan-out": {steps(`{id: a, uses: core.noop, for_each: {in: [1]}}`) + "outputs: {x: \"${{ steps.a.outputs }}\"}\n", brief{"expression", "/outputs/x", 6, 14, "step a has for_each, so its outputs are those of its items at column 1 of the expression", "", "use steps.a.items"}},
		"output's text":       {steps(`{id: a, uses: core.noop}`) + "outputs: {x: \"${{ \"}\n", brief{"expression", "/outputs/x", 6, 14, "an expression that does not end", "${{ expression }}", "end it with }}, or write $${{ for the characters ${{"}},
		"output's type":       {steps(`{id: a, uses: core.noop}`) + "outputs: {x: 5}\n", brief{"wrong_type", "/outputs/x", 6, 14, "a value of type number", "string", ""}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := briefs(faults(t, nestedRequest(tt.definition)))
			if diff := gocmp.Diff(tt.want, got[0]); diff != "" || len(got) > 2 {
				t.Errorf("errors (-want +got):\n%s\nall: %v", diff, got)
			}
		})
	}
}

// TestInspect: what is to be stored is checked as far as it can be, all at once.
func TestInspect(t *testing.T) {
	t.Parallel()
	r := nestedRequest("schema: opsconductor/v1\nname: new\ndescription: d\ninputs: {os: {type: string, required: true}}\ntargets: {select: \"asset.os == inputs.os\"}\nsteps:\n" +
		"- {id: a, uses: workflow.patch@1, for_each: {in: targets}, with: {pkgname: x}}\n- {id: b, uses: workflow.own@1, with: {word: x, os: \"${{ inputs.os }}\"}}\n- {id: c, uses: workflow.patch@1, with: {pkgname: y}}\n")
	got, err := workflow.Inspect(r)
	want := workflow.Summary{Name: "new", Description: "d", Includes: []string{"own@1", "patch@1"}}
	if diff := gocmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	bad := nestedRequest("schema: opsconductor/v1\nname: new\ntargets: {select: asset.oss == 'x'}\nsteps:\n- {id: a, uses: workflow.new@3}\n- {id: b, uses: linux.dsik}\n- {id: c, uses: workflow.patch@1, with: {pkgname: 5}}\n")
	bad.Self = "new@3"
	_, err = workflow.Inspect(bad)
	var errs automation.Errors
	if !errors.As(err, &errs) {
		t.Fatalf("got %v", err)
	}
	wants := []brief{
		{"expression", "/targets/select", 3, 19, "undefined field oss at column 6 of the expression", "address, id, name, os, port, protocol, tags, vars", `did you mean "os"?`},
		{"cycle", "/steps/0/uses", 5, 17, "workflows that include each other: new@3 -> new@3", "", "take one of them out"},
		{"unknown_name", "/steps/1/uses", 6, 17, `plugin linux 1.10.3 has no action "dsik"`, "command, disk", `did you mean "disk"?`},
		{"wrong_type", "/steps/2/with/pkgname", 7, 51, "a value of type number", "string", ""},
	}
	if diff := gocmp.Diff(wants, briefs(errs)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func nestedPlan(t *testing.T, definition string) *workflow.Plan {
	t.Helper()
	p, err := workflow.Build(nestedRequest(definition))
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return p
}

// TestTemplates: a plan pins the plans of its sub-workflows, and theirs.
func TestTemplates(t *testing.T) {
	t.Parallel()
	p := nestedPlan(t, steps(`{id: a, uses: workflow.outer@1}`, `{id: b, uses: workflow.own@1, with: {word: w, os: windows}}`))
	outer, own := p.Templates[p.Steps[0].Digest], p.Templates[p.Steps[1].Digest]
	if outer == nil || own == nil || len(p.Templates) != 3 {
		t.Fatalf("%d templates, outer %v, own %v", len(p.Templates), outer != nil, own != nil)
	}
	if len(outer.Targets) != 4 || outer.ItemTarget || !outer.Template {
		t.Errorf("a sub-workflow without targets has those of its parent: got %d, %v", len(outer.Targets), outer.ItemTarget)
	}
	if len(own.Targets) != 2 {
		t.Errorf("a sub-workflow with targets of its own has %d, want the 2 with windows", len(own.Targets))
	}
	patch := p.Templates[outer.Steps[0].Digest]
	if patch == nil || !patch.ItemTarget || len(patch.Targets) != 0 || patch.Steps[0].Constant || patch.Steps[0].Digest != "d-linux-1.10.3" {
		t.Fatalf("the inner template: %+v", patch)
	}
	for hash, template := range p.Templates {
		raw, err := template.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := workflow.DecodePlan(raw)
		if err != nil || back.Hash() != hash {
			t.Errorf("a template read back: %v, hash %s, want %s", err, back.Hash(), hash)
		}
	}
	if again := nestedPlan(t, steps(`{id: a, uses: workflow.outer@1}`, `{id: b, uses: workflow.own@1, with: {word: w, os: windows}}`)); again.Hash() != p.Hash() {
		t.Error("planned again it has another hash")
	}
}

// TestTemplateRuns: a template reads its inputs and its target from what its run
// begins with.
func TestTemplateRuns(t *testing.T) {
	t.Parallel()
	p := nestedPlan(t, steps(`{id: a, uses: workflow.patch@1, for_each: {in: targets}, with: {pkgname: "${{ asset.name }}"}}`))
	prog, err := workflow.Compile(p.Templates[p.Steps[0].Digest])
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		`{"pkgname":"vim"}`:              `{"level":1,"pkgname":"vim"}`,
		`{"pkgname":"vim","level":2}`:    `{"level":2,"pkgname":"vim"}`,
		`{}`:                             `input "pkgname": it is required`,
		`{"pkgname":5}`:                  `input "pkgname": a value of type number`,
		`{"pkgname":"x","level":3}`:      `input "level": not one of the allowed values`,
		`{"pkgname":"x","other":"s3cr"}`: `input "other": the workflow has no such input`,
	} {
		got, err := prog.Inputs(json.RawMessage(given))
		if err != nil {
			if e := automation.AsError(err); e.Message != want {
				t.Errorf("%s: got %q, want %q", given, e.Message, want)
			}
		} else if string(got) != want {
			t.Errorf("%s: got %s, want %s", given, got, want)
		}
	}
	scope := workflow.NewScope(workflow.RunInfo{}, 2)
	target := &automation.Target{ID: "x", Name: "host-x"}
	scope.Begin(&automation.Begin{Inputs: json.RawMessage(`{"level":2,"pkgname":"vim"}`), Target: target})
	elements, err := prog.Elements(0, scope)
	if err != nil || len(elements) != 1 || elements[0].Target != target {
		t.Fatalf("elements %v, %v; want the item's target", elements, err)
	}
	input, err := prog.Input(0, scope, elements[0])
	if err != nil || string(input) != `{"path":"/vim"}` {
		t.Errorf("input %s, %v", input, err)
	}
	if _, err := prog.Outputs(scope); err == nil || !strings.HasPrefix(err.Error(), "output used: ") {
		t.Errorf("outputs of a step that has not ended: %v", err)
	}
	scope.SetStep(0, workflow.StepResult{Items: []workflow.ItemResult{{Outputs: json.RawMessage(`{"used_pct":7}`)}}})
	out, err := prog.Outputs(scope)
	if err != nil || string(out) != `{"text":"level 2","used":7.0}` && string(out) != `{"text":"level 2","used":7}` {
		t.Errorf("outputs %s, %v", out, err)
	}
}
