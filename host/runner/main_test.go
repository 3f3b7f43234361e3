package runner_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/hostfuncs"
)

const tenant = automation.DefaultTenant

// actions of testdata/guest, each with the effect once under its name and with
// the effect pure under NAME's own action in the second plugin.
func manifestWith(effect automation.Effect) string {
	var actions []string
	for _, name := range []string{"act", "look", "strict", "fail", "say", "mirror", "chatter", "actthenspin", "actthencrash"} {
		actions = append(actions, fmt.Sprintf(`{"name": %q, "description": "x", "effect": %q,
			"input": {"type": "object", "properties": {"request": {}, "text": {"type": "string"}, "times": {"type": "integer"}}, "additionalProperties": false},
			"output": {"type": "object", "properties": {"envelope": {"type": "object"}}, "additionalProperties": false}}`, name, effect))
	}
	return fmt.Sprintf(`{"abi": 1, "name": "demo", "version": "1.0.0", "description": "x",
		"host_functions": [{"name": "act", "why": "x"}, {"name": "look", "why": "x"}], "actions": [%s]}`, strings.Join(actions, ","))
}

// world is everything that a runner needs, in memory.
type world struct {
	tb     testing.TB
	mu     sync.Mutex
	plugin automation.Plugin
	wasm   []byte
	assets map[string]automation.Asset
	reads  int // of assets
	act    func(ctx context.Context, s *hostfuncs.Session) (any, error)
	look   func(ctx context.Context, s *hostfuncs.Session) (any, error)
	intent []automation.Digest
	fail   error // of the intent
	config runner.Config
	engine engine.Engine
}

// anything is the request of both host functions.
type anything struct{}

// guest is testdata/guest, built once.
var guest = sync.OnceValues(func() ([]byte, error) { return wasmtest.CompileGo(context.Background(), "testdata/guest") })

func newWorld(tb testing.TB, effect automation.Effect) *world {
	tb.Helper()
	wasm, err := guest()
	if err != nil {
		tb.Fatal(err)
	}
	wasm, err = registry.Embed(wasm, []byte(manifestWith(effect)))
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(wasm)
	w := &world{tb: tb, wasm: wasm, assets: map[string]automation.Asset{}}
	w.plugin = automation.Plugin{
		ID: "p", Tenant: tenant, Name: "demo", Version: "1.0.0", Digest: automation.Digest(hex.EncodeToString(sum[:])),
		State: automation.PluginActive, RowNumber: 1,
		Grants: []automation.Grant{{Function: "act", Targets: []string{"web-1"}}, {Function: "look", Addresses: []string{"*"}}},
	}
	w.assets["web-1"] = automation.Asset{ID: "a1", Tenant: tenant, Name: "web-1", Address: "10.0.0.1", Port: 22, Protocol: automation.ProtocolSSH}
	s := engine.DefaultSettings()
	if dir, err := os.UserCacheDir(); err == nil {
		s.CacheDir = dir + "/opsconductor-test/wasm"
	}
	s.HostGrace = 200 * time.Millisecond
	w.engine, err = engine.New(engine.NameNative, s)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := w.engine.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	reg, err := registry.New(registry.Config{Store: w, Engine: w.engine, HostFunctions: []string{"act", "look"}, Fresh: time.Nanosecond})
	if err != nil {
		tb.Fatal(err)
	}
	w.config = runner.Config{
		Plugins: reg, Engine: w.engine, Assets: w,
		Functions: []hostfuncs.Func{
			hostfuncs.New("act", "Acts.", true, func(ctx context.Context, s *hostfuncs.Session, _ anything) (any, error) {
				if w.act == nil {
					return map[string]any{"done": true}, s.Begin(ctx, "c0ffee")
				}
				return w.act(ctx, s)
			}).Guarded(),
			hostfuncs.New("look", "Looks.", false, func(ctx context.Context, s *hostfuncs.Session, _ anything) (any, error) {
				if w.look == nil {
					return map[string]any{"seen": true}, nil
				}
				return w.look(ctx, s)
			}),
		},
	}
	return w
}

func (w *world) Plugin(context.Context, automation.TenantID, automation.Digest) (automation.Plugin, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plugin, nil
}

func (w *world) Artifact(context.Context, automation.TenantID, automation.Digest) ([]byte, error) {
	return w.wasm, nil
}

func (w *world) Asset(_ context.Context, _ automation.TenantID, name string) (automation.Asset, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	a, ok := w.assets[name]
	if !ok {
		return a, &automation.Error{Code: automation.CodeNotFound, Message: "there is no such asset"}
	}
	return a, nil
}

func (w *world) AssetByID(_ context.Context, _ automation.TenantID, id automation.AssetID) (automation.Asset, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.assets {
		if a.ID == id {
			return a, nil
		}
	}
	return automation.Asset{}, &automation.Error{Code: automation.CodeNotFound, Message: "there is no such asset"}
}

func (w *world) set(change func(*automation.Plugin)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.plugin)
	w.plugin.RowNumber++
}

func (w *world) attempt(action, with string, effect automation.Effect) automation.Attempt {
	return automation.Attempt{
		AttemptKey: automation.AttemptKey{Run: "r1", Attempt: 1}, Tenant: tenant, Workflow: "demo-flow", StepID: "s1",
		Plugin: "demo", Action: action, Digest: w.plugin.Digest, Effect: effect, Input: json.RawMessage(with),
		Target:  &automation.Target{ID: "a1", Name: "web-1", Address: "10.0.0.1", Port: 22, Protocol: automation.ProtocolSSH, Tags: []string{"web"}},
		Timeout: 2 * time.Minute,
	}
}

func (w *world) execute(ctx context.Context, a automation.Attempt) automation.Outcome {
	w.tb.Helper()
	r, err := runner.New(w.config)
	if err != nil {
		w.tb.Fatal(err)
	}
	return r.Execute(ctx, a, func(_ context.Context, command automation.Digest) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.intent = append(w.intent, command)
		return w.fail
	})
}

func check(tb testing.TB, o automation.Outcome, state automation.ItemState, code automation.Code, words ...string) {
	tb.Helper()
	if o.State != state {
		tb.Errorf("state: got %s (%v), want %s", o.State, o.Error, state)
	}
	if (o.Error == nil) != (state == automation.ItemSucceeded) {
		tb.Fatalf("error: got %v in state %s", o.Error, o.State)
	}
	if o.Error == nil {
		return
	}
	if o.Error.Code != code {
		tb.Errorf("code: got %s (%v), want %s", o.Error.Code, o.Error, code)
	}
	for _, word := range words {
		if !strings.Contains(o.Error.Error(), word) {
			tb.Errorf("the error %q does not say %q", o.Error, word)
		}
	}
}
