package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// faults builds a definition that is to be refused.
func faults(t *testing.T, r workflow.Request) automation.Errors {
	t.Helper()
	plan, err := workflow.Build(r)
	var errs automation.Errors
	if !errors.As(err, &errs) || plan != nil {
		t.Fatalf("Build: got a plan %t and error %v, want automation.Errors", plan != nil, err)
	}
	return errs
}

// brief is what the tables compare of an error.
type brief struct {
	Code         automation.Code
	Pointer      string
	Line, Column int
	Message      string
	Allowed      string
	Suggestion   string
}

func briefs(errs automation.Errors) []brief {
	out := make([]brief, len(errs))
	for i, e := range errs {
		out[i] = brief{e.Code, e.Pointer, e.Line, e.Column, e.Message, e.Allowed, e.Suggestion}
	}
	return out
}

func TestTenFaults(t *testing.T) {
	t.Parallel()
	r := request(`schema: opsconductor/v1
name: Ten Faults
inputs:
  limit: {type: integer, default: high}
targets: {select: "asset.oss == 'linux'"}
colour: red
steps:
  - id: check
    uses: linux.dsik@1
    for_each: {in: targets}
    needs: [clean]
  - id: clean
    uses: linus.command
    for_each: {in: targtes}
    needs: [check]
  - id: report
    uses: core.report
    with: {text: "${{ steps.check.items.size() }}"}
    timeout: soon
`)
	got := briefs(faults(t, r))
	want := []brief{
		{"invalid", "/name", 2, 7, "not of the form that the schema asks for", "up to 63 lower-case letters, digits, - and _, a letter first", ""},
		{"wrong_type", "/inputs/limit/default", 4, 35, "a value of type string", "integer", ""},
		{"expression", "/targets/select", 5, 19, "undefined field oss at column 6 of the expression", "address, id, name, os, port, protocol, tags, vars", `did you mean "os"?`},
		{"unknown_field", "/colour", 6, 1, `unknown field "colour"`, "description, inputs, limits, name, outputs, priority, schema, steps, targets", ""},
		{"unknown_name", "/steps/0/uses", 9, 11, `plugin linux 1.10.3 has no action "dsik"`, "command, disk", `did you mean "disk"?`},
		{"cycle", "/steps/0/needs", 11, 12, "steps that need each other: check -> clean -> check", "", "take one of them out of needs"},
		{"unknown_name", "/steps/1/uses", 13, 11, `no active plugin "linus"`, "core, linux", `did you mean "linux"?`},
		{"invalid", "/steps/1/for_each/in", 14, 20, "not something to loop over", "targets, a list, or ${{ an expression }}", `did you mean "targets"?`},
		{"expression", "/steps/2/with/text", 18, 18, "step check may not have ended when this one starts at column 1 of the expression", "", "add check to needs"},
		{"invalid", "/steps/2/timeout", 19, 14, "not of the form that the schema asks for", "a duration like 30s, 5m or 1h30m", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const at = "/steps/0"
	tests := map[string]struct {
		definition string
		want       brief
	}{
		"empty":             {"", brief{Code: "syntax", Line: 1, Column: 1, Message: "the definition is empty"}},
		"blank":             {" \n\n", brief{Code: "syntax", Line: 1, Column: 1, Message: "the definition is empty"}},
		"not UTF-8":         {"name: \xff", brief{Code: "syntax", Line: 1, Column: 7, Message: "the definition is not UTF-8"}},
		"JSON comma":        {"{\"a\": 1,\n  \"é\": 2 \"b\": 3}", brief{Code: "syntax", Line: 2, Column: 10, Message: "a comma or a closing brace is missing"}},
		"JSON end":          {`{"a": [1, 2`, brief{Code: "syntax", Line: 1, Column: 12, Message: "a comma or a closing bracket is missing"}},
		"JSON more":         {`{} {}`, brief{Code: "syntax", Line: 1, Column: 4, Message: "text after the end of the JSON document"}},
		"JSON number":       {`{"a": 01}`, brief{Code: "syntax", Line: 1, Column: 7, Message: "not a JSON number"}},
		"JSON deep":         {`{"a": ` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}`, brief{Code: "limit", Line: 1, Column: 71, Message: "the document is nested too deep", Allowed: "64 levels"}},
		"YAML deep":         {"a: " + strings.Repeat("[", 100000), brief{Code: "limit", Line: 1, Column: 68, Message: "the document is nested too deep", Allowed: "64 levels"}},
		"YAML dashes":       {strings.Repeat("- ", 100000) + "a", brief{Code: "limit", Line: 1, Column: 129, Message: "the document is nested too deep", Allowed: "64 levels"}},
		"YAML tag":          {"name: !!str 5", brief{Code: "syntax", Line: 1, Column: 7, Message: "YAML tags are not read here"}},
		"YAML merge":        {"a: &x {b: 1}\nc: {<<: *x}", brief{Code: "syntax", Line: 2, Column: 5, Message: "merge keys (<<) are not read here"}},
		"YAML key":          {"1: a", brief{Code: "syntax", Line: 1, Column: 1, Message: "a key that is not text", Suggestion: "put it in quotes"}},
		"YAML octal":        {"a: 010", brief{Code: "syntax", Line: 1, Column: 4, Message: "a number that begins with 0", Suggestion: "write it without the 0, or in quotes if it is text, or as 0o… if it is octal"}},
		"YAML alias":        {"a: *x", brief{Code: "syntax", Line: 1, Column: 4, Message: "an alias without an anchor before it"}},
		"YAML two":          {"a: 1\n---\nb: 1", brief{Code: "syntax", Line: 3, Column: 1, Message: "more than one YAML document"}},
		"YAML laughs":       {laughs(), brief{Code: "limit", Line: 6, Column: 8, Message: "the document has too many values, those that aliases stand for counted in", Allowed: "200000"}},
		"YAML keys":         {manyKeys(), brief{Code: "limit", Line: 10001, Column: 7, Message: "the YAML document has too many parts", Allowed: "10000 keys, 100000 tokens", Suggestion: "write it as JSON, which has no such limit"}},
		"YAML tokens":       {strings.Repeat("- a\n", 60_000), brief{Code: "limit", Line: 50001, Column: 1, Message: "the YAML document has too many parts", Allowed: "10000 keys, 100000 tokens", Suggestion: "write it as JSON, which has no such limit"}},
		"JSON values":       {"[" + strings.Repeat("1,", 200_000) + "1]", brief{Code: "limit", Line: 1, Column: 400_000, Message: "the document has too many values, those that aliases stand for counted in", Allowed: "200000"}},
		"key twice":         {steps(`{id: a, uses: core.noop, id: a}`), brief{"invalid", at + "/id", 5, 28, `the key "id" is there twice`, "", "keep one of them"}},
		"id twice":          {steps(`{id: a, uses: core.noop}`, `{id: a, uses: core.noop}`), brief{"invalid", "/steps/1/id", 6, 8, `the id "a" is there twice`, "", "rename one of the steps"}},
		"id reserved":       {steps(`{id: in, uses: core.noop}`), brief{"invalid", at + "/id", 5, 8, "a value of a form that is not allowed", "up to 63 letters, digits and _, a letter first, and no word that CEL reserves", ""}},
		"id dash":           {steps(`{id: a-b, uses: core.noop}`), brief{"invalid", at + "/id", 5, 8, "not of the form that the schema asks for", "up to 63 letters, digits and _, a letter first, and no word that CEL reserves", ""}},
		"no uses":           {steps(`{id: a}`), brief{"missing", at + "/uses", 5, 3, "uses is missing", "plugin.action or plugin.action@version, like linux.disk@1, or workflow.name@version", "add uses"}},
		"old field":         {steps(`{id: a, uses: core.noop, parameters: {}}`), brief{"unknown_field", at + "/parameters", 5, 28, `unknown field "parameters"`, "concurrency_key, effect, for_each, id, if, item_timeout, name, needs, needs_policy, on_failure, priority, queue, retry, step_timeout, timeout, uses, with", ""}},
		"near field":        {steps(`{id: a, uses: core.noop, need: []}`), brief{"unknown_field", at + "/need", 5, 28, `unknown field "need"`, "concurrency_key, effect, for_each, id, if, item_timeout, name, needs, needs_policy, on_failure, priority, queue, retry, step_timeout, timeout, uses, with", `did you mean "needs"?`}},
		"disabled version":  {steps(`{id: a, uses: linux.disk@3, for_each: {in: targets}, with: {path: /}}`), brief{"unknown_name", at + "/uses", 5, 17, `no active version "3" of plugin linux`, "2.0.0-rc.1, 1.10.3, 1.2.0", "leave the version out for the newest"}},
		"no prefix version": {steps(`{id: a, uses: linux.disk@1.1, for_each: {in: targets}, with: {path: /}}`), brief{"unknown_name", at + "/uses", 5, 17, `no active version "1.1" of plugin linux`, "2.0.0-rc.1, 1.10.3, 1.2.0", "leave the version out for the newest"}},
		"no target":         {steps(`{id: a, uses: linux.disk, with: {path: /}}`), brief{"missing", at, 5, 3, "the action linux.disk acts on a target, and the step's items have none", "", "add for_each: {in: targets}"}},
		"list for target":   {steps(`{id: a, uses: linux.disk, with: {path: /}, for_each: {in: [1]}}`), brief{"missing", at + "/for_each/in", 5, 61, "the action linux.disk acts on a target, and the step's items have none", "", "add for_each: {in: targets}"}},
		"loop for target":   {steps(`{id: a, uses: linux.disk, with: {path: /}, for_each: {in: "${{ [1, 2] }}"}}`), brief{"missing", at + "/for_each/in", 5, 61, "the action linux.disk acts on a target, and the step's items have none", "", "add for_each: {in: targets}"}},
		"no targets":        {"schema: opsconductor/v1\nname: t\nsteps: [{id: a, uses: core.noop, for_each: {in: targets}}]", brief{"missing", at + "/for_each/in", 3, 49, "the workflow selects no targets", "", `add targets: {select: "…"}`}},
		"none selected":     {"schema: opsconductor/v1\nname: t\ntargets: {select: \"asset.os == 'aix'\"}\nsteps: [{id: a, uses: core.noop}]", brief{"invalid", "/targets/select", 3, 19, "no asset of the 6 in the inventory is selected", "", "change the expression, or add assets"}},
		"select no boolean": {"schema: opsconductor/v1\nname: t\ntargets: {select: asset.os}\nsteps: [{id: a, uses: core.noop}]", brief{"expression", "/targets/select", 3, 19, "the expression gives a value of type string", "boolean", ""}},
		"select fails":      {"schema: opsconductor/v1\nname: t\ntargets: {select: asset.vars.none == 1}\nsteps: [{id: a, uses: core.noop}]", brief{"expression", "/targets/select", 3, 19, "asset host-00000: a field or key that is not there", "", "ask with has(…) first"}},
		"self":              {steps(`{id: a, uses: core.noop, needs: [a]}`), brief{"cycle", at + "/needs", 5, 35, "steps that need each other: a -> a", "", "take one of them out of needs"}},
		"long cycle":        {steps(`{id: a, uses: core.noop, needs: [c]}`, `{id: b, uses: core.noop, needs: [a]}`, `{id: c, uses: core.noop, needs: [b]}`, `{id: d, uses: core.noop, needs: [c]}`), brief{"cycle", at + "/needs", 5, 35, "steps that need each other: a -> c -> b -> a", "", "take one of them out of needs"}},
		"unknown need":      {steps(`{id: check, uses: core.noop}`, `{id: b, uses: core.noop, needs: [chekc]}`), brief{"unknown_name", "/steps/1/needs/0", 6, 36, `no step "chekc"`, "check", `did you mean "check"?`}},
		"needs twice":       {steps(`{id: a, uses: core.noop}`, `{id: b, uses: core.noop, needs: [a, a]}`), brief{"invalid", "/steps/1/needs", 6, 35, "an element that is there twice", "the ids of steps that must end first", ""}},
		"effect":            {steps(`{id: a, uses: core.noop, effect: idempotant}`), brief{"invalid", at + "/effect", 5, 36, "not one of the allowed values", "pure, idempotent, once, guarded", `did you mean "idempotent"?`}},
		"backoff":           {steps(`{id: a, uses: core.noop, retry: {max_attempts: 2, backoff: {initial: 5s, max: 1s}}}`), brief{"invalid", at + "/retry/backoff/max", 5, 81, "the longest wait is shorter than the first", "at least 5s", ""}},
		"zero timeout":      {steps(`{id: a, uses: core.noop, timeout: 0s}`), brief{"invalid", at + "/timeout", 5, 37, "too short a time", "at least 1ms", ""}},
		"if template":       {steps(`{id: a, uses: core.noop, if: "${{ true }}"}`), brief{"expression", at + "/if", 5, 32, "if holds an expression as it is", "", "write it without ${{ }}"}},
		"if text":           {steps(`{id: a, uses: core.noop, if: "'yes'"}`), brief{"expression", at + "/if", 5, 32, "the expression gives a value of type string", "boolean", ""}},
		"if asset":          {steps(`{id: a, uses: core.noop, for_each: {in: targets}, if: "asset.os == ''"}`), brief{"expression", at + "/if", 5, 57, "unknown name asset at column 1 of the expression", "inputs, run, steps", "asset is there in targets.select, and in steps with for_each: {in: targets}"}},
		"no item":           {steps(`{id: a, uses: core.noop, with: {x: "${{ item }}"}}`), brief{"expression", at + "/with/x", 5, 38, "unknown name item at column 1 of the expression", "inputs, run, steps", "item is there in steps with for_each over a list"}},
		"secrets":           {steps(`{id: a, uses: core.noop, with: {x: "${{ secrets.pw }}"}}`), brief{"expression", at + "/with/x", 5, 38, "secrets cannot be read by expressions yet at column 1 of the expression", "inputs, run, steps", "give the target a credential: the host uses it by itself"}},
		"no end":            {steps(`{id: a, uses: core.noop, with: {x: "${{ 1"}}`), brief{"expression", at + "/with/x", 5, 38, "an expression that does not end", "${{ expression }}", "end it with }}, or write $${{ for the characters ${{"}},
		"key expression":    {steps(`{id: a, uses: core.noop, with: {"${{ 1 }}": 1}}`), brief{"expression", at + "/with/${{ 1 }}", 5, 47, "an expression in a key", "", "make the object one expression: ${{ {key: value} }}"}},
		"list expression":   {steps(`{id: a, uses: core.noop, for_each: {in: ["${{ 1 }}"]}}`), brief{"expression", at + "/for_each/in/0", 5, 44, "an expression in a literal list", "", "make the list one expression: ${{ [a, b] }}"}},
		"loop type":         {steps(`{id: a, uses: core.noop, for_each: {in: "${{ 'x' }}"}}`), brief{"expression", at + "/for_each/in", 5, 43, "the expression gives a value of type string", "list", ""}},
		"field":             {steps(`{id: a, uses: linux.disk, for_each: {in: targets}, with: {path: /}}`, `{id: b, uses: core.noop, needs: [a], if: "steps.a.items[0].outputs.used_pcnt > 3"}`), brief{"expression", "/steps/1/if", 6, 44, "undefined field used_pcnt at column 25 of the expression", "files, labels, mount, used_pct", `did you mean "used_pct"?`}},
		"field in a loop":   {steps(`{id: a, uses: linux.disk, for_each: {in: targets}, with: {path: /}}`, `{id: b, uses: core.noop, needs: [a], if: "steps.a.items.exists(i, i.output.used_pct > 3)"}`), brief{"expression", "/steps/1/if", 6, 44, "undefined field output at column 26 of the expression", "asset, attempts, error, index, outputs, status", `did you mean "outputs"?`}},
		"outputs of many":   {steps(`{id: a, uses: linux.disk, for_each: {in: targets}, with: {path: /}}`, `{id: b, uses: core.noop, needs: [a], if: "steps.a.outputs.used_pct > 3"}`), brief{"expression", "/steps/1/if", 6, 44, "step a has for_each, so its outputs are those of its items at column 1 of the expression", "", "use steps.a.items"}},
		"unknown step":      {steps(`{id: first, uses: core.noop}`, `{id: b, uses: core.noop, needs: [first], if: "steps.frist.status == ''"}`), brief{"unknown_name", "/steps/1/if", 6, 48, `no step "frist" at column 1 of the expression`, "first", `did you mean "first"?`}},
		"own step":          {steps(`{id: a, uses: core.noop, if: "steps.a.status == ''"}`), brief{"expression", at + "/if", 5, 32, "the step reads its own results at column 1 of the expression", "", ""}},
		"bare steps":        {steps(`{id: a, uses: core.noop, if: "size([steps]) == 1"}`), brief{"expression", at + "/if", 5, 32, "steps without a step's id at column 7 of the expression", "steps.ID.outputs, .status or .items", ""}},
		"result type":       {steps(`{id: a, uses: core.report, with: {n: "${{ run.id }}"}}`), brief{"wrong_type", at + "/with/n", 5, 40, "an expression that gives a value of type string", "integer", ""}},
		"result for text":   {steps(`{id: a, uses: core.report, with: {text: "${{ 1 + 1 }}"}}`), brief{"wrong_type", at + "/with/text", 5, 43, "an expression that gives a value of type integer", "string", "turn it into text with string(…)"}},
		"text for a number": {steps(`{id: a, uses: core.report, with: {n: "1${{ 1 }}"}}`), brief{"wrong_type", at + "/with/n", 5, 40, "text with expressions in it", "integer", "write one ${{ expression }} alone, which keeps its type"}},
		"filled value":      {steps(`{id: a, uses: linux.disk, for_each: {in: targets}, with: {path: /, limit: "${{ 100 + 1 }}"}}`), brief{"invalid", at + "/with/limit", 5, 77, "too large a number", "at most 100", ""}},
		"filled fails":      {steps(`{id: a, uses: core.report, with: {n: "${{ 1 / 0 }}"}}`), brief{"expression", at + "/with/n", 5, 40, "a division by zero", "", ""}},
		"with field":        {steps(`{id: a, uses: linux.disk, for_each: {in: targets}, with: {pat: /, path: /}}`), brief{"unknown_field", at + "/with/pat", 5, 61, `unknown field "pat"`, "limit, path", `did you mean "path"?`}},
		"with missing":      {steps(`{id: a, uses: linux.disk, for_each: {in: targets}}`), brief{"missing", at + "/with/path", 5, 3, "path is missing", "", "add path"}},
		"cost":              {steps(`{id: a, uses: core.noop, for_each: {in: "${{ [1] }}"}}`, `{id: b, uses: core.noop, needs: [a], if: "steps.a.items.exists(i, steps.a.items.exists(j, steps.a.items.exists(k, i == j && j == k)))"}`), brief{"limit", "/steps/1/if", 6, 44, "the expression may cost too much", "a cost of 4000000", "loop over fewer elements, and not within another loop"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(tt.definition)
			got := briefs(faults(t, r))
			if diff := cmp.Diff([]brief{tt.want}, only(got, tt.want)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// only drops, for documents that are no workflows at all, the faults of their form.
func only(got []brief, want brief) []brief {
	if want.Code == "syntax" || want.Pointer == "" {
		return got[:1]
	}
	return got
}

// laughs is a document of a few lines that stands for a billion values.
func laughs() string {
	var b strings.Builder
	b.WriteString("a: &a [x, x, x, x, x, x, x, x, x, x]\n")
	for c := 'b'; c < 'k'; c++ {
		before := "*" + string(c-1)
		b.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat(before+", ", 9) + before + "]\n")
	}
	return b.String()
}

func manyKeys() string {
	var b strings.Builder
	for i := range 11_000 {
		fmt.Fprintf(&b, "a%d: 1\n", i)
	}
	return b.String()
}

func TestSuppliedInputs(t *testing.T) {
	t.Parallel()
	const definition = `
schema: opsconductor/v1
name: t
inputs:
  limit: {type: integer, required: true}
  mode: {type: string, enum: [fast, full], default: fast}
  ratio: {type: number}
  list: {type: array}
steps: [{id: a, uses: core.report, with: {any: "${{ [inputs.limit, inputs.mode, has(inputs.ratio)] }}"}}]
`
	tests := map[string]struct {
		inputs string
		want   []brief
	}{
		"all right":   {`{"limit": 3, "ratio": 1.50, "list": [1.0]}`, nil},
		"missing":     {``, []brief{{"missing", "/inputs/limit", 0, 0, "the input limit is required", "integer", "give it a value"}}},
		"unknown":     {`{"limit": 1, "mood": ""}`, []brief{{"unknown_name", "/inputs/mood", 0, 0, `the workflow has no input "mood"`, "limit, mode, ratio, list", `did you mean "mode"?`}}},
		"type":        {`{"limit": "3"}`, []brief{{"wrong_type", "/inputs/limit", 0, 0, "a value of type string", "integer", ""}}},
		"fraction":    {`{"limit": 3.5}`, []brief{{"wrong_type", "/inputs/limit", 0, 0, "not an integer of 64 bits", "integer", ""}}},
		"too large":   {`{"limit": 9223372036854775808}`, []brief{{"wrong_type", "/inputs/limit", 0, 0, "not an integer of 64 bits", "integer", ""}}},
		"enumeration": {`{"limit": 1, "mode": "ful"}`, []brief{{"invalid", "/inputs/mode", 0, 0, "not one of the allowed values", "fast, full", `did you mean "full"?`}}},
		"not JSON":    {`{"limit": }`, []brief{{"syntax", "/inputs", 0, 0, "not a JSON value", "", ""}, {"missing", "/inputs/limit", 0, 0, "the input limit is required", "integer", "give it a value"}}},
		"no object":   {`[]`, []brief{{"wrong_type", "/inputs", 0, 0, "the inputs are not an object", "object", ""}, {"missing", "/inputs/limit", 0, 0, "the input limit is required", "integer", "give it a value"}}},
		"twice":       {`{"limit": 1, "limit": 2}`, []brief{{"invalid", "/inputs", 0, 0, `the key "limit" is there twice`, "", "keep one of them"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(definition)
			r.Inputs = json.RawMessage(tt.inputs)
			if tt.want == nil {
				plan, err := workflow.Build(r)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := string(plan.Inputs), `{"limit":3,"list":[1.0],"mode":"fast","ratio":1.50}`; got != want {
					t.Errorf("inputs: got %s, want %s", got, want)
				}
				if got, want := string(plan.Steps[0].With), `{"any":[3,"fast",true]}`; got != want {
					t.Errorf("with: got %s, want %s", got, want)
				}
				return
			}
			if diff := cmp.Diff(tt.want, briefs(faults(t, r))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsNeverHoldValues(t *testing.T) {
	t.Parallel()
	for _, definition := range []string{
		steps(`{id: a, uses: core.report, with: {n: hunter2}}`),
		steps(`{id: a, uses: core.report, timeout: hunter2}`),
		steps(`{id: a, uses: linux.disk, for_each: {in: targets}, with: {path: [hunter2]}}`),
		steps(`{id: a, uses: core.report, with: {n: "${{ int('hunter2') }}"}}`),
		steps(`{id: a, uses: core.report, with: {n: "${{ {'a': 1}['hunter2'] }}"}}`),
		steps(`{id: a, uses: core.report, with: {any: "${{ duration('hunter' + '2') }}"}}`),
		steps(`{id: a, uses: core.report, with: {any: "${{ timestamp('hunter' + '2') }}"}}`),
		steps(`{id: a, uses: core.report, with: {any: "${{ 'x'.matches('(hunter' + '2') }}"}}`),
		"schema: opsconductor/v1\nname: t\ninputs: {x: {type: integer, default: hunter2}}\nsteps: [{id: a, uses: core.noop}]",
		"schema: opsconductor/v1\nname: t\nsteps: [{id: a, uses: core.noop, with: {\"hunter2}]",
	} {
		if got := faults(t, request(definition)).Error(); strings.Contains(got, "hunter2") {
			t.Errorf("errors of %q: got %q, want them without the value", definition, got)
		}
	}
}
