package machine

import (
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow"
)

// acted reports whether the item's latest attempt may have acted on its target and
// must not act a second time.
func (it *item) acted() bool {
	e := it.step.plan.Effect
	return it.intent && e != automation.EffectPure && e != automation.EffectIdempotent
}

// again says whether an attempt that came to an outcome is followed by another: it
// failed, another is left and would do no harm, and retry.if, or without it the error,
// is for it. A condition that can't be evaluated is no leave, and stands in the outcome.
func (it *item) again(o *automation.Outcome) (bool, *automation.Outcome) {
	s, r := it.step, it.step.run
	before := o.Error != nil && o.Error.Phase == automation.PhaseBefore // the intent may be there, and its commit not have been heard of
	tried := it.attempt - it.uncounted
	if o.State != automation.ItemFailed || o.Error == nil || r.stopping != "" || s.halted || it.acted() && !before || tried >= s.plan.Retry.MaxAttempts {
		return false, o
	}
	again, err := r.program.Retry(s.index, r.scope, it.element, workflow.Failure{Attempt: tried, Error: o.Error})
	if err == nil {
		return again, o
	}
	cause := automation.AsError(err)
	out, e := *o, *o.Error
	e.Message += "; not tried again, because retry.if has no answer: " + cause.Message
	if cause.Suggestion != "" {
		e.Suggestion = cause.Suggestion
	}
	out.Error = &e
	return false, &out
}
