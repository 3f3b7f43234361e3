package client

import (
	"encoding/json"
	"fmt"
	"net/http"

	"opsconductor.dev/host/automation"
)

// StatusError is an answer of 300 or more. Err is the *Error or the Errors that
// the server sent; errors.As and CodeOf find them through it.
type StatusError struct {
	Status    int
	RequestID string // names the request in the server's log
	Err       error
}

// Error returns the server's message.
func (e *StatusError) Error() string { return e.Err.Error() }

// Unwrap returns what the server sent.
func (e *StatusError) Unwrap() error { return e.Err }

// problem is the body of an answer of 400 or more (RFC 9457).
type problem struct {
	Detail     string              `json:"detail"`
	Code       automation.Code     `json:"code"`
	Errors     []*automation.Error `json:"errors"`
	Suggestion string              `json:"suggestion"`
	Retryable  bool                `json:"retryable"`
	RequestID  string              `json:"request_id"`
}

// statusError rebuilds the server's errors from a problem. What is no problem (a
// proxy's page, say) gets the code that its status stands for.
func statusError(res *http.Response, body []byte) error {
	var p problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		p = problem{Code: codeOf(res.StatusCode), Detail: fmt.Sprintf("the server answered %s", http.StatusText(res.StatusCode))}
		p.Suggestion = "check that the URL is that of an OpsConductor server, and look at what stands between"
	}
	if p.RequestID == "" {
		p.RequestID = res.Header.Get("X-Request-ID")
	}
	out := &StatusError{Status: res.StatusCode, RequestID: p.RequestID}
	switch len(p.Errors) {
	case 0:
		out.Err = &automation.Error{Code: p.Code, Message: p.Detail, Suggestion: p.Suggestion, CanRetry: p.Retryable}
	case 1:
		out.Err = p.Errors[0]
	default:
		out.Err = automation.Errors(p.Errors)
	}
	return out
}

func codeOf(status int) automation.Code {
	switch {
	case status == http.StatusUnauthorized:
		return automation.CodeUnauthenticated
	case status == http.StatusForbidden:
		return automation.CodeForbidden
	case status == http.StatusNotFound:
		return automation.CodeNotFound
	case status == http.StatusTooManyRequests:
		return automation.CodeThrottled
	case status == http.StatusGatewayTimeout:
		return automation.CodeTimeout
	case status >= http.StatusInternalServerError:
		return automation.CodeUnavailable
	}
	return automation.CodeProtocol
}

// CodeOf returns the code of the first Error in err's tree; "internal" for any
// other error, "" for nil.
func CodeOf(err error) Code { return automation.CodeOf(err) }
