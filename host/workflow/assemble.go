package workflow

import (
	"encoding/json"
	"slices"

	"opsconductor.dev/host/automation"
)

// PlanSchema names the form of plans.
const PlanSchema = "opsconductor/plan/v1"

// assemble makes the plan of a definition without faults.
func (b *builder) assemble() *Plan {
	p := &Plan{
		Schema: PlanSchema, Workflow: b.root.str("name"), Inputs: b.inputs.values.appendJSON(nil),
		Targets: b.targets, Timeout: b.timeout, StopIfFailed: b.stopIfFailed, Steps: make([]PlanStep, len(b.steps)),
	}
	if b.mode.template {
		p.Template, p.Declared, p.Inputs = true, b.declared(), json.RawMessage(`{}`)
		p.ItemTarget = b.mode.itemTarget && b.targets == nil
	}
	p.Outputs, p.Templates = b.outputs, b.nest.templates
	if p.Targets == nil {
		p.Targets = []automation.Target{}
	}
	position := make([]int, len(b.steps))
	for i, n := range b.order {
		position[n] = i
	}
	typed := b.typedSteps()
	for i, n := range b.order {
		s := b.steps[n]
		ps := s.plan
		ps.ID, ps.Name = s.id, s.node.str("name")
		for _, need := range b.graph.needs[n] {
			ps.Needs = append(ps.Needs, position[need])
		}
		slices.Sort(ps.Needs)
		for _, failed := range s.makesGood {
			ps.Compensates = append(ps.Compensates, position[failed])
		}
		slices.Sort(ps.Compensates)
		ps.With, ps.Constant = s.with.appendJSON(nil), len(ps.Dynamic) == 0
		ps.ForEach = s.planForEach()
		if typed[n] {
			ps.Outputs = s.output
		}
		p.Steps[i] = ps
	}
	if slices.Contains(typed, true) || b.dynamic() || len(b.outputs) > 0 {
		p.Expressions = &PlanExpressions{Inputs: b.inputs.typ, Cost: b.Limits.ExpressionCost, Iterations: b.Limits.Iterations, Targets: b.Limits.Targets}
	}
	return p
}

// dynamic reports whether any step has an expression.
func (b *builder) dynamic() bool {
	return slices.ContainsFunc(b.steps, func(s *step) bool { return s.dynamic() || s.plan.Retry.If != "" })
}

func (s *step) dynamic() bool {
	return s.plan.If != "" || s.forEach.expression != "" || len(s.plan.Dynamic) > 0 || s.plan.KeyDynamic
}

// typedSteps says of each step whether an expression may read it.
func (b *builder) typedSteps() []bool {
	out := make([]bool, len(b.steps))
	for _, s := range b.steps {
		if s.dynamic() {
			for i, needed := range s.closure {
				out[i] = out[i] || needed
			}
		}
	}
	for i, s := range b.steps {
		out[i] = out[i] || slices.Contains(b.readByOutputs, s.id)
	}
	return out
}

func (s *step) planForEach() *PlanForEach {
	if !s.forEach.declared {
		return nil
	}
	f := &PlanForEach{
		Targets: s.forEach.targets, Expression: s.forEach.expression, Assets: s.forEach.assets,
		MaxParallel: s.forEach.maxParallel, Batches: s.forEach.batches,
	}
	for _, item := range s.forEach.list {
		f.List = append(f.List, json.RawMessage(item.appendJSON(nil)))
	}
	return f
}
