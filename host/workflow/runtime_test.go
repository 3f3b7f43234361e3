package workflow_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// TestKnownFromTheInputs: what the inputs decide is told before the run, with the
// place in the definition.
func TestKnownFromTheInputs(t *testing.T) {
	t.Parallel()
	const inputs = "inputs: {zero: {type: integer, default: 0}, list: {type: array, default: [1]}, o: {type: object, default: {}}, s: {type: string, default: web}}\n"
	tests := map[string]struct {
		step string
		want brief
	}{
		"if, division":      {`{id: a, uses: core.noop, if: "1 / inputs.zero == 1"}`, brief{"expression", "/steps/0/if", 4, 38, "a division by zero", "", ""}},
		"if, index":         {`{id: a, uses: core.noop, if: "inputs.list[3] == 1"}`, brief{"expression", "/steps/0/if", 4, 38, "an index past the end of a list", "", "ask for size(…) first"}},
		"if, key":           {`{id: a, uses: core.noop, if: "inputs.o.missing == 1"}`, brief{"expression", "/steps/0/if", 4, 38, "a field or key that is not there", "", "ask with has(…) first"}},
		"loop over a text":  {`{id: a, uses: core.noop, for_each: {in: "${{ inputs.s }}"}}`, brief{"expression", "/steps/0/for_each/in", 4, 49, "the expression gives a value of type string", "list", ""}},
		"loop over no list": {`{id: a, uses: core.noop, for_each: {in: "${{ inputs.list[0] }}"}}`, brief{"expression", "/steps/0/for_each/in", 4, 49, "it gives no list", "array", "make it a list: [value]"}},
		"loop, fault":       {`{id: a, uses: core.noop, for_each: {in: "${{ [inputs.o.missing] }}"}}`, brief{"expression", "/steps/0/for_each/in", 4, 49, "a field or key that is not there", "", "ask with has(…) first"}},
		"loop, too long":    {`{id: a, uses: core.noop, for_each: {in: "${{ '` + strings.Repeat("x", 101) + `'.replace('x', '` + strings.Repeat("y", 100) + `').split('') }}"}}`, brief{"limit", "/steps/0/for_each/in", 4, 49, "a list of 10100 elements", "at most 10000", "split the list"}},
		"with, fault":       {`{id: a, uses: core.report, with: {n: "${{ 1 / inputs.zero }}"}}`, brief{"expression", "/steps/0/with/n", 4, 46, "a division by zero", "", ""}},
		"with, wrong type":  {`{id: a, uses: core.report, with: {n: "${{ inputs.list[0] == 1 ? dyn('x') : dyn(1) }}"}}`, brief{"wrong_type", "/steps/0/with/n", 4, 46, "a value of type string", "integer", ""}},
		"with, too large":   {`{id: a, uses: core.report, with: {text: "${{ '` + strings.Repeat("x", 1500) + `'.replace('', '` + strings.Repeat("y", 1000) + `') }}"}}`, brief{"limit", "/steps/0/with/text", 4, 49, "a text that is too large", "at most 1048576", "work on less at a time"}},
		"cost":              {`{id: a, uses: core.noop, if: "'` + strings.Repeat("x", 900) + `'.split('').all(a, 'x'.split('').all(b, '` + strings.Repeat("x", 900) + `'.split('').all(c, '` + strings.Repeat("x", 900) + `'.split('').all(d, a == c))))"}`, brief{"limit", "/steps/0/if", 4, 38, "it costs too much", "", "loop over fewer elements"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			definition := "schema: opsconductor/v1\nname: t\n" + inputs + "steps: [" + tt.step + "]\n"
			if diff := cmp.Diff([]brief{tt.want}, briefs(faults(t, request(definition)))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFaultsAtRunTime: what only a run can know is told with the step and the place
// in it.
func TestFaultsAtRunTime(t *testing.T) {
	t.Parallel()
	expression := func(at, message, suggestion string) automation.Error {
		return automation.Error{Code: automation.CodeExpression, Pointer: at, Message: message, Suggestion: suggestion}
	}
	tests := map[string]struct {
		step string
		want automation.Error
	}{
		"if, division": {`if: "1 / steps.a.outputs.n == 1"`, expression("/if", "step b, if: a division by zero", "")},
		"if, index":    {`if: "steps.a.items[7].status == ''"`, expression("/if", "step b, if: an index past the end of a list", "ask for size(…) first")},
		"if, key":      {`if: "steps.a.outputs.text == ''"`, expression("/if", "step b, if: a field or key that is not there", "ask with has(…) first")},
		"if, type":     {`if: "dyn(steps.a.outputs.n)"`, automation.Error{Code: automation.CodeExpression, Pointer: "/if", Message: "step b, if: the condition is neither true nor false", Allowed: "boolean"}},
		"loop over no list": {
			`for_each: {in: "${{ dyn(steps.a.outputs.n) }}"}`,
			automation.Error{Code: automation.CodeExpression, Pointer: "/for_each/in", Message: "step b, for_each: it gives no list", Allowed: "array", Suggestion: "make it a list: [value]"},
		},
		"loop, fault": {`for_each: {in: "${{ [1 / steps.a.outputs.n] }}"}`, expression("/for_each/in", "step b, for_each: a division by zero", "")},
		"with, fault": {`with: {any: {k: ["${{ steps.a.outputs.text }}"]}}`, expression("/with/any/k/0", "step b, with: a field or key that is not there", "ask with has(…) first")},
		"with, no form": {
			`with: {any: "${{ 1.0 / double(steps.a.outputs.n) }}"}`,
			expression("/with/any", "step b, with: a number that is not finite, which JSON has no form for", ""),
		},
		"with, too large": {
			`with: {any: ["${{ run.id }}", "${{ run.id }}"]}`,
			automation.Error{Code: automation.CodeLimit, Pointer: "/with", Message: "step b, with: the filled-in inputs have too many bytes", Allowed: "at most 1048576", Suggestion: "pass less from step to step"},
		},
		"with, larger": {
			`with: {any: "${{ run.id.replace('', 'xyz') }}"}`,
			automation.Error{Code: automation.CodeLimit, Pointer: "/with/any", Message: "step b, with: a text that is too large", Allowed: "at most 1048576", Suggestion: "work on less at a time"},
		},
		"cost": {
			`if: "run.id.split('').all(x, run.id.split('').all(y, x == y))"`,
			automation.Error{Code: automation.CodeLimit, Pointer: "/if", Message: "step b, if: a text that is split into too many parts", Allowed: "at most 100000", Suggestion: "work on less at a time"},
		},
		"cost of a loop": {
			`if: "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all(x, run.id.lowerAscii() != '' && run.id.upperAscii() != '')"`,
			automation.Error{Code: automation.CodeLimit, Pointer: "/if", Message: "step b, if: it costs too much", Suggestion: "loop over fewer elements"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := build(t, steps(`{id: a, uses: core.report}`, `{id: b, uses: core.report, needs: [a], `+tt.step+`}`))
			p := compile(t, plan)
			s := workflow.NewScope(workflow.RunInfo{ID: automation.RunID(strings.Repeat("r", 600_000))}, 2)
			s.SetStep(0, workflow.StepResult{Items: []workflow.ItemResult{{Outputs: json.RawMessage(`{"n": 0}`)}}})
			_, err := p.Condition(1, s)
			if err == nil {
				_, err = p.Elements(1, s)
			}
			if err == nil {
				_, err = p.Input(1, s, workflow.Element{})
			}
			got := *automation.AsError(err)
			got.Err = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
