package main_test

import (
	"testing"

	core "opsconductor.dev/plugins/core"
	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	steptest.Manifest(t, ".", steptest.Actions{"noop": core.Noop, "fail": core.Fail})
}

func TestNoopGivesItsInputBack(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`: `{"value":{}}`,
		`{"a":[1.50,"x"],"big":12345678901234567890}`: `{"value":{"a":[1.50,"x"],"big":12345678901234567890}}`,
	} {
		got, failed := steptest.CallRaw(steptest.New(t), core.Noop, in)
		if failed != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, failed, want)
		}
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	no := false
	for name, c := range map[string]struct {
		in      core.FailInput
		attempt int
		want    *step.Error
	}{
		"by default":          {core.FailInput{}, 1, &step.Error{Code: "asked_to_fail", Message: "core.fail was asked to fail", Retryable: true, Phase: step.Before}},
		"as told":             {core.FailInput{Code: "no_luck", Message: "m", Retryable: &no}, 9, &step.Error{Code: "no_luck", Message: "m", Phase: step.Before}},
		"the second of two":   {core.FailInput{Times: 2, Message: "m"}, 2, &step.Error{Code: "asked_to_fail", Message: "m", Retryable: true, Phase: step.Before}},
		"the third after two": {core.FailInput{Times: 2, Message: "m"}, 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, got := steptest.Call(steptest.New(t).Attempt(c.attempt), core.Fail, c.in)
			if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if got == nil && out.Attempt != c.attempt {
				t.Errorf("got attempt %d, want %d", out.Attempt, c.attempt)
			}
		})
	}
}
