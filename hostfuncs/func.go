package hostfuncs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Func is one host function: a name that is also the import's name in
// extism:host/user, and a call from request to result, both JSON.
type Func struct {
	Name string
	// Doc is one sentence for catalogs.
	Doc string
	// Acts: the function may change a target (so the intent is committed first).
	Acts bool
	// Guards: what it does is run under Session.Guard where there is one. A function
	// that acts and does not is refused there.
	Guards bool
	call   func(ctx context.Context, s *Session, request []byte) (any, error)
	// request and result are zero values of the call's types, for Types.
	request, result any
}

// New returns a host function over a typed call. The request is decoded by
// Decode; what the call returns is encoded as the envelope's ok.
func New[Req, Res any](name, doc string, acts bool, call func(ctx context.Context, s *Session, req Req) (Res, error)) Func {
	var zeroReq Req
	var zeroRes Res
	return Func{Name: name, Doc: doc, Acts: acts, request: zeroReq, result: zeroRes, call: func(ctx context.Context, s *Session, request []byte) (any, error) {
		var req Req
		if err := Decode(request, &req); err != nil {
			return nil, Errorf(BadRequest, Before, "%s: the request is not what schemas/hostfuncs/%s.json says: %w", name, name, err)
		}
		return call(ctx, s, req)
	}}
}

// Guarded returns the function as one that runs what it does under Session.Guard.
func (f Func) Guarded() Func {
	f.Guards = true
	return f
}

// Types returns zero values of the request and the result, so that a test can
// hold them against the schema.
func (f Func) Types() (request, result any) { return f.request, f.result }

// Invoke calls the function and returns the envelope: {"ok": …} or {"error": …},
// never both. It is the one way in, so what all functions have in common is
// here: the broker is asked for the grant before the request is even decoded,
// the audit record is kept, secrets that the session opened are taken out of
// errors, and a panic of the function is an error of code protocol.
func (f Func) Invoke(ctx context.Context, s *Session, request []byte) (answer []byte) {
	started := time.Now()
	note := &note{}
	ctx = context.WithValue(ctx, noteKey{}, note)
	ok, err := f.guarded(ctx, s, request)
	e := asError(err)
	if e != nil {
		e.Message = s.RedactString(e.Message)
	}
	if s.Broker != nil {
		r := Record{Function: f.Name, Started: started, Wall: time.Since(started)}
		r.Target, r.Command = note.target, note.command
		if e != nil {
			r.Code = e.Code
		}
		s.Broker.Record(context.WithoutCancel(ctx), s, r)
	}
	return encode(ok, e)
}

func (f Func) guarded(ctx context.Context, s *Session, request []byte) (ok any, err error) {
	defer func() {
		if r := recover(); r != nil {
			ok, err = nil, Errorf(Protocol, After, "%s: a fault of the host function: %v", f.Name, r)
		}
	}()
	if s.Broker == nil {
		return nil, Errorf(Denied, Before, "%s: the session has no broker, so nothing is granted", f.Name)
	}
	if err := s.Broker.Granted(ctx, s, f.Name); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, Ended(ctx, Before, "%s: nothing was done", f.Name)
	}
	if s.Guard != nil && f.Acts && !f.Guards {
		return nil, Errorf(BadRequest, Before, "%s: the step's effect is guarded, and this function keeps no journal on the target; give the step effect: once or idempotent", f.Name)
	}
	return f.call(ctx, s, request)
}

// note is what a call says of itself for the audit record.
type note struct{ target, command string }

type noteKey struct{}

// Note puts into the call's audit record which target it is about and the
// SHA-256 of the command that it runs. Only the call's own goroutine may use it.
func Note(ctx context.Context, target, command string) {
	if n, ok := ctx.Value(noteKey{}).(*note); ok && n != nil {
		n.target, n.command = target, command
	}
}

// Unnoted returns a ctx under which Note does nothing, for the parts of a call that
// run at the same time.
func Unnoted(ctx context.Context) context.Context {
	return context.WithValue(ctx, noteKey{}, (*note)(nil))
}

func asError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return Errorf(Protocol, After, "%w", err)
	}
	c := *e
	return &c
}

// okEnvelope and errorEnvelope are the two shapes of an answer. ok is always
// there on success, also when the result is empty.
type okEnvelope struct {
	OK any `json:"ok"`
}

type errorEnvelope struct {
	Error *Error `json:"error"`
}

func encode(ok any, e *Error) []byte {
	if e == nil {
		if ok == nil {
			ok = struct{}{}
		}
		b, err := json.Marshal(okEnvelope{OK: ok})
		if err == nil {
			return b
		}
		e = Errorf(Protocol, After, "encode the result: %s", fmt.Sprint(err))
	}
	b, err := json.Marshal(errorEnvelope{Error: e})
	if err != nil {
		return []byte(`{"error":{"code":"protocol","message":"encode the error","retryable":false,"phase":"after"}}`)
	}
	return b
}
