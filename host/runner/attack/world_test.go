package attack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/hostfuncs"
)

const tenant = automation.DefaultTenant

// budget is what a hostile call gets; compileBudget is for what comes before it.
const (
	budget        = 400 * time.Millisecond
	compileBudget = 5 * time.Second
)

// contained is the end of an attack that found nothing to do harm with.
const contained = automation.Code("contained")

// attack is a hostile module and how it has to end.
type attack struct {
	family, name string
	// module makes it; the manifest is put in afterwards. raw is the whole file.
	module func(b *builder)
	raw    func() []byte
	// want is the end on the native engine, other that on the engine extism where it
	// differs; without says that the attack does not apply there.
	want, other automation.Code
	without     bool
	// direct: past the registry, for defences that stand behind its own.
	direct bool
	tune   func(*settings)
	input  json.RawMessage
	// check looks at the outcome of what was contained.
	check func(o automation.Outcome) error
}

func (a attack) on(kind string) automation.Code {
	if kind == engine.NameExtism && a.other != "" {
		return a.other
	}
	return a.want
}

// bytes is the file that is uploaded.
func (a attack) bytes() []byte {
	if a.raw != nil {
		return a.raw()
	}
	var b builder
	a.module(&b)
	b.Custom(registry.Section, []byte(manifest))
	return b.Bytes()
}

const manifest = `{"abi": 1, "name": "hostile", "version": "1.0.0", "description": "x",
	"host_functions": [{"name": "look", "why": "x"}, {"name": "nap", "why": "x"}, {"name": "flood", "why": "x"}],
	"actions": [{"name": "run", "description": "x", "effect": "pure", "input": {"type": "object"}, "output": {"type": "object"}}]}`

// settings are what a host has; attacks and switches change them.
type settings struct {
	engine   engine.Settings
	limits   engine.Limits
	registry wasmfile.Limits
	logBytes int
}

func defaults() settings {
	s := settings{engine: engine.DefaultSettings(), limits: engine.DefaultLimits(), registry: wasmfile.DefaultLimits()}
	s.engine.GuestGrace, s.engine.HostGrace = budget/2, budget/2
	return s
}

// shelf is a store of plugins.
type shelf struct {
	mu   sync.Mutex
	wasm map[automation.Digest][]byte
}

func (s *shelf) put(wasm []byte) automation.Digest {
	sum := sha256.Sum256(wasm)
	digest := automation.Digest(hex.EncodeToString(sum[:]))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wasm[digest] = wasm
	return digest
}

func (s *shelf) drop(digest automation.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wasm, digest)
}

// Plugin implements registry.Store: all are active, with every grant.
func (*shelf) Plugin(_ context.Context, _ automation.TenantID, digest automation.Digest) (automation.Plugin, error) {
	grant := func(f string) automation.Grant { return automation.Grant{Function: f, Addresses: []string{"*"}} }
	return automation.Plugin{
		ID: automation.PluginID(digest), Tenant: tenant, Name: "hostile", Version: "1.0.0", Digest: digest, State: automation.PluginActive,
		RowNumber: 1, Grants: []automation.Grant{grant("look"), grant("nap"), grant("flood")},
	}, nil
}

// Artifact implements registry.Store.
func (s *shelf) Artifact(_ context.Context, _ automation.TenantID, digest automation.Digest) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wasm[digest], nil
}

// host is a host's registry and engine; attacks share it, unless they change it.
type host struct {
	kind     string
	shelf    *shelf
	engine   engine.Engine
	registry *registry.Registry
	settings settings
}

func newHost(tb testing.TB, kind string, s settings) *host {
	tb.Helper()
	h := &host{kind: kind, shelf: &shelf{wasm: map[automation.Digest][]byte{}}, settings: s}
	var err error
	if h.engine, err = engine.New(kind, s.engine); err != nil {
		tb.Fatal(err)
	}
	h.registry, err = registry.New(registry.Config{
		Store: h.shelf, Engine: h.engine, Limits: s.registry, HostFunctions: []string{"look", "nap", "flood"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// close waits for what was abandoned, but not for what never ends.
func (h *host) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return h.engine.Close(ctx)
}

func functions() []hostfuncs.Func {
	type anything struct{}
	return []hostfuncs.Func{
		hostfuncs.New("look", "Looks.", false, func(context.Context, *hostfuncs.Session, anything) (any, error) {
			return map[string]any{"seen": true}, nil
		}),
		hostfuncs.New("nap", "Waits for the end.", false, func(ctx context.Context, _ *hostfuncs.Session, _ anything) (any, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}),
		hostfuncs.New("flood", "Answers too much.", false, func(context.Context, *hostfuncs.Session, anything) (any, error) {
			return map[string]any{"text": string(bytes.Repeat([]byte{'x'}, 2<<20))}, nil
		}),
	}
}

func (h *host) runner(tb testing.TB) *runner.Runner {
	tb.Helper()
	r, err := runner.New(runner.Config{
		Plugins: h.registry, Engine: h.engine, Functions: functions(), Limits: h.settings.limits, LogBytes: h.settings.logBytes,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func attempt(digest automation.Digest, input json.RawMessage, timeout time.Duration) automation.Attempt {
	if input == nil {
		input = json.RawMessage(`{}`)
	}
	return automation.Attempt{
		AttemptKey: automation.AttemptKey{Run: "r1", Attempt: 1}, Tenant: tenant, Workflow: "attack", StepID: "s1",
		Plugin: "hostile", Action: "run", Digest: digest, Effect: automation.EffectPure, Input: input, Timeout: timeout,
	}
}

// ending is how an attack went.
type ending struct {
	code    automation.Code
	err     error
	stage   string // upload or call
	upload  time.Duration
	call    time.Duration
	outcome automation.Outcome
	growth  int64
	budget  time.Duration // that the call had
}

// assault carries out an attack: upload, then one attempt with a budget.
func (h *host) assault(tb testing.TB, a attack, wasm []byte, budget time.Duration) ending {
	tb.Helper()
	if a.direct {
		return h.straight(tb, wasm, budget)
	}
	began := time.Now()
	_, _, err := h.registry.Examine(tb.Context(), wasm)
	e := ending{stage: "upload", upload: time.Since(began), budget: budget}
	if err != nil {
		e.code, e.err = automation.CodeOf(err), err
		return e
	}
	digest := h.shelf.put(wasm)
	defer h.shelf.drop(digest)
	r := h.runner(tb)
	began, e.stage = time.Now(), "call"
	e.outcome = r.Execute(tb.Context(), attempt(digest, a.input, budget), nil)
	e.call, e.code = time.Since(began), contained
	if e.outcome.Error != nil {
		e.code, e.err = e.outcome.Error.Code, e.outcome.Error
	}
	return e
}

// straight gives a module to the engine, which no registry has looked at.
func (h *host) straight(tb testing.TB, wasm []byte, budget time.Duration) ending {
	tb.Helper()
	e := ending{stage: "upload", budget: budget}
	began := time.Now()
	digest := h.shelf.put(wasm)
	defer h.shelf.drop(digest)
	m, err := h.engine.Load(tb.Context(), digest, h.registry.Source(tenant, digest))
	e.upload = time.Since(began)
	if err != nil {
		e.code, e.err = automation.CodeOf(err), err
		return e
	}
	defer m.Release()
	ctx, cancel := context.WithTimeout(tb.Context(), budget)
	defer cancel()
	e.stage, began = "call", time.Now()
	e.code, e.err = contained, runIn(ctx, m, h.settings.limits)
	e.call = time.Since(began)
	if e.err != nil {
		e.code = automation.CodeOf(e.err)
	}
	return e
}

func runIn(ctx context.Context, m engine.Module, l engine.Limits) error {
	answer := func(context.Context, string, []byte) []byte { return []byte(`{"ok":{}}`) }
	i, err := m.New(ctx, engine.Config{Limits: l, Host: answer})
	if err != nil {
		return err
	}
	defer i.Close(ctx)
	_, err = i.Call(ctx, "run", []byte("{}"))
	return err
}
