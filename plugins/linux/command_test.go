package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	linux "opsconductor.dev/plugins/linux"
	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

// target returns a harness whose target ends every command in one way, and what
// it was asked.
func target(t *testing.T, r step.SSHExecResult, err error) (*steptest.Harness, *step.SSHExecRequest) {
	t.Helper()
	asked := &step.SSHExecRequest{}
	h := steptest.New(t).Target(step.Target{Name: "web-1", Address: "192.0.2.1", Protocol: "ssh"})
	return h.SSHExec(func(request step.SSHExecRequest) (step.SSHExecResult, error) {
		*asked = request
		return r, err
	}), asked
}

func TestCommand(t *testing.T) {
	t.Parallel()
	h, asked := target(t, step.SSHExecResult{
		Target: "web-1", ExitCode: new(0), Stdout: "out\n", Stderr: "warning\n", StderrTruncated: true, DurationMS: 12, OutputCut: true,
	}, nil)
	got, failed := steptest.Call(h, linux.Command, linux.CommandInput{
		Argv: []string{"echo", "it's $HOME"}, Env: map[string]string{"A": "1"}, Stdin: "in", TimeoutS: 1.5, MaxOutputBytes: 10,
	})
	want := linux.Output{Stdout: "out\n", Stderr: "warning\n", StderrTruncated: true, DurationMS: 12, OutputCut: true}
	if d := cmp.Diff(want, got); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
	wantAsked := step.SSHExecRequest{
		Argv: []string{"echo", "it's $HOME"}, Env: map[string]string{"A": "1"}, Stdin: "in", TimeoutMS: 1500, MaxOutputBytes: 10,
	}
	if d := cmp.Diff(&wantAsked, asked); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
}

func TestScript(t *testing.T) {
	t.Parallel()
	h, asked := target(t, step.SSHExecResult{ExitCode: new(0)}, nil)
	_, failed := steptest.Call(h, linux.Script, linux.ScriptInput{
		Script: "echo $1", Interpreter: []string{"bash", "-s", "--"}, Args: []string{"a b"}, Env: map[string]string{"A": "1"}, TimeoutS: 0.0001,
		Become: &linux.Become{Method: "su", User: "app", Credential: "app-password"}, PTY: true, IdleTimeoutS: 2, Stream: true,
	})
	want := step.SSHExecRequest{
		Script: "echo $1", Interpreter: []string{"bash", "-s", "--"}, Args: []string{"a b"}, Env: map[string]string{"A": "1"}, TimeoutMS: 1,
		Become: &step.SSHExecBecome{Method: "su", User: "app", Credential: "app-password"}, Pty: true, IdleTimeoutMS: 2000, Stream: true,
	}
	if d := cmp.Diff(&want, asked); failed != nil || d != "" {
		t.Errorf("%v, asked for (-want +got):\n%s", failed, d)
	}
}

func TestHowItEndsDecides(t *testing.T) {
	t.Parallel()
	after := func(code step.Code, message string, retryable bool) *step.Error {
		return &step.Error{Code: code, Message: message, Retryable: retryable, Phase: step.After}
	}
	for name, c := range map[string]struct {
		result step.SSHExecResult
		in     linux.CommandInput
		want   *step.Error
		code   int
	}{
		"zero":                 {result: step.SSHExecResult{ExitCode: new(0)}},
		"not zero":             {result: step.SSHExecResult{ExitCode: new(3), Stderr: "first\nthe last line\n\n"}, want: after("exit_code", "it exited with code 3: the last line", true)},
		"nothing on stderr":    {result: step.SSHExecResult{ExitCode: new(1), Stderr: " \n"}, want: after("exit_code", "it exited with code 1 and nothing on stderr", true)},
		"bytes on stderr":      {result: step.SSHExecResult{ExitCode: new(1), StderrBase64: []byte("x\nbad \xff\n")}, want: after("exit_code", "it exited with code 1: bad \uFFFD", true)},
		"listed":               {result: step.SSHExecResult{ExitCode: new(1)}, in: linux.CommandInput{OKExitCodes: []int{0, 1}}, code: 1},
		"zero that isn't ok":   {result: step.SSHExecResult{ExitCode: new(0)}, in: linux.CommandInput{OKExitCodes: []int{1}}, want: after("exit_code", "it exited with code 0 and nothing on stderr", true)},
		"signal":               {result: step.SSHExecResult{Signal: "KILL"}, want: after("signal", "signal KILL ended it and nothing on stderr", true)},
		"neither":              {result: step.SSHExecResult{}, want: after(step.Protocol, "the target did not say how it ended and nothing on stderr", false)},
		"any exit":             {result: step.SSHExecResult{ExitCode: new(9)}, in: linux.CommandInput{AnyExit: true}, code: 9},
		"any exit by a signal": {result: step.SSHExecResult{Signal: "TERM"}, in: linux.CommandInput{AnyExit: true}, code: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := target(t, c.result, nil)
			c.in.Argv = []string{"x"}
			out, got := steptest.Call(h, linux.Command, c.in)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if got == nil && (out.ExitCode != c.code || out.Signal != c.result.Signal) {
				t.Errorf("got %+v, want exit code %d", out, c.code)
			}
		})
	}
}

func TestLongLinesAreCutInMessages(t *testing.T) {
	t.Parallel()
	h, _ := target(t, step.SSHExecResult{ExitCode: new(1), Stderr: "x" + strings.Repeat("é", 1000)}, nil)
	_, failed := steptest.Call(h, linux.Command, linux.CommandInput{Argv: []string{"x"}})
	if failed == nil || len(failed.Message) > 400 || !utf8.ValidString(failed.Message) || !strings.HasSuffix(failed.Message, "é…") {
		t.Errorf("got %v", failed)
	}
}

func TestErrorsOfTheHostArePassedOn(t *testing.T) {
	t.Parallel()
	want := &step.Error{Code: step.HostKeyMismatch, Message: "another key", Phase: step.Before}
	for name, call := range map[string]func(*steptest.Harness) *step.Error{
		"command": func(h *steptest.Harness) *step.Error {
			_, failed := steptest.Call(h, linux.Command, linux.CommandInput{Argv: []string{"x"}})
			return failed
		},
		"script": func(h *steptest.Harness) *step.Error {
			_, failed := steptest.Call(h, linux.Script, linux.ScriptInput{Script: "x"})
			return failed
		},
		"facts": func(h *steptest.Harness) *step.Error {
			_, failed := steptest.Call(h, linux.Facts, linux.FactsInput{})
			return failed
		},
	} {
		h, _ := target(t, step.SSHExecResult{}, want)
		if d := cmp.Diff(want, call(h)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestRequestsLeaveOutWhatIsNotSet keeps the host's own defaults in force.
func TestRequestsLeaveOutWhatIsNotSet(t *testing.T) {
	t.Parallel()
	h, _ := target(t, step.SSHExecResult{ExitCode: new(0)}, nil)
	if _, failed := steptest.CallRaw(h, step.Typed(linux.Script), `{"script":"x"}`); failed != nil {
		t.Fatal(failed)
	}
	var got map[string]any
	if err := json.Unmarshal(h.Calls()[0].Request, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"script": "x"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
