package plugins_test

import (
	"fmt"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/sdk/go/step"
)

// TestGuest runs testdata/guest: what the Go SDK promises, in the real sandbox.
func TestGuest(t *testing.T) {
	t.Parallel()
	f := &fakes{tcp: func(step.ProbeTCPRequest) (step.ProbeTCPResult, error) {
		return step.ProbeTCPResult{}, hostfuncs.Errorf(hostfuncs.Throttled, hostfuncs.Before, "too many")
	}}
	r := newRig(t, f, build(t, "-plugins", "testdata", "guest"))
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		wantOutput(t, r.call(t, "guest.seen", `{}`, 4),
			`{"run":"run-1","workflow":"test","step":"s","item":0,"attempt":4,"target":"web-1","port":0,"tags":["demo"],"role":"db"}`)
	})
	for how, want := range map[string]automation.Error{
		"panic":    {Code: "plugin_failed", Message: "the action panicked: ouch"},
		"nil":      {Code: "plugin_failed", Message: "the action panicked: runtime error: invalid memory address or nil pointer dereference"},
		"index":    {Code: "plugin_failed", Message: "the action panicked: runtime error: index out of range [5] with length 0"},
		"plain":    {Code: "plugin_failed", Message: "plain words"},
		"wrapped":  {Code: "no_luck", Message: "number 7", CanRetry: true},
		"host":     {Code: "throttled", Message: "too many", Phase: automation.PhaseBefore, CanRetry: true},
		"reserved": {Code: "plugin_failed", Message: "not for a plugin to say"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			wantError(t, r.call(t, "guest.end", fmt.Sprintf(`{"how":%q}`, how), 1), want)
		})
	}
	for n := range 18 {
		o := r.call(t, "guest.echo", fmt.Sprintf(`{"bytes":%d}`, n), 1)
		wantOutput(t, o, fmt.Sprintf(`{"bytes":%d,"text":%q}`, n, strings.Repeat("x", n)))
		if len(o.Logs) != 1 || o.Logs[0].Message != fmt.Sprintf("echo of %d", n) {
			t.Errorf("got log %+v", o.Logs)
		}
	}
}

// BenchmarkNoop is one attempt with core.noop: a fresh instance, the call, the
// checks of its input and output.
func BenchmarkNoop(b *testing.B) {
	r := newRig(b, &fakes{}, build(b, "-plugins", ".", "core"))
	r.call(b, "core.noop", `{}`, 1) // compiles it
	for b.Loop() {
		if o := r.call(b, "core.noop", `{}`, 1); o.State != automation.ItemSucceeded {
			b.Fatal(o.Error)
		}
	}
}

// BenchmarkCommand is one attempt with linux.command and its host call.
func BenchmarkCommand(b *testing.B) {
	f := &fakes{ssh: func(step.SSHExecRequest) (step.SSHExecResult, error) {
		return step.SSHExecResult{ExitCode: new(0), Stdout: "ok\n"}, nil
	}}
	r := newRig(b, f, build(b, "-plugins", ".", "linux"))
	r.call(b, "linux.command", `{"argv":["true"]}`, 1) // compiles it
	for b.Loop() {
		if o := r.call(b, "linux.command", `{"argv":["true"]}`, 1); o.State != automation.ItemSucceeded {
			b.Fatal(o.Error)
		}
	}
}
