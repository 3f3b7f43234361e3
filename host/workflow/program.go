package workflow

import (
	"encoding/json"

	"opsconductor.dev/host/automation"
)

// Program is a plan made ready for evaluation. It is immutable and safe for
// concurrent use.
type Program struct {
	plan *Plan
}

// Compile makes a plan's expressions ready for evaluation.
func Compile(p *Plan) (*Program, error) { return &Program{plan: p}, nil }

// Plan returns the plan itself, not a copy.
func (p *Program) Plan() *Plan { return p.plan }

// Condition evaluates a step's `if`.
func (p *Program) Condition(step int, _ *Scope) (bool, error) {
	if p.plan.Steps[step].If != "" {
		return false, notYet(p.plan.Steps[step].ID)
	}
	return true, nil
}

// Elements returns a step's fan-out: one empty element without for_each.
func (p *Program) Elements(step int, _ *Scope) ([]Element, error) {
	f := p.plan.Steps[step].ForEach
	switch {
	case f == nil:
		return []Element{{}}, nil
	case f.Targets:
		out := make([]Element, len(p.plan.Targets))
		for i := range out {
			out[i] = Element{Index: i, Target: &p.plan.Targets[i]}
		}
		return out, nil
	case f.Expression != "":
		return nil, notYet(p.plan.Steps[step].ID)
	}
	out := make([]Element, len(f.List))
	for i := range out {
		out[i] = Element{Index: i, Value: f.List[i]}
	}
	return out, nil
}

// Input returns the `with` of an item, filled in; the plan's own bytes when it is
// constant.
func (p *Program) Input(step int, _ *Scope, _ Element) (json.RawMessage, error) {
	if !p.plan.Steps[step].Constant {
		return nil, notYet(p.plan.Steps[step].ID)
	}
	return p.plan.Steps[step].With, nil
}

func notYet(step string) error {
	return automation.Errorf(automation.CodeExpression, "step %s: this build does not evaluate expressions", step)
}

// Scope is what the expressions of one run can read: the run, and the steps that
// have ended. It is not safe for concurrent use.
type Scope struct {
	run   RunInfo
	steps []*StepResult
}

// NewScope returns the scope of a run whose plan has that many steps.
func NewScope(run RunInfo, steps int) *Scope {
	return &Scope{run: run, steps: make([]*StepResult, steps)}
}

// SetStep adds the result of a step that has ended, once per step.
func (s *Scope) SetStep(i int, r StepResult) { s.steps[i] = &r }
