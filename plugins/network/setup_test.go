package main_test

import (
	"strings"
	"testing"

	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

// device is a fake command line, behind fake host functions.
type device struct {
	h      *steptest.Harness
	opened []step.SSHOpenRequest
	sent   []step.SSHSendRequest
	closed int
}

// says makes a device that answers lines; the others are answered with nothing. Where
// an answer has no mode, it is that in which lines are taken.
func says(t *testing.T, answers map[string]step.SSHSendResult) *device {
	t.Helper()
	d := &device{}
	d.h = steptest.New(t).SSHOpen(func(r step.SSHOpenRequest) (step.SSHOpenResult, error) {
		d.opened = append(d.opened, r)
		return step.SSHOpenResult{Session: "1"}, nil
	}).SSHSend(func(r step.SSHSendRequest) (step.SSHSendResult, error) {
		d.sent = append(d.sent, r)
		answer := answers[r.Text]
		if answer.Closed { // the tests' word for a session that is lost
			return step.SSHSendResult{}, &step.Error{Code: step.Lost, Message: "it is gone", Phase: step.After}
		}
		if answer.Mode == "" {
			answer.Mode = "config"
		}
		return answer, nil
	}).SSHClose(func(step.SSHCloseRequest) (step.SSHCloseResult, error) {
		d.closed++
		return step.SSHCloseResult{Closed: true}, nil
	})
	return d
}

// typed returns the lines that the device was sent.
func (d *device) typed() []string {
	var out []string
	for _, r := range d.sent {
		out = append(out, r.Text)
	}
	return out
}

// wantFailure checks an error's code and phase, and that its message has some words.
func wantFailure(t *testing.T, what string, got *step.Error, code step.Code, phase step.Phase, words ...string) {
	t.Helper()
	if got == nil || got.Code != code || got.Phase != phase {
		t.Errorf("%s: got %+v, want %s of phase %s", what, got, code, phase)
		return
	}
	for _, w := range words {
		if !strings.Contains(got.Message, w) {
			t.Errorf("%s: %q does not say %q", what, got.Message, w)
		}
	}
}
