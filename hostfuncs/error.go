package hostfuncs

import (
	"errors"
	"fmt"
)

// Code says what kind of error a host function answers with.
type Code string

// The taxonomy of errors (DESIGN.md section 8).
const (
	Denied            Code = "denied"
	BadRequest        Code = "bad_request"
	Unreachable       Code = "unreachable"
	Timeout           Code = "timeout"
	AuthFailed        Code = "auth_failed"
	HostKeyMismatch   Code = "host_key_mismatch"
	HostKeyUnknown    Code = "host_key_unknown"
	AlgorithmMismatch Code = "algorithm_mismatch"
	Throttled         Code = "throttled"
	BecomeFailed      Code = "become_failed"
	Quota             Code = "quota"
	Protocol          Code = "protocol"
	OutputLimit       Code = "output_limit"
	Cancelled         Code = "cancelled"
	Lost              Code = "lost"
)

// Codes lists the taxonomy.
func Codes() []Code {
	return []Code{
		Denied, BadRequest, Unreachable, Timeout, AuthFailed, HostKeyMismatch, HostKeyUnknown, AlgorithmMismatch,
		Throttled, BecomeFailed, Quota, Protocol, OutputLimit, Cancelled, Lost,
	}
}

// Phase says whether the remote side could have acted.
type Phase string

// The phases.
const (
	Before Phase = "before" // nothing was asked of the remote side
	After  Phase = "after"  // the remote side may have acted
)

// Error is what a host function answers when it could not do its work. Message
// is for people: cause, place and what to do; never a secret.
type Error struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
	Phase     Phase  `json:"phase"`
	// Stopped: what the remote side had begun was made to stop, and it is confirmed
	// that nothing of it goes on. An error of phase after without it leaves that open.
	Stopped bool `json:"stopped,omitempty"`
	// Journaled: the target keeps a journal of what was begun (a guarded command), so
	// another attempt of the same item does not run it twice, and may find out how it ended.
	Journaled bool  `json:"journaled,omitempty"`
	Err       error `json:"-"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error whose retryable follows from code and phase: an error
// before the remote side could act is worth another try when it may pass
// (unreachable, timeout, throttled, quota, lost); one after never is.
func Errorf(code Code, phase Phase, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Code: code, Phase: phase, Message: err.Error(), Err: errors.Unwrap(err)}
	switch code {
	case Unreachable, Timeout, Throttled, Quota, Lost:
		e.Retryable = phase == Before
	case Denied, BadRequest, AuthFailed, HostKeyMismatch, HostKeyUnknown, AlgorithmMismatch, BecomeFailed, Protocol, OutputLimit, Cancelled:
	}
	return e
}
