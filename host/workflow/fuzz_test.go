package workflow_test

import (
	"errors"
	"testing"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// FuzzBuild: no definition makes Build panic; every error has a code, and what is
// accepted can be encoded, decoded and compiled.
func FuzzBuild(f *testing.F) {
	f.Add(full)
	f.Add(chain(3))
	f.Add(steps(twoCalls))
	f.Add(laughs())
	f.Add("a: &x [*x]\n? {b: c}\n: - |\n   d\n  - >-\n e")
	f.Add(steps(`{id: a, uses: core.report, with: {text: "${{ inputs.x }} ${{ steps.a.items.map(i, i.status) }}"}}`))
	plugins, all := catalog(), assets(2)
	limits := workflow.DefaultLimits()
	limits.DefinitionBytes = 4 << 10
	f.Fuzz(func(t *testing.T, definition string) {
		plan, err := workflow.Build(workflow.Request{Definition: []byte(definition), Plugins: plugins, Assets: all, Limits: limits})
		if err != nil {
			checkErrors(t, definition, err)
			return
		}
		raw, err := plan.Encode()
		if err != nil {
			t.Fatalf("Encode: %v", err)
		}
		again, err := workflow.DecodePlan(raw)
		if err != nil || again.Hash() != plan.Hash() {
			t.Fatalf("round trip: %v", err)
		}
		if _, err := workflow.Compile(again); err != nil {
			t.Fatalf("Compile: %v", err)
		}
	})
}

func checkErrors(t *testing.T, definition string, err error) {
	t.Helper()
	var errs automation.Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("error: got %T, want automation.Errors", err)
	}
	line := 0
	for _, e := range errs {
		if e.Code == "" || e.Code == automation.CodeInternal || e.Message == "" || !utf8.ValidString(e.Error()) {
			t.Errorf("error of %q: got %q %q (%v), want a code and text", definition, e.Code, e.Message, e.Err)
		}
		if e.Line > 0 && e.Line < line {
			t.Errorf("errors of %q: line %d after line %d", definition, e.Line, line)
		}
		line = max(line, e.Line)
	}
}

// FuzzInputs: no inputs make Build panic.
func FuzzInputs(f *testing.F) {
	f.Add(`{"x": 1, "y": {"z": [1.5e3, null, "é"]}}`)
	f.Add(`{"x": 1e999, "y": 5}`)
	definition := "schema: opsconductor/v1\nname: t\ninputs: {x: {type: number}, y: {type: object}, z: {type: integer}}\n" +
		"steps: [{id: a, uses: core.report, with: {any: [\"${{ inputs.y }}\", \"${{ inputs.x * 2.0 }}\", \"${{ inputs.z }}\"]}}]"
	f.Fuzz(func(t *testing.T, inputs string) {
		r := request(definition)
		r.Inputs = []byte(inputs)
		if _, err := workflow.Build(r); err != nil {
			checkErrors(t, definition, err)
		}
	})
}
