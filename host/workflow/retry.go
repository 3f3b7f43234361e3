package workflow

import (
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// Failure is what a step's retry.if can read of the attempt that failed.
type Failure struct {
	// Attempt is its number, from 1.
	Attempt int
	Error   *automation.Error
}

// Retry evaluates a step's retry.if for an item whose attempt has failed; without
// one the error's own retryable is the answer. The error is an *automation.Error
// with code expression or limit.
func (p *Program) Retry(step int, s *Scope, e Element, f Failure) (bool, error) {
	c := p.steps[step].retry
	if c == nil {
		return automation.Retryable(f.Error), nil
	}
	return c.True(&retryVars{vars{p: p, scope: s, step: step, element: e}, f})
}

// retryVars are the values of the names of retry.if.
type retryVars struct {
	vars
	failure Failure
}

// Name returns the value of a name in scope.
func (v *retryVars) Name(name string) (expr.Value, bool) {
	switch name {
	case "attempt":
		return expr.Integer(int64(v.failure.Attempt)), true
	case "error":
		return failureValue(v.failure.Error), true
	}
	return v.vars.Name(name)
}

func failureValue(e *automation.Error) expr.Value {
	return expr.Record([]string{"code", "message", "phase", "retryable"}, func(name string) (expr.Value, bool) {
		switch name {
		case "code":
			return expr.Text(string(e.Code)), true
		case "message":
			return expr.Text(e.Message), true
		case "phase":
			return expr.Text(string(e.Phase)), true
		}
		return expr.Boolean(e.CanRetry), true
	})
}

// retryEnv returns the names of a step's retry.if.
func (n naming) retryEnv(own *stepType) (*expr.Env, error) {
	text := kind(schema.KindString)
	names := map[string]*schema.Type{
		"inputs": n.inputs, "run": runType(), "attempt": kind(schema.KindInteger),
		"error": object(map[string]*schema.Type{"code": text, "message": text, "phase": text, "retryable": kind(schema.KindBoolean)}),
	}
	own.addTo(names)
	return expr.NewEnv(names, expr.Options{Cost: n.cost})
}

// checkRetry checks a step's retry.if.
func (b *builder) checkRetry(s *step) error {
	at := s.at + "/retry/if"
	src := s.plan.Retry.If
	if src == "" || b.faulty(at) || !b.bare(at, "retry.if", src) {
		return nil
	}
	if s.plan.Retry.MaxAttempts == 1 && !b.faulty(s.at+"/retry/max_attempts") {
		b.add(at, &automation.Error{
			Code: automation.CodeInvalid, Message: "a condition for another attempt, and max_attempts allows none", Suggestion: "raise max_attempts, or leave if out",
		})
		return nil
	}
	own := s.typ()
	env, err := b.naming().retryEnv(&own)
	if err != nil {
		return err
	}
	_, errs := env.Compile(src, kind(schema.KindBoolean))
	b.addAll(at, errs)
	return nil
}

// retry compiles a step's retry.if.
func (c *compiler) retry(i int) error {
	src := c.p.plan.Steps[i].Retry.If
	if src == "" {
		return nil
	}
	env, err := c.types.retryEnv(&c.types.steps[i])
	if err != nil {
		return err
	}
	var errs automation.Errors
	if c.p.steps[i].retry, errs = env.Compile(src, kind(schema.KindBoolean)); errs != nil {
		return errs[0]
	}
	return nil
}
