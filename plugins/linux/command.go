package main

import (
	"slices"
	"strings"
	"unicode/utf8"

	"opsconductor.dev/sdk/go/step"
)

// CommandInput is what linux.command takes.
type CommandInput struct {
	Argv           []string          `json:"argv"`
	Env            map[string]string `json:"env,omitempty"`
	Stdin          string            `json:"stdin,omitempty"`
	TimeoutS       float64           `json:"timeout_s,omitempty"`
	MaxOutputBytes int               `json:"max_output_bytes,omitempty"`
	OKExitCodes    []int             `json:"ok_exit_codes,omitempty"`
	AnyExit        bool              `json:"any_exit,omitempty"`
	Become         *Become           `json:"become,omitempty"`
	PTY            bool              `json:"pty,omitempty"`
	IdleTimeoutS   float64           `json:"idle_timeout_s,omitempty"`
	Stream         bool              `json:"stream,omitempty"`
}

// ScriptInput is what linux.script takes.
type ScriptInput struct {
	Script         string            `json:"script"`
	Interpreter    []string          `json:"interpreter,omitempty"`
	Args           []string          `json:"args,omitempty"`
	Env            map[string]string `json:"env,omitempty"`
	TimeoutS       float64           `json:"timeout_s,omitempty"`
	MaxOutputBytes int               `json:"max_output_bytes,omitempty"`
	OKExitCodes    []int             `json:"ok_exit_codes,omitempty"`
	AnyExit        bool              `json:"any_exit,omitempty"`
	Become         *Become           `json:"become,omitempty"`
	PTY            bool              `json:"pty,omitempty"`
	IdleTimeoutS   float64           `json:"idle_timeout_s,omitempty"`
	Stream         bool              `json:"stream,omitempty"`
}

// Become says as which other user a program runs.
type Become struct {
	Method     string `json:"method,omitempty"`
	User       string `json:"user,omitempty"`
	Credential string `json:"credential,omitempty"`
}

// request returns what the host function takes; nil: nobody.
func (b *Become) request() *step.SSHExecBecome {
	if b == nil {
		return nil
	}
	return &step.SSHExecBecome{Method: b.Method, User: b.User, Credential: b.Credential}
}

// Output is what linux.command and linux.script give.
type Output struct {
	ExitCode        int    `json:"exit_code"`
	Signal          string `json:"signal"`
	Stdout          string `json:"stdout"`
	Stderr          string `json:"stderr"`
	StdoutBase64    []byte `json:"stdout_base64,omitempty"`
	StderrBase64    []byte `json:"stderr_base64,omitempty"`
	StdoutTruncated bool   `json:"stdout_truncated"`
	StderrTruncated bool   `json:"stderr_truncated"`
	DurationMS      int    `json:"duration_ms"`
	OutputCut       bool   `json:"output_cut,omitempty"`
}

// Command runs a program with its arguments; no shell reads them.
func Command(c *step.Context, in CommandInput) (Output, error) {
	r, err := c.SSHExec(step.SSHExecRequest{
		Argv: in.Argv, Env: in.Env, Stdin: in.Stdin, TimeoutMS: step.Milliseconds(in.TimeoutS), MaxOutputBytes: in.MaxOutputBytes,
		Become: in.Become.request(), Pty: in.PTY, IdleTimeoutMS: step.Milliseconds(in.IdleTimeoutS), Stream: in.Stream,
	})
	if err != nil {
		return Output{}, err
	}
	return judge(r, in.OKExitCodes, in.AnyExit)
}

// Script runs a script by an interpreter that reads it from standard input.
func Script(c *step.Context, in ScriptInput) (Output, error) {
	r, err := c.SSHExec(step.SSHExecRequest{
		Script: in.Script, Interpreter: in.Interpreter, Args: in.Args, Env: in.Env,
		TimeoutMS: step.Milliseconds(in.TimeoutS), MaxOutputBytes: in.MaxOutputBytes,
		Become: in.Become.request(), Pty: in.PTY, IdleTimeoutMS: step.Milliseconds(in.IdleTimeoutS), Stream: in.Stream,
	})
	if err != nil {
		return Output{}, err
	}
	return judge(r, in.OKExitCodes, in.AnyExit)
}

// noExit stands in exit_code when a signal ended the program.
const noExit = -1

// judge decides whether the way a program ended is a success. A failure of this
// kind may be retried: the program ran to its end and its outcome is known, so
// another attempt is what the workflow's author asked for with retry, and not
// the repetition of something that may still be at work.
func judge(r step.SSHExecResult, ok []int, anyExit bool) (Output, error) {
	out := Output{
		ExitCode: noExit, Signal: r.Signal, Stdout: r.Stdout, Stderr: r.Stderr,
		StdoutBase64: r.StdoutBase64, StderrBase64: r.StderrBase64,
		StdoutTruncated: r.StdoutTruncated, StderrTruncated: r.StderrTruncated, DurationMS: r.DurationMS, OutputCut: r.OutputCut,
	}
	if r.ExitCode != nil {
		out.ExitCode = *r.ExitCode
	}
	if len(ok) == 0 {
		ok = []int{0}
	}
	if anyExit || r.ExitCode != nil && slices.Contains(ok, out.ExitCode) {
		return out, nil
	}
	failed := step.Failf("exit_code", "it exited with code %d%s", out.ExitCode, tail(r))
	switch {
	case r.Signal != "":
		failed = step.Failf("signal", "signal %s ended it%s", r.Signal, tail(r))
	case r.ExitCode == nil:
		failed = step.Failf(step.Protocol, "the target did not say how it ended%s", tail(r))
	}
	failed.Phase = step.After
	failed.Retryable = failed.Code != step.Protocol
	return Output{}, failed
}

// maxTail bounds what of stderr an error's message holds, in bytes.
const maxTail = 300

// tail returns the last line of stderr that says something, for a message.
func tail(r step.SSHExecResult) string {
	text := r.Stderr
	if len(r.StderrBase64) > 0 {
		text = strings.ToValidUTF8(string(r.StderrBase64), "\uFFFD")
	}
	text = strings.TrimSpace(text)
	line := strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	if line == "" {
		return " and nothing on stderr"
	}
	if len(line) > maxTail {
		cut := maxTail
		for cut > 0 && !utf8.RuneStart(line[cut]) {
			cut--
		}
		line = line[:cut] + "…"
	}
	return ": " + line
}
