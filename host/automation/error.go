package automation

import (
	"errors"
	"fmt"
	"strings"
)

// Code says what kind of error an Error is. Codes are stored and served; they
// never change their meaning.
type Code string

// The codes of requests and definitions.
const (
	CodeInvalid         Code = "invalid"         // a definition or a value breaks a rule
	CodeUnknownField    Code = "unknown_field"   // a field that the schema does not have
	CodeUnknownName     Code = "unknown_name"    // a step, plugin, action, input or asset that does not exist
	CodeMissing         Code = "missing"         // a required field or value is not there
	CodeWrongType       Code = "wrong_type"      // a value of another type than the schema's
	CodeCycle           Code = "cycle"           // steps that need each other
	CodeExpression      Code = "expression"      // an expression that does not parse, type-check or evaluate
	CodeLimit           Code = "limit"           // a complexity limit is passed
	CodeSyntax          Code = "syntax"          // not JSON or YAML
	CodeBadPlugin       Code = "bad_plugin"      // not a plugin that this host can run
	CodeNotFound        Code = "not_found"       // no such object
	CodeConflict        Code = "conflict"        // the object's state or version forbids it
	CodeUnauthenticated Code = "unauthenticated" // no valid token
	CodeForbidden       Code = "forbidden"       // the token's role does not allow it
	CodePolicy          Code = "policy"          // a policy rule denies it
	CodeUnavailable     Code = "unavailable"     // a part of the host is not ready; try again
	CodeInternal        Code = "internal"        // a fault of the host itself
	CodePluginFailed    Code = "plugin_failed"   // the action said that it failed, without a code of its own
	CodePluginCrashed   Code = "plugin_crashed"  // the sandbox ended the action: a trap
	CodeBadOutput       Code = "bad_output"      // the action's output does not fit its schema
	CodeMemoryLimit     Code = "memory_limit"    // the sandbox's memory limit
	CodeInputLimit      Code = "input_limit"     // the sandbox's input limit
	CodeHostCallLimit   Code = "host_call_limit" // the sandbox's limit of host calls
	CodeFuelLimit       Code = "fuel_limit"      // the sandbox's limit of computation
	CodeDepthLimit      Code = "depth_limit"     // the sandbox's limit of nested calls
	CodeRemoteLimit     Code = "remote_limit"    // the sandbox's limit of bytes that host functions moved
	CodeSandboxCrashed  Code = "sandbox_crashed" // the process that the sandbox was in ended
	CodeUnknownOutcome  Code = "unknown_outcome" // what happened on the target cannot be known
	CodeHostLost        Code = "host_lost"       // the host died while it ran the attempt
	CodeCutOff          Code = "cut_off"         // contact was lost with a guarded command; another attempt finds out what became of it
	CodeReturned        Code = "returned"        // the host gave the attempt back before it began
	CodeAssertion       Code = "assertion"       // what core.assert asks for does not hold
	CodeRejected        Code = "rejected"        // an approval was refused
	CodeExpired         Code = "expired"         // nobody decided about an approval in time
	CodeStepFailed      Code = "step_failed"     // a run that ends because steps failed
)

// The codes that host functions answer with (DESIGN.md section 8). hostfuncs
// has the same words; a test there holds the two lists equal.
const (
	CodeDenied            Code = "denied"
	CodeBadRequest        Code = "bad_request"
	CodeUnreachable       Code = "unreachable"
	CodeTimeout           Code = "timeout"
	CodeAuthFailed        Code = "auth_failed"
	CodeHostKeyMismatch   Code = "host_key_mismatch"
	CodeHostKeyUnknown    Code = "host_key_unknown"
	CodeAlgorithmMismatch Code = "algorithm_mismatch"
	CodeThrottled         Code = "throttled"
	CodeBecomeFailed      Code = "become_failed"
	CodeQuota             Code = "quota"
	CodeProtocol          Code = "protocol"
	CodeOutputLimit       Code = "output_limit"
	CodeCancelled         Code = "cancelled"
	CodeLost              Code = "lost"
)

// Phase says whether the remote side could have acted when an error came up.
type Phase string

// The phases.
const (
	PhaseBefore Phase = "before" // nothing was asked of the remote side: safe to try again
	PhaseAfter  Phase = "after"  // the remote side may have acted
)

// Error is the one error type of the host. It is stored with outcomes and
// served as a problem (RFC 9457). Message is for people and never holds a
// secret or an offending value that may be one; Err is the cause, for logs and
// errors.Is, and is neither stored nor served.
type Error struct {
	Code       Code   `json:"code"`
	Message    string `json:"message"`
	Err        error  `json:"-"`
	Pointer    string `json:"pointer,omitempty"`    // JSON Pointer (RFC 6901) into the document at fault
	Line       int    `json:"line,omitempty"`       // 1-based; 0: not known
	Column     int    `json:"column,omitempty"`     // 1-based; 0: not known
	Allowed    string `json:"allowed,omitempty"`    // what would be right
	Suggestion string `json:"suggestion,omitempty"` // what to do
	Phase      Phase  `json:"phase,omitempty"`
	CanRetry   bool   `json:"retryable,omitempty"` // another attempt may succeed and is safe
	// Limit is the limit of the sandbox that was passed, as in docs/sandbox.md; "": none.
	// It is kept in Usage.Limit, and a plugin cannot say it.
	Limit string `json:"-"`
}

// Errorf returns an Error with a code and a formatted message; a %w verb's
// operand becomes its cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns the place, if there is one, and the message.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", e.Line, e.Column)
	}
	if e.Pointer != "" {
		b.WriteString(e.Pointer + ": ")
	}
	b.WriteString(e.Message)
	if e.Allowed != "" {
		b.WriteString(" (allowed: " + e.Allowed + ")")
	}
	if e.Suggestion != "" {
		b.WriteString("; " + e.Suggestion)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an Error of the same code, so that
// errors.Is(err, &Error{Code: CodeNotFound}) asks for a code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == ""
}

// Errors is several errors about one input, all found at once, in document order.
type Errors []*Error

// Error returns the messages, a line each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, err := range e {
		out[i] = err
	}
	return out
}

// OrNil returns e as an error, or nil when it is empty.
func (e Errors) OrNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// CodeOf returns the code of the first Error in err's tree; CodeInternal for any
// other error, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// Retryable reports whether err says that another attempt may succeed and is safe.
func Retryable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.CanRetry
}

// AsError returns err as an *Error: itself if it is one, else an internal error
// whose message hides the cause and whose Err keeps it.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeInternal, Message: "a fault of the host; its log has the cause", Err: err}
}
