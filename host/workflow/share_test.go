package workflow_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

func TestSharing(t *testing.T) {
	t.Parallel()
	type sharing struct {
		Queue    string
		Priority int
		Key      string
		Dynamic  bool
	}
	tests := map[string]sharing{
		`{id: a, uses: core.noop}`:                                                                          {Priority: 3},
		`{id: a, uses: core.noop, queue: dmz-1}`:                                                            {Queue: "dmz-1", Priority: 3},
		`{id: a, uses: core.noop, priority: -10}`:                                                           {Priority: -10},
		`{id: a, uses: core.noop, priority: 0}`:                                                             {},
		`{id: a, uses: core.noop, concurrency_key: deploy}`:                                                 {Priority: 3, Key: "deploy"},
		`{id: a, uses: core.noop, concurrency_key: "deploy-${{ inputs.cluster }}"}`:                         {Priority: 3, Key: "deploy-${{ c1 }}"},
		`{id: a, uses: core.noop, concurrency_key: "$${{ deploy }}"}`:                                       {Priority: 3, Key: "${{ deploy }}"},
		`{id: a, uses: core.noop, for_each: {in: targets}, concurrency_key: "rack-${{ asset.vars.rack }}"}`: {Priority: 3, Key: "rack-${{ asset.vars.rack }}", Dynamic: true},
		`{id: a, uses: core.wait, with: {duration: 1s}}`:                                                    {},
	}
	for line, want := range tests {
		p := build(t, "schema: opsconductor/v1\nname: t\npriority: 3\ninputs: {cluster: {type: string, default: '${{ c1 }}'}}\ntargets: {select: 'true'}\nsteps: ["+line+"]").Steps[0]
		if diff := cmp.Diff(want, sharing{p.Queue, p.Priority, p.ConcurrencyKey, p.KeyDynamic}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

// TestConcurrencyKey: the key of each item, and what becomes of one that can't be
// evaluated or is too long.
func TestConcurrencyKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key, want, fault string
		code             automation.Code
	}{
		{key: "rack-${{ asset.vars.rack }}", want: "rack-r1"},
		{key: "${{ asset.name }}/${{ asset.vars.units }}", want: "host-00000/2"},
		{key: "${{ asset.vars.none }}", code: automation.CodeExpression, fault: "step a, concurrency_key: a field or key that is not there"},
		{key: "${{ asset.name + '" + strings.Repeat("x", 200) + "' }}", code: automation.CodeLimit, fault: "step a, concurrency_key: a concurrency key of more than 200 bytes"},
	} {
		plan := build(t, steps(`{id: a, uses: core.noop, for_each: {in: targets}, concurrency_key: "`+tt.key+`"}`))
		p, err := workflow.Compile(plan)
		if err != nil {
			t.Fatal(err)
		}
		s := workflow.NewScope(workflow.RunInfo{}, 1)
		elements, err := p.Elements(0, s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.ConcurrencyKey(0, s, elements[0])
		if got != tt.want || automation.CodeOf(err) != tt.code || err != nil && automation.AsError(err).Message != tt.fault {
			t.Errorf("%s: got %q, %v; want %q, %s %q", tt.key, got, err, tt.want, tt.code, tt.fault)
		}
	}
}

func TestSharingFaults(t *testing.T) {
	t.Parallel()
	const at, form = "/steps/0", "a task queue: up to 63 lower-case letters, digits, - and _, a letter first"
	const idle = "the scheduler carries the step out itself: it needs no worker, and waits for no limit"
	tests := map[string]struct {
		definition string
		want       []brief
	}{
		"queue's form": {
			steps(`{id: a, uses: core.noop, queue: DMZ}`),
			[]brief{{"invalid", at + "/queue", 5, 35, "not of the form that the schema asks for", form, ""}},
		},
		"priority too high": {
			steps(`{id: a, uses: core.noop, priority: 11}`),
			[]brief{{"invalid", at + "/priority", 5, 38, "too large a number", "at most 10", ""}},
		},
		"priority of the workflow": {
			"schema: opsconductor/v1\nname: t\npriority: -11\nsteps: [{id: a, uses: core.noop}]",
			[]brief{{"invalid", "/priority", 3, 11, "too small a number", "at least -10", ""}},
		},
		"half a priority": {
			steps(`{id: a, uses: core.noop, priority: 0.5}`),
			[]brief{{"wrong_type", at + "/priority", 5, 38, "a value of type number", "integer", ""}},
		},
		"an expression for a queue": {
			steps(`{id: a, uses: core.noop, queue: "${{ inputs.q }}"}`),
			[]brief{{"invalid", at + "/queue", 5, 35, "not of the form that the schema asks for", form, ""}},
		},
		"no key": {
			steps(`{id: a, uses: core.noop, concurrency_key: ""}`),
			[]brief{{"invalid", at + "/concurrency_key", 5, 45, "shorter than 1 characters", "a text of up to 200 bytes, like db-${{ asset.vars.cluster }}", ""}},
		},
		"key too long": {
			steps(`{id: a, uses: core.noop, concurrency_key: ` + strings.Repeat("é", 101) + `}`),
			[]brief{{"limit", at + "/concurrency_key", 5, 45, "a concurrency key of more than 200 bytes", "at most 200", "use a shorter one"}},
		},
		"key's expression": {
			steps(`{id: a, uses: core.noop, concurrency_key: "${{ asset.name }}"}`),
			[]brief{{"expression", at + "/concurrency_key", 5, 45, "unknown name asset at column 1 of the expression", "inputs, run, steps", "asset is there in targets.select, and in steps with for_each: {in: targets}"}},
		},
		"key that does not end": {
			steps(`{id: a, uses: core.noop, concurrency_key: "${{ inputs.q"}`),
			[]brief{{"expression", at + "/concurrency_key", 5, 45, "an expression that does not end", "${{ expression }}", "end it with }}, or write $${{ for the characters ${{"}},
		},
		"a wait has none": {
			steps(`{id: a, uses: core.wait, with: {duration: 1s}, queue: q, priority: 1, concurrency_key: k}`),
			[]brief{
				{"invalid", at + "/queue", 5, 57, idle, "", "leave queue out"},
				{"invalid", at + "/priority", 5, 70, idle, "", "leave priority out"},
				{"invalid", at + "/concurrency_key", 5, 90, idle, "", "leave concurrency_key out"},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, briefs(faults(t, request(tt.definition)))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}
