package workflow_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

func TestRetryIf(t *testing.T) {
	t.Parallel()
	late := &automation.Error{Code: automation.CodeTimeout, Message: "too slow", Phase: automation.PhaseBefore, CanRetry: true}
	tests := map[string]struct {
		retry   string
		attempt int
		err     *automation.Error
		want    bool
	}{
		"by the error":         {`{max_attempts: 3}`, 1, late, true},
		"by the error, not":    {`{max_attempts: 3}`, 1, &automation.Error{Code: "x"}, false},
		"against the error":    {`{max_attempts: 3, if: "false"}`, 1, late, false},
		"not retryable itself": {`{max_attempts: 3, if: "error.code == 'x'"}`, 1, &automation.Error{Code: "x"}, true},
		"all of the error":     {`{max_attempts: 3, if: "error.code == 'timeout' && error.message == 'too slow' && error.phase == 'before' && error.retryable"}`, 1, late, true},
		"attempt":              {`{max_attempts: 3, if: "attempt < 2"}`, 2, late, false},
		"asset":                {`{max_attempts: 3, if: "asset.name == 'host-00000' && 'web' in asset.tags"}`, 1, late, true},
		"run":                  {`{max_attempts: 3, if: "run.by == 'ann' && run.workflow == 'test'"}`, 1, late, true},
		"error without a text": {`{max_attempts: 3, if: "error.message == '' && error.phase == '' && !error.retryable"}`, 1, &automation.Error{Code: "x"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := build(t, steps(`{id: a, uses: linux.disk, with: {path: /}, for_each: {in: targets}, retry: `+tt.retry+`}`))
			p := compile(t, plan)
			s := workflow.NewScope(workflow.RunInfo{ID: "r", Workflow: plan.Workflow, By: "ann"}, 1)
			elements, err := p.Elements(0, s)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Retry(0, s, elements[0], workflow.Failure{Attempt: tt.attempt, Error: tt.err})
			if err != nil || got != tt.want {
				t.Errorf("got %t (%v), want %t", got, err, tt.want)
			}
		})
	}
}

// TestRetryIfReadsItemAndInputs in a plan that was stored and read again.
func TestRetryIfReadsItemAndInputs(t *testing.T) {
	t.Parallel()
	plan := build(t, `
schema: opsconductor/v1
name: t
inputs: {most: {type: integer, default: 3}}
steps: [{id: a, uses: core.noop, for_each: {in: [{host: a, tries: 2}]}, retry: {max_attempts: 9, if: "attempt < inputs.most && attempt < item.tries"}}]
`)
	p := compile(t, plan)
	s := workflow.NewScope(workflow.RunInfo{}, 1)
	elements, err := p.Elements(0, s)
	if err != nil {
		t.Fatal(err)
	}
	for attempt, want := range map[int]bool{1: true, 2: false, 3: false} {
		got, err := p.Retry(0, s, elements[0], workflow.Failure{Attempt: attempt, Error: &automation.Error{}})
		if err != nil || got != want {
			t.Errorf("after attempt %d: got %t (%v), want %t", attempt, got, err, want)
		}
	}
}

func TestRetryIfFaults(t *testing.T) {
	t.Parallel()
	const at = "/steps/0/retry/if"
	tests := map[string]struct {
		definition string
		want       brief
	}{
		"field": {
			steps(`{id: a, uses: core.noop, retry: {max_attempts: 2, if: "error.kode == 'x'"}}`),
			brief{"expression", at, 5, 57, "undefined field kode at column 6 of the expression", "code, message, phase, retryable", `did you mean "code"?`},
		},
		"no condition": {
			steps(`{id: a, uses: core.noop, retry: {max_attempts: 2, if: error.code}}`),
			brief{"expression", at, 5, 57, "the expression gives a value of type string", "boolean", ""},
		},
		"template": {
			steps(`{id: a, uses: core.noop, retry: {max_attempts: 2, if: "${{ error.retryable }}"}}`),
			brief{"expression", at, 5, 57, "retry.if holds an expression as it is", "", "write it without ${{ }}"},
		},
		"one attempt": {
			steps(`{id: a, uses: core.noop, retry: {max_attempts: 1, if: error.retryable}}`),
			brief{"invalid", at, 5, 57, "a condition for another attempt, and max_attempts allows none", "", "raise max_attempts, or leave if out"},
		},
		"steps": {
			steps(`{id: a, uses: core.noop, retry: {max_attempts: 2, if: "steps.a.status == ''"}}`),
			brief{"expression", at, 5, 57, "unknown name steps at column 1 of the expression", "attempt, error, inputs, run", ""},
		},
		"item": {
			steps(`{id: a, uses: core.noop, for_each: {in: targets}, retry: {max_attempts: 2, if: "item == 1"}}`),
			brief{"expression", at, 5, 82, "unknown name item at column 1 of the expression", "asset, attempt, error, inputs, run", "item is there in steps with for_each over a list"},
		},
		"error outside": {
			steps(`{id: a, uses: core.noop, if: "error.code == ''"}`),
			brief{"expression", "/steps/0/if", 5, 32, "unknown name error at column 1 of the expression", "inputs, run, steps", "error is there in retry.if"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([]brief{tt.want}, briefs(faults(t, request(tt.definition)))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// compile makes a plan's program after it was stored and read again.
func compile(t *testing.T, plan *workflow.Plan) *workflow.Program {
	t.Helper()
	raw, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if plan, err = workflow.DecodePlan(raw); err != nil {
		t.Fatal(err)
	}
	p, err := workflow.Compile(plan)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
