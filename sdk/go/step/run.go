package step

import (
	"errors"

	"opsconductor.dev/sdk/go/internal/wire"
)

// Run runs an action for the call that the host is making and returns what the
// export has to: 0 when the action succeeded, 1 when it failed and the host was
// told why. In and Out are structs (their fields with json tags) that agree with
// the action's schemas in the manifest; steptest.Manifest checks that they do.
// An Out whose schema allows any object may be a map. Outside the sandbox there
// is no call, and Run returns 1.
func Run[In, Out any](action func(*Context, In) (Out, error)) int32 {
	return run(Typed(action))
}

// RunRaw is Run for an action that reads and writes JSON itself: with is the
// step's input, a JSON object, and the result the output, one too. A module
// whose actions are all raw is 0.3 MB smaller.
func RunRaw(action func(c *Context, with Raw) (Raw, error)) int32 {
	return run(action)
}

// Typed returns the raw form of a typed action.
func Typed[In, Out any](action func(*Context, In) (Out, error)) func(*Context, Raw) (Raw, error) {
	return func(c *Context, with Raw) (Raw, error) {
		var in In
		if err := wire.Decode(with, &in); err != nil {
			return nil, &Error{Code: BadRequest, Message: "the step's input: " + err.Error(), Phase: Before}
		}
		out, err := action(c, in)
		if err != nil {
			return nil, err
		}
		b, err := wire.Encode(out)
		if err != nil {
			return nil, Failf(PluginFailed, "the action's output: %v", err)
		}
		return b, nil
	}
}

// Invoke carries one call out as the sandbox does: input is the document that
// the host passes (docs/plugins.md), and host answers host functions. It
// returns the output, or the failure as the host is told it. A panic of the
// action is a failure of code plugin_failed.
func Invoke(input []byte, host Host, action func(*Context, Raw) (Raw, error)) (output Raw, failed *Error) {
	defer func() {
		if r := recover(); r != nil {
			output, failed = nil, panicked(r)
		}
	}()
	c, err := newContext(input, host)
	if err != nil {
		return nil, failure(err)
	}
	out, err := action(c, c.with)
	if err != nil {
		return nil, failure(err)
	}
	return out, nil
}

func run(action func(*Context, Raw) (Raw, error)) int32 {
	output, failed := Invoke(guestInput(), nil, action)
	if failed != nil {
		guestError(failed.encode())
		return 1
	}
	guestOutput(output)
	return guestDone
}

func panicked(r any) *Error {
	message := "the action panicked"
	if s, ok := argText(r); ok {
		message += ": " + s
	}
	return &Error{Code: PluginFailed, Message: message}
}

var errEnvelope = errors.New("the host's answer is neither ok nor error")

// call makes a host call: request and result are the function's types.
func call[Res any](c *Context, function string, imported func(uint64) uint64, request any) (Res, error) {
	var result Res
	ok, err := exchange(c, function, imported, request)
	if err != nil {
		return result, err
	}
	if err := wire.DecodeKnown(ok, &result); err != nil {
		return result, &Error{Code: Protocol, Message: function + ": the host's result: " + err.Error(), Phase: After}
	}
	return result, nil
}

func exchange(c *Context, function string, imported func(uint64) uint64, request any) (wire.Value, error) {
	b, err := wire.EncodeExact(request)
	if err != nil {
		return nil, &Error{Code: BadRequest, Message: function + ": " + err.Error(), Phase: Before}
	}
	var envelope []byte
	if c.host != nil {
		envelope = c.host.Call(function, b)
	} else {
		envelope = guestCall(imported, b)
	}
	ok, err := open(envelope)
	var e *Error
	if err != nil && !errors.As(err, &e) {
		return nil, &Error{Code: Protocol, Message: function + ": " + err.Error(), Phase: After}
	}
	return ok, err
}

// open returns what an envelope holds. Its error is an *Error if the host sent
// one, and any other if the envelope is not one.
func open(envelope []byte) (wire.Value, error) {
	members, err := objectOf(envelope)
	if err != nil {
		return nil, err
	}
	if !members.Next() {
		return nil, errEnvelope
	}
	name, value := string(members.Name), members.Value
	if members.Next() {
		return nil, errEnvelope
	}
	switch name {
	case "ok":
		return value, nil
	case "error":
		e, err := decodeError(value)
		if err != nil {
			return nil, err
		}
		return nil, e
	}
	return nil, errEnvelope
}
