package workflow_test

import (
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
)

// TestSyntaxFaultsSayWhy: what is no YAML gets its place, a cause and what to do,
// and never a word of what was written.
func TestSyntaxFaultsSayWhy(t *testing.T) {
	t.Parallel()
	for name, definition := range map[string]string{
		"open quote": "schema: opsconductor/v1\nname: \"hunter2\nsteps: []\n",
		"indent":     "schema: opsconductor/v1\n  name: hunter2\nsteps: []\n",
		"open list":  "schema: opsconductor/v1\nname: hunter2\nsteps: [hunter2\n",
		"tab":        "schema: opsconductor/v1\n\tname: hunter2\n",
	} {
		errs := faults(t, request(definition))
		if len(errs) != 1 {
			t.Errorf("%s: got %v", name, errs)
			continue
		}
		e := errs[0]
		if e.Code != automation.CodeSyntax || e.Line == 0 || e.Suggestion == "" || e.Message == "the definition is not YAML" {
			t.Errorf("%s: got %+v; want a place, a cause and what to do", name, e)
		}
		if strings.Contains(e.Error(), "hunter2") {
			t.Errorf("%s: the error says what was written: %v", name, e)
		}
	}
}
