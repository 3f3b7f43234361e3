package step

import (
	"errors"
	"strconv"

	"opsconductor.dev/sdk/go/internal/wire"
)

// Code says what kind of error an Error is: one of the constants, which host
// functions answer with, or a plugin's own word in snake_case.
type Code string

// PluginFailed is the code of an error that an action returned without a code
// of its own, and of a panic.
const PluginFailed Code = "plugin_failed"

// Error is why an action or a host function could not do its work. An action
// that returns one fails with it as it is, also when other errors wrap it.
// Message is for people: cause, place and what to do; never a secret.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Retryable: another attempt may succeed and does no harm. A step's retry
	// setting only repeats attempts that failed with a retryable error.
	Retryable bool `json:"retryable"`
	// Phase says whether the remote side could have acted; "" where there is none.
	Phase Phase `json:"phase,omitempty"`
}

// Phase says whether the remote side could have acted when an error came up.
type Phase string

// The phases.
const (
	Before Phase = "before" // nothing was asked of the remote side
	After  Phase = "after"  // the remote side may have acted
)

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Retry returns a copy of e that another attempt may follow.
func (e *Error) Retry() *Error {
	again := *e
	again.Retryable = true
	return &again
}

// Failf returns an error that is not retryable (see Error.Retry). The verbs are
// %s, %v, %d and %q, for strings, errors, integers, floats and booleans, and
// %%; anything else is printed as its verb in %!( ).
func Failf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: sprintf(format, args)}
}

// sprintf is the part of fmt that messages need; fmt itself is 0.4 MB of a module.
func sprintf(format string, args []any) string {
	var out []byte
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out = append(out, format[i])
			continue
		}
		i++
		verb := format[i]
		if verb == '%' {
			out = append(out, '%')
			continue
		}
		if len(args) == 0 {
			out = append(out, "%!("+string(verb)+")"...)
			continue
		}
		out = appendArg(out, verb, args[0])
		args = args[1:]
	}
	return string(out)
}

func appendArg(out []byte, verb byte, arg any) []byte {
	s, ok := argText(arg)
	switch {
	case !ok, verb != 's' && verb != 'v' && verb != 'd' && verb != 'q':
		return append(out, "%!("+string(verb)+")"...)
	case verb == 'q':
		return strconv.AppendQuote(out, s)
	}
	return append(out, s...)
}

func argText(arg any) (string, bool) {
	switch v := arg.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case error:
		return v.Error(), true
	case interface{ String() string }:
		return v.String(), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case int32:
		return strconv.FormatInt(int64(v), 10), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	case Code:
		return string(v), true
	}
	return "", false
}

// failure returns the Error that err stands for; nil for nil.
func failure(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && e != nil {
		return e
	}
	return &Error{Code: PluginFailed, Message: err.Error()}
}

// encode returns the JSON that the host reads an action's failure from.
func (e *Error) encode() []byte {
	code := e.Code
	if code == "" {
		code = PluginFailed
	}
	b := wire.AppendString([]byte(`{"code":`), string(code))
	b = wire.AppendString(append(b, `,"message":`...), e.Message)
	b = strconv.AppendBool(append(b, `,"retryable":`...), e.Retryable)
	if e.Phase != "" {
		b = wire.AppendString(append(b, `,"phase":`...), string(e.Phase))
	}
	return append(b, '}')
}

// decodeError reads the error of a host function's envelope.
func decodeError(v wire.Value) (*Error, error) {
	members, err := v.Object()
	if err != nil {
		return nil, err
	}
	e := &Error{}
	for members.Next() {
		var text string
		switch string(members.Name) {
		case "code":
			text, err = members.Value.Text()
			e.Code = Code(text)
		case "message":
			e.Message, err = members.Value.Text()
		case "phase":
			text, err = members.Value.Text()
			e.Phase = Phase(text)
		case "retryable":
			e.Retryable, err = members.Value.Bool()
		}
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}
