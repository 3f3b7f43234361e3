// Command core is the built-in plugin core: actions that need no target and no
// host function. core.assert, core.approval and core.wait have no functions here: the scheduler
// carries them out, so that a waiting item holds no worker.
package main

import (
	"opsconductor.dev/sdk/go/step"
)

func main() {}

// Noop succeeds with its input as its output.
func Noop(_ *step.Context, with step.Raw) (step.Raw, error) {
	out := make(step.Raw, 0, len(with)+len(`{"value":}`))
	return append(append(append(out, `{"value":`...), with...), '}'), nil
}

// FailInput is what core.fail takes.
type FailInput struct {
	Message string `json:"message,omitempty"`
	Code    string `json:"code,omitempty"`
	// Retryable is true when it is not given: nothing was done, so doing it again is safe.
	Retryable *bool `json:"retryable,omitempty"`
	// Times is how many attempts fail; 0: all.
	Times int `json:"times,omitempty"`
}

// FailOutput is what core.fail gives when it succeeds after all.
type FailOutput struct {
	Attempt int `json:"attempt"`
}

// Fail fails as it is told to: every attempt, or the first few.
func Fail(c *step.Context, in FailInput) (FailOutput, error) {
	if in.Times > 0 && c.Attempt > in.Times {
		return FailOutput{Attempt: c.Attempt}, nil
	}
	e := &step.Error{Code: step.Code(in.Code), Message: in.Message, Phase: step.Before}
	e.Retryable = in.Retryable == nil || *in.Retryable
	if e.Code == "" {
		e.Code = "asked_to_fail"
	}
	if e.Message == "" {
		e.Message = "core.fail was asked to fail"
	}
	return FailOutput{}, e
}
