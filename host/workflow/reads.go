package workflow

import (
	"slices"

	"opsconductor.dev/host/workflow/expr"
)

// ReadsSteps reports whether an expression of the step reads results of steps.
func (p *Program) ReadsSteps(step int) bool {
	s := &p.steps[step]
	if readsSteps(s.condition) || readsSteps(s.loop) || s.key != nil && s.key.readsSteps() {
		return true
	}
	return slices.ContainsFunc(s.with, segment.readsSteps)
}

func (g segment) readsSteps() bool { return slices.ContainsFunc(g.programs, readsSteps) }

func readsSteps(e *expr.Program) bool {
	return e != nil && slices.ContainsFunc(e.Refs(), func(r expr.Ref) bool { return r.Path[0] == "steps" })
}
