// Package steptest runs a plugin's actions natively, in ordinary Go tests, with
// fake host functions; and holds a plugin's Go types to its manifest.
//
//	h := steptest.New(t).SSHExec(func(r step.SSHExecRequest) (step.SSHExecResult, error) {
//		return step.SSHExecResult{Stdout: "hello\n"}, nil
//	})
//	out, failed := steptest.Call(h, Greet, GreetInput{Name: "world"})
//
// A call goes the same way as in the sandbox: the input is encoded and decoded,
// host calls pass through their envelopes, a panic becomes an error. What the
// sandbox adds (limits, grants, schemas) is the business of the host's own tests.
package steptest

import (
	"encoding/json"
	"sync"
	"testing"

	"opsconductor.dev/sdk/go/step"
)

// Harness calls actions. Configure it, then use it from one goroutine.
type Harness struct {
	t         testing.TB
	functions map[string]func([]byte) ([]byte, error)
	document  document

	mu    sync.Mutex
	calls []HostCall
}

// HostCall is one call of a host function that an action made.
type HostCall struct {
	Function string
	Request  json.RawMessage
}

// document is what the host calls an action with.
type document struct {
	With    json.RawMessage `json:"with"`
	Target  *target         `json:"target,omitempty"`
	Run     run             `json:"run"`
	Step    string          `json:"step"`
	Item    int             `json:"item"`
	Attempt int             `json:"attempt"`
}

type run struct {
	ID       string `json:"id"`
	Workflow string `json:"workflow"`
}

type target struct {
	Name     string         `json:"name"`
	Address  string         `json:"address"`
	Port     int            `json:"port,omitempty"`
	Protocol string         `json:"protocol"`
	OS       string         `json:"os,omitempty"`
	Tags     []string       `json:"tags,omitempty"`
	Vars     map[string]any `json:"vars,omitempty"`
}

// New returns a harness without host functions or a target, for the first
// attempt at the only item of a step.
func New(t testing.TB) *Harness {
	return &Harness{
		t:         t,
		functions: map[string]func([]byte) ([]byte, error){},
		document:  document{Run: run{ID: "run-1", Workflow: "test"}, Step: "test", Attempt: 1},
	}
}

// Target gives the item a target.
func (h *Harness) Target(t step.Target) *Harness {
	h.document.Target = &target{
		Name: t.Name, Address: t.Address, Port: t.Port, Protocol: t.Protocol, OS: t.OS, Tags: t.Tags, Vars: t.Vars,
	}
	return h
}

// Attempt sets which try at the item a call is, from 1.
func (h *Harness) Attempt(n int) *Harness {
	h.document.Attempt = n
	return h
}

// Calls returns the host calls so far, in order.
func (h *Harness) Calls() []HostCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]HostCall(nil), h.calls...)
}

// Call calls a typed action and returns its output, or its failure as the host
// would record it.
func Call[In, Out any](h *Harness, action func(*step.Context, In) (Out, error), in In) (Out, *step.Error) {
	h.t.Helper()
	var out Out
	with, err := json.Marshal(in)
	if err != nil {
		h.t.Fatalf("encode the input: %v", err)
	}
	raw, failed := CallRaw(h, step.Typed(action), string(with))
	if failed != nil {
		return out, failed
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		h.t.Fatalf("the output %s is not what the action returned: %v", raw, err)
	}
	return out, nil
}

// CallRaw calls an action in its raw form; with is the step's input as JSON.
func CallRaw(h *Harness, action func(*step.Context, step.Raw) (step.Raw, error), with string) (step.Raw, *step.Error) {
	h.t.Helper()
	doc := h.document
	doc.With = json.RawMessage(with)
	input, err := json.Marshal(doc)
	if err != nil {
		h.t.Fatalf("the input is not JSON: %v", err)
	}
	return step.Invoke(input, host{h}, action)
}

// host answers host calls from the harness's fakes.
type host struct{ h *Harness }

// Call implements step.Host.
func (x host) Call(function string, request []byte) []byte {
	x.h.mu.Lock()
	x.h.calls = append(x.h.calls, HostCall{Function: function, Request: append(json.RawMessage(nil), request...)})
	x.h.mu.Unlock()
	fake, ok := x.h.functions[function]
	if !ok {
		return refuse(&step.Error{Code: step.Denied, Phase: step.Before, Message: function + " has no fake in this test"})
	}
	result, err := fake(request)
	if err != nil {
		return refuse(err)
	}
	return []byte(`{"ok":` + string(result) + `}`)
}
