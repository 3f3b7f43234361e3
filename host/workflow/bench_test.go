package workflow_test

import (
	"encoding/json"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

func BenchmarkBuild(b *testing.B) {
	b.Run("one step", func(b *testing.B) { benchBuild(b, steps(`{id: a, uses: core.noop}`), 1) })
	b.Run("full", func(b *testing.B) { benchBuild(b, full, 6) })
	b.Run("100 steps", func(b *testing.B) { benchBuild(b, side(100), 6) })
	b.Run("10000 assets", func(b *testing.B) { benchBuild(b, steps(twoCalls), 10_000) })
}

func benchBuild(b *testing.B, definition string, n int) {
	b.Helper()
	r := request(definition)
	r.Assets = assets(n)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := workflow.Build(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.Run("constant", func(b *testing.B) { benchCompile(b, build(b, steps(`{id: a, uses: core.noop}`))) })
	b.Run("expressions", func(b *testing.B) { benchCompile(b, build(b, filled)) })
}

func benchCompile(b *testing.B, plan *workflow.Plan) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := workflow.Compile(plan); err != nil {
			b.Fatal(err)
		}
	}
}

const filled = `
schema: opsconductor/v1
name: t
inputs: {limit: {type: integer, default: 90}}
targets: {select: "asset.os == 'linux'"}
steps:
- {id: check, uses: linux.disk, for_each: {in: targets}, with: {path: /}}
- {id: clean, uses: linux.command, needs: [check], for_each: {in: targets}, if: "steps.check.items.exists(i, i.outputs.used_pct > inputs.limit)",
   with: {argv: [echo, "${{ asset.name }} at ${{ asset.address }}", "${{ steps.check.status }}"], env: {A: b}}}
`

func BenchmarkInput(b *testing.B) {
	plan := build(b, filled)
	p, err := workflow.Compile(plan)
	if err != nil {
		b.Fatal(err)
	}
	s := workflow.NewScope(workflow.RunInfo{}, 2)
	items := make([]workflow.ItemResult, 10_000)
	for i := range items {
		items[i] = workflow.ItemResult{Status: automation.ItemSucceeded, Attempts: 1, Outputs: json.RawMessage(`{"used_pct": 12.5, "mount": "/"}`)}
	}
	s.SetStep(0, workflow.StepResult{Status: automation.ItemSucceeded, Items: items})
	e := workflow.Element{Target: &plan.Targets[0]}
	b.Run("constant", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Input(0, s, e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("filled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Input(1, s, e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("condition over 10000 items", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if ok, err := p.Condition(1, s); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}
