package workflow_test

import (
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

const withLater = `schema: opsconductor/v1
name: later
inputs:
  host: {type: string, required: true}
  list: {type: array, default: []}
  n: {type: integer, default: 7}
targets: {select: "asset.name == inputs.host"}
steps:
  - {id: a, uses: core.report@1, with: {text: "${{ inputs.host }}"}, if: "inputs.n > 3"}
  - {id: b, uses: core.report@1, with: {text: "${{ string(item) }}"}, for_each: {in: "${{ inputs.list }}"}}
`

// TestCheck: inputs that come later need no value, and what depends on inputs is
// not evaluated; everything else is checked.
func TestCheck(t *testing.T) {
	t.Parallel()
	r := workflow.Request{Definition: []byte(withLater), Inputs: []byte(`{"host":"${{ x }}","list":"${{ y }}"}`), Plugins: catalog()}
	if err := workflow.Check(r, []string{"host", "list"}); err != nil {
		t.Errorf("got %v; want nothing wrong", err)
	}
	if err := workflow.Check(r, []string{"host"}); err == nil || !strings.HasPrefix(err.Error(), "/inputs/list: a value of type string (allowed: array)") {
		t.Errorf("a value of another type: got %v", err)
	}
	r.Inputs = []byte(`{"n":1}`)
	if err := workflow.Check(r, []string{"n"}); err == nil || !strings.HasPrefix(err.Error(), "/inputs/host: the input host is required") {
		t.Errorf("a value that does not come later: got %v", err)
	}
	r.Definition = []byte(strings.Replace(withLater, "inputs.host }}", "inputs.hots }}", 1))
	if err := workflow.Check(r, []string{"host", "n"}); err == nil || !strings.Contains(err.Error(), "/steps/0/with/text: undefined field hots") {
		t.Errorf("a fault of the definition: got %v", err)
	}
	types, err := workflow.DeclaredInputs([]byte(withLater))
	if err != nil || len(types) != 3 || types["n"].Kind != "integer" || types["list"].Kind != "list" {
		t.Errorf("declared inputs: got %v, %v", types, err)
	}
	if _, err := workflow.DeclaredInputs([]byte("{")); automation.CodeOf(err) != automation.CodeSyntax {
		t.Errorf("declared inputs of no definition: got %v", err)
	}
	if types, err := workflow.DeclaredInputs([]byte("inputs: 3")); err != nil || len(types) != 0 {
		t.Errorf("declared inputs of a number: got %v, %v", types, err)
	}
}
