package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"opsconductor.dev/host/automation"
)

// Problem is the body of every answer with a status of 400 or more: RFC 9457
// problem details with the members that a program needs to act on the error.
type Problem struct {
	Type       string          `json:"type" doc:"A URN made from the code: urn:opsconductor:error:CODE."`
	Title      string          `json:"title" doc:"The name of the HTTP status."`
	Status     int             `json:"status" doc:"The HTTP status."`
	Detail     string          `json:"detail" doc:"What is wrong, for people."`
	Code       automation.Code `json:"code" doc:"What kind of error it is. Codes never change their meaning."`
	Errors     []Fault         `json:"errors,omitempty" doc:"Every fault that was found, in document order."`
	Suggestion string          `json:"suggestion,omitempty" doc:"What to do."`
	Retryable  bool            `json:"retryable" doc:"Whether the same request may succeed later."`
	RequestID  string          `json:"request_id" doc:"The request's identifier, as in X-Request-ID and in the host's log."`

	header http.Header // further headers of the answer
}

// Fault is one fault of a request.
type Fault struct {
	Code       automation.Code  `json:"code" doc:"What kind of fault it is."`
	Message    string           `json:"message" doc:"What is wrong, for people."`
	Pointer    string           `json:"pointer,omitempty" doc:"JSON Pointer (RFC 6901) to the place: into the definition for faults of a definition, else into the request's body."`
	Line       int              `json:"line,omitempty" doc:"Line, from 1, in the text that pointer is about."`
	Column     int              `json:"column,omitempty" doc:"Column, from 1, in characters."`
	Allowed    string           `json:"allowed,omitempty" doc:"What would be right."`
	Suggestion string           `json:"suggestion,omitempty" doc:"What to do."`
	Phase      automation.Phase `json:"phase,omitempty" doc:"Whether a remote side could have acted: before or after."`
	Retryable  bool             `json:"retryable,omitempty" doc:"Whether another try may succeed and is safe."`
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status; huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the further headers of the answer; huma asks for them.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType returns the media type of problems; huma asks for it.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// statusOf maps a code to its HTTP status. It is the only place that does; a test
// holds it complete.
func statusOf(code automation.Code) (status int, known bool) {
	switch code {
	case automation.CodeSyntax, automation.CodeBadRequest:
		return http.StatusBadRequest, true
	case automation.CodeUnauthenticated:
		return http.StatusUnauthorized, true
	case automation.CodeForbidden, automation.CodePolicy, automation.CodeDenied:
		return http.StatusForbidden, true
	case automation.CodeNotFound:
		return http.StatusNotFound, true
	case automation.CodeConflict, automation.CodeCancelled, automation.CodeStepFailed, automation.CodeAssertion,
		automation.CodeRejected, automation.CodeExpired:
		return http.StatusConflict, true
	case automation.CodeInvalid, automation.CodeUnknownField, automation.CodeUnknownName, automation.CodeMissing,
		automation.CodeWrongType, automation.CodeCycle, automation.CodeExpression, automation.CodeLimit,
		automation.CodeBadPlugin, automation.CodeMemoryLimit, automation.CodeInputLimit, automation.CodeHostCallLimit, automation.CodeRemoteLimit,
		automation.CodeFuelLimit, automation.CodeDepthLimit:
		return http.StatusUnprocessableEntity, true
	case automation.CodeThrottled, automation.CodeQuota:
		return http.StatusTooManyRequests, true
	case automation.CodeInternal:
		return http.StatusInternalServerError, true
	case automation.CodePluginFailed, automation.CodePluginCrashed, automation.CodeSandboxCrashed, automation.CodeBadOutput, automation.CodeUnknownOutcome,
		automation.CodeHostLost, automation.CodeCutOff, automation.CodeReturned, automation.CodeUnreachable, automation.CodeAuthFailed, automation.CodeHostKeyMismatch,
		automation.CodeHostKeyUnknown, automation.CodeAlgorithmMismatch, automation.CodeBecomeFailed, automation.CodeProtocol,
		automation.CodeOutputLimit, automation.CodeLost:
		return http.StatusBadGateway, true
	case automation.CodeUnavailable:
		return http.StatusServiceUnavailable, true
	case automation.CodeTimeout:
		return http.StatusGatewayTimeout, true
	}
	return http.StatusInternalServerError, false
}

// problemOf turns an error of service/ into a problem. What is not an
// *automation.Error is internal: logged whole, served as a fixed message.
func problemOf(ctx context.Context, log *slog.Logger, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p.in(ctx)
	}
	var many automation.Errors
	if errors.As(err, &many) && len(many) > 0 {
		return problemOfMany(ctx, log, many)
	}
	return problemOfMany(ctx, log, automation.Errors{automation.AsError(err)})
}

func problemOfMany(ctx context.Context, log *slog.Logger, faults automation.Errors) *Problem {
	first := faults[0]
	status, known := statusOf(first.Code)
	if status == http.StatusInternalServerError {
		log.ErrorContext(ctx, "internal error", slog.String("request_id", requestID(ctx)), slog.String("code", string(first.Code)),
			slog.Any("cause", first.Err), slog.String("message", first.Message))
	}
	if !known || first.Code == automation.CodeInternal {
		return refuse(http.StatusInternalServerError, hidden()).in(ctx)
	}
	p := refuse(status, first)
	if len(faults) == 1 && first.Pointer == "" && first.Line == 0 && first.Allowed == "" {
		return p.in(ctx)
	}
	p.Errors = make([]Fault, len(faults))
	for i, f := range faults {
		p.Errors[i] = faultOf(f)
		p.Retryable = p.Retryable && f.CanRetry
	}
	if len(faults) > 1 {
		p.Detail, p.Suggestion = fmt.Sprintf("%d faults; errors lists them", len(faults)), ""
	}
	return p.in(ctx)
}

// hidden is what a caller sees of an internal error.
func hidden() *automation.Error {
	return &automation.Error{
		Code: automation.CodeInternal, Message: "a fault of the host itself",
		Suggestion: "look for request_id in the host's log",
	}
}

// refuse makes a problem with a status of its own, for what only HTTP knows (a
// method, a media type, a precondition).
func refuse(status int, e *automation.Error) *Problem {
	return &Problem{
		Type: "urn:opsconductor:error:" + string(e.Code), Title: http.StatusText(status), Status: status,
		Detail: e.Message, Code: e.Code, Suggestion: e.Suggestion,
		Retryable: e.CanRetry || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests,
		header:    http.Header{},
	}
}

// in sets the request's identifier, and the headers that the status asks for.
func (p *Problem) in(ctx context.Context) *Problem {
	p.RequestID = requestID(ctx)
	if p.header == nil {
		p.header = http.Header{}
	}
	switch p.Status {
	case http.StatusUnauthorized:
		p.header.Set("WWW-Authenticate", `Bearer realm="opsconductor"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		p.header.Set("Retry-After", "1")
	}
	return p
}

func faultOf(e *automation.Error) Fault {
	if e.Code == automation.CodeInternal {
		e = hidden()
	}
	return Fault{
		Code: e.Code, Message: e.Message, Pointer: e.Pointer, Line: e.Line, Column: e.Column,
		Allowed: e.Allowed, Suggestion: e.Suggestion, Phase: e.Phase, Retryable: e.CanRetry,
	}
}

// fromHuma turns the one kind of error that huma writes by itself, a parameter
// that does not fit its schema, into a problem. huma would serve the value; a
// value may be a secret, so only the place and the rule are kept.
func fromHuma(ctx context.Context, log *slog.Logger, m *huma.ErrorModel) *Problem {
	if m.Status >= http.StatusInternalServerError {
		log.ErrorContext(ctx, "internal error", slog.String("request_id", requestID(ctx)), slog.String("message", m.Detail))
		return refuse(m.Status, hidden()).in(ctx)
	}
	p := refuse(http.StatusUnprocessableEntity, &automation.Error{Code: automation.CodeInvalid, Message: "a parameter does not fit"})
	for _, d := range m.Errors {
		if d == nil {
			continue
		}
		p.Errors = append(p.Errors, Fault{Code: automation.CodeInvalid, Message: clip(d.Location) + ": " + d.Message})
	}
	if len(p.Errors) > 0 {
		p.Detail = p.Errors[0].Message
	}
	return p.in(ctx)
}

// clip bounds a name that came from the request.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
