package workflow_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/workflow"
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	p := build(t, `
schema: opsconductor/v1
name: rollout
targets: {select: "asset.os == 'linux'"}
limits: {stop_if_failed: 2.5%}
steps:
- id: undo
  uses: core.noop
- id: report
  uses: core.noop
  needs: [deploy, clean]
  needs_policy: always
- id: deploy
  uses: core.noop
  for_each: {in: targets, batches: [1, 10%, 100%]}
  on_failure: undo
- id: clean
  uses: core.noop
  on_failure: continue
- id: verify
  uses: core.noop
  needs: [deploy]
  on_failure: stop
`)
	index := map[string]int{}
	for i, s := range p.Steps {
		index[s.ID] = i
	}
	step := func(id string) workflow.PlanStep { return p.Steps[index[id]] }
	if want := (workflow.Amount{Percent: 2.5}); p.StopIfFailed != want {
		t.Errorf("stop_if_failed: got %+v, want %+v", p.StopIfFailed, want)
	}
	if diff := cmp.Diff([]workflow.Amount{{Count: 1}, {Percent: 10}, {Percent: 100}}, step("deploy").ForEach.Batches); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	undo := step("undo")
	if diff := cmp.Diff([]int{index["deploy"]}, undo.Compensates); diff != "" || len(undo.Needs) != 1 || undo.Needs[0] != index["deploy"] {
		t.Errorf("undo needs %v and makes good for %v; want deploy", undo.Needs, undo.Compensates)
	}
	if index["undo"] < index["deploy"] {
		t.Error("undo stands before the step that it makes good for")
	}
	if got := [3]any{step("report").Policy, step("clean").OnFailure, step("verify").OnFailure}; got != [3]any{workflow.NeedsAlways, workflow.FailureContinue, workflow.FailureStop} {
		t.Errorf("policies: got %v", got)
	}
	if got := step("deploy").OnFailure; got != "" {
		t.Errorf("a step with a compensation: got on_failure %q, want none", got)
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		amount  workflow.Amount
		n, want int
	}{
		{workflow.Amount{Count: 3}, 100, 3},
		{workflow.Amount{Percent: 10}, 100, 10},
		{workflow.Amount{Percent: 10}, 101, 11},
		{workflow.Amount{Percent: 1}, 3, 1},
		{workflow.Amount{Percent: 100}, 7, 7},
	} {
		if got := tt.amount.Of(tt.n); got != tt.want {
			t.Errorf("%+v of %d: got %d, want %d", tt.amount, tt.n, got, tt.want)
		}
	}
}

func TestPolicyFaults(t *testing.T) {
	t.Parallel()
	const at = "/steps/0"
	amount := "a number of items from 1, or a share of them like 10%"
	tests := map[string]struct {
		definition string
		want       brief
	}{
		"policy without needs": {
			steps(`{id: a, uses: core.noop, needs_policy: any}`),
			brief{"invalid", at + "/needs_policy", 5, 42, "a policy for needs, and the step has none", "", "add needs, or leave needs_policy out"},
		},
		"unknown policy": {
			steps(`{id: a, uses: core.noop, needs: [b], needs_policy: some}`, `{id: b, uses: core.noop}`),
			brief{"invalid", at + "/needs_policy", 5, 54, "not one of the allowed values", "all, any, always", ""},
		},
		"unknown compensation": {
			steps(`{id: a, uses: core.noop, on_failure: und}`, `{id: undo, uses: core.noop}`),
			brief{"unknown_name", at + "/on_failure", 5, 40, `no step "und" that could make good for this one`, "continue, stop, or a step: undo", `did you mean "undo"?`},
		},
		"near continue": {
			steps(`{id: a, uses: core.noop, on_failure: contine}`),
			brief{"unknown_name", at + "/on_failure", 5, 40, `no step "contine" that could make good for this one`, "continue, stop, or a step: ", `did you mean "continue"?`},
		},
		"own compensation": {
			steps(`{id: a, uses: core.noop, on_failure: a}`),
			brief{"invalid", at + "/on_failure", 5, 40, "a step that makes good for itself", "", "use retry, or name another step"},
		},
		"compensation in a cycle": {
			steps(`{id: a, uses: core.noop, on_failure: b, needs: [b]}`, `{id: b, uses: core.noop}`),
			brief{"cycle", at + "/needs", 5, 50, "steps that need each other: a -> b -> a", "", "take one of them out of needs"},
		},
		"compensation with a policy": {
			steps(`{id: a, uses: core.noop, on_failure: b}`, `{id: b, uses: core.noop, needs: [a], needs_policy: always}`),
			brief{"invalid", "/steps/1/needs_policy", 6, 54, "the step makes good for a: it runs when that has failed, and a policy has no say", "", "leave needs_policy out"},
		},
		"batch of 0%": {
			steps(`{id: a, uses: core.noop, for_each: {in: targets, batches: [1, 0%]}}`),
			brief{"invalid", at + "/for_each/batches/1", 5, 65, "a share of nothing", "more than 0%, at most 100%", "use 1 for a single item"},
		},
		"batch of 101%": {
			steps(`{id: a, uses: core.noop, for_each: {in: targets, batches: [101%]}}`),
			brief{"invalid", at + "/for_each/batches/0", 5, 62, "not of the form that the schema asks for", amount, ""},
		},
		"batch of 0": {
			steps(`{id: a, uses: core.noop, for_each: {in: targets, batches: [0]}}`),
			brief{"invalid", at + "/for_each/batches/0", 5, 62, "too small a number", "at least 1", ""},
		},
		"no batches": {
			steps(`{id: a, uses: core.noop, for_each: {in: targets, batches: []}}`),
			brief{"invalid", at + "/for_each/batches", 5, 61, "fewer than 1 elements", "the sizes of the waves in which items start, like [1, 10%, 100%]", ""},
		},
		"stop at 0%": {
			"schema: opsconductor/v1\nname: t\nlimits: {stop_if_failed: 0.0%}\nsteps: [{id: a, uses: core.noop}]",
			brief{"invalid", "/limits/stop_if_failed", 3, 26, "a share of nothing", "more than 0%, at most 100%", "use 1 for a single item"},
		},
		"stop at a word": {
			"schema: opsconductor/v1\nname: t\nlimits: {stop_if_failed: half}\nsteps: [{id: a, uses: core.noop}]",
			brief{"invalid", "/limits/stop_if_failed", 3, 26, "not of the form that the schema asks for", amount, ""},
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
