package scheduler

import (
	"context"
	"encoding/json"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/workflow"
)

// linked is a program with those of its sub-workflows, by step.
type linked struct {
	*workflow.Program
	children map[int]linkedChild
}

// linkedChild is a sub-workflow's program, or why there is none.
type linkedChild struct {
	program machine.Program
	err     error
}

var _ machine.Nesting = (*linked)(nil)

// templated is a program that checks what its runs begin with: workflow.Program.
type templated interface {
	Inputs(given json.RawMessage) (json.RawMessage, error)
}

// Child returns the program of a step's sub-workflow, and its inputs.
func (l *linked) Child(step int, input json.RawMessage) (machine.Program, json.RawMessage, error) {
	c := l.children[step]
	if c.err != nil {
		return nil, nil, c.err
	}
	t, ok := c.program.(templated)
	if !ok {
		return nil, nil, automation.Errorf(automation.CodeInternal, "the step has no sub-workflow")
	}
	inputs, err := t.Inputs(input)
	return c.program, inputs, err //nolint:wrapcheck // it names the input
}

// link joins a program with those of its sub-workflows. One that can't be used
// fails the items that need it; one that can't be read now is an error.
func (p *programs) link(ctx context.Context, tenant automation.TenantID, prog *workflow.Program) (machine.Program, error) {
	plan := prog.Plan()
	var children map[int]linkedChild
	for i := range plan.Steps {
		s := &plan.Steps[i]
		if !s.SubWorkflow() {
			continue
		}
		child, err := p.get(ctx, tenant, s.Digest)
		if err != nil && passing(ctx, err) {
			return nil, err
		}
		if err != nil {
			err = automation.Errorf(automation.CodeInternal, "the stored plan of workflow %s@%s can't be used any more: %w", s.Action, s.Version, err)
		}
		if children == nil {
			children = map[int]linkedChild{}
		}
		children[i] = linkedChild{child, err}
	}
	if children == nil {
		return prog, nil
	}
	return &linked{prog, children}, nil
}
