package hostfuncs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Func is one host function: a name that is also the import's name in
// extism:host/user, and a call from request to result, both JSON.
type Func struct {
	Name string
	// Doc is one sentence for catalogs.
	Doc string
	// Acts: the function may change a target (so the intent is committed first).
	Acts bool
	call func(ctx context.Context, s *Session, request []byte) (any, error)
}

// New returns a host function over a typed call. The request is decoded
// strictly: an unknown field or trailing bytes are bad_request.
func New[Req, Res any](name, doc string, acts bool, call func(ctx context.Context, s *Session, req Req) (Res, error)) Func {
	return Func{Name: name, Doc: doc, Acts: acts, call: func(ctx context.Context, s *Session, request []byte) (any, error) {
		var req Req
		dec := json.NewDecoder(bytes.NewReader(request))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&req); err != nil {
			return nil, Errorf(BadRequest, Before, "%s: the request is not what schemas/hostfuncs/%s.json says: %w", name, name, err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, Errorf(BadRequest, Before, "%s: bytes after the request's JSON value", name)
		}
		return call(ctx, s, req)
	}}
}

type envelope struct {
	OK    any    `json:"ok,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Invoke calls the function and returns the envelope. It never panics: a panic
// of the function is an error of code protocol.
func (f Func) Invoke(ctx context.Context, s *Session, request []byte) (answer []byte) {
	defer func() {
		if r := recover(); r != nil {
			answer = encode(nil, Errorf(Protocol, After, "%s: a fault of the host function: %v", f.Name, r))
		}
	}()
	ok, err := f.call(ctx, s, request)
	return encode(ok, err)
}

func encode(ok any, err error) []byte {
	env := envelope{OK: ok}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = Errorf(Protocol, After, "%w", err)
		}
		env = envelope{Error: e}
	}
	b, err := json.Marshal(env)
	if err != nil {
		b, _ = json.Marshal(envelope{Error: Errorf(Protocol, After, "encode the result: %s", fmt.Sprint(err))})
	}
	return b
}
