package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

const manifest = `{
	"abi": 1, "name": "demo", "version": "1.2.3", "description": "A plugin of the tests.",
	"host_functions": [{"name": "ssh_exec", "why": "to run it"}],
	"actions": [{
		"name": "run", "description": "Runs.", "effect": "once", "timeout": "30s",
		"input": {"type": "object", "properties": {"path": {"type": "string"}}, "additionalProperties": false},
		"output": {"type": "object"}
	}]
}`

// base is a module that imports ssh_exec and exports run.
func base() *wasmtest.Builder {
	var b wasmtest.Builder
	b.Import("extism:host/user", "ssh_exec", "I>I")
	b.Memory(1)
	b.Action("run", 0x41, 0)
	return &b
}

func withManifest(b *wasmtest.Builder, manifest string) []byte {
	b.Custom(registry.Section, []byte(manifest))
	return b.Bytes()
}

func good() []byte { return withManifest(base(), manifest) }

func digest(b []byte) automation.Digest {
	sum := sha256.Sum256(b)
	return automation.Digest(hex.EncodeToString(sum[:]))
}

// shelf is a store of one plugin.
type shelf struct {
	mu     sync.Mutex
	record automation.Plugin
	wasm   []byte
	reads  atomic.Int64
	err    error
}

func (s *shelf) Plugin(context.Context, automation.TenantID, automation.Digest) (automation.Plugin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads.Add(1)
	return s.record, s.err
}

func (s *shelf) Artifact(context.Context, automation.TenantID, automation.Digest) ([]byte, error) {
	return s.wasm, nil
}

func (s *shelf) change(f func(*automation.Plugin)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.record)
	s.record.RowNumber++
}

func setup(tb testing.TB, s *shelf, now func() time.Time) *registry.Registry {
	tb.Helper()
	e, err := engine.New(engine.NameNative, engine.DefaultSettings())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	r, err := registry.New(registry.Config{Store: s, Engine: e, HostFunctions: []string{"ssh_exec", "probe_tcp", "log"}, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestExamine(t *testing.T) {
	t.Parallel()
	r := setup(t, &shelf{}, nil)
	m, f, err := r.Examine(t.Context(), good())
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "demo" || m.Version != "1.2.3" || len(m.Actions) != 1 || m.Actions[0].Effect != automation.EffectOnce {
		t.Errorf("manifest: got %+v", m)
	}
	want := registry.Findings{
		Digest: digest(good()), Size: len(good()), HostFunctions: []string{"ssh_exec"}, Imports: []string{"extism:host/user ssh_exec"},
		Actions: []string{"run"}, Sections: f.Sections, Functions: 1, CodeBytes: f.CodeBytes, LargestBody: f.LargestBody, MemoryBytes: 65536, VetMillis: f.VetMillis,
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	r := setup(t, &shelf{}, nil)
	for name, tc := range map[string]struct {
		wasm []byte
		want string
	}{
		"empty":             {nil, "empty"},
		"30 MB":             {append(good(), make([]byte, 30<<20)...), "more than the limit"},
		"component":         {[]byte("\x00asm\x0d\x00\x01\x00"), "core module"},
		"truncated":         {good()[:100], "cut off on its way"},
		"no manifest":       {base().Bytes(), "exactly one"},
		"two manifests":     {withManifest(func() *wasmtest.Builder { b := base(); b.Custom(registry.Section, []byte("{}")); return b }(), manifest), "2 custom sections"},
		"manifest no JSON":  {withManifest(base(), "hello"), ""},
		"unknown field":     {withManifest(base(), strings.Replace(manifest, `"abi"`, `"colour": 1, "abi"`, 1)), "colour"},
		"bad version":       {withManifest(base(), strings.Replace(manifest, "1.2.3", "v1", 1)), "/version"},
		"abi 2":             {withManifest(base(), strings.Replace(manifest, `"abi": 1`, `"abi": 2`, 1)), "/abi"},
		"effect":            {withManifest(base(), strings.Replace(manifest, `"once"`, `"maybe"`, 1)), "/actions/0/effect"},
		"timeout":           {withManifest(base(), strings.Replace(manifest, `"30s"`, `"25h"`, 1)), "/actions/0/timeout"},
		"taken name":        {withManifest(base(), strings.Replace(manifest, `"name": "demo"`, `"name": "workflow"`, 1)), "/name"},
		"scheduler":         {withManifest(base(), strings.Replace(manifest, `"effect"`, `"scheduler": true, "effect"`, 1)), "/actions/0/scheduler"},
		"schema of input":   {withManifest(base(), strings.Replace(manifest, `"properties": {"path": {"type": "string"}}`, `"properties": {"path": {"type": "text"}}`, 1)), "/actions/0/input"},
		"input no object":   {withManifest(base(), strings.Replace(manifest, `"output": {"type": "object"}`, `"output": {"type": "string"}`, 1)), "/actions/0/output"},
		"unknown function":  {withManifest(base(), strings.Replace(manifest, `"ssh_exec"`, `"ssh_exce"`, 1)), "did you mean"},
		"unlisted function": {withManifest(base(), strings.Replace(manifest, `"ssh_exec"`, `"probe_tcp"`, 1)), `"ssh_exec", which its manifest does not list`},
		"no export":         {withManifest(base(), strings.Replace(manifest, `"name": "run"`, `"name": "walk"`, 1)), "exports no function"},
		"export signature":  {withManifest(func() *wasmtest.Builder { b := base(); b.Export("walk", 0); return b }(), strings.Replace(manifest, `"name": "run"`, `"name": "walk"`, 1)), "takes nothing and returns an i32"},
		"start function":    {withManifest(func() *wasmtest.Builder { b := base(); b.Start(b.Func(">")); return b }(), manifest), "start function"},
		"unknown import":    {withImport("env", "system", "I>I"), "which this host does not have"},
		"http import":       {withImport("extism:host/env", "http_request", "II>I"), "no network of their own"},
		"wasi signature":    {withImport("wasi_snapshot_preview1", "fd_write", "ii>i"), "signature"},
		"function signature": {func() []byte {
			var b wasmtest.Builder
			b.Import("extism:host/user", "ssh_exec", "II>I")
			b.Memory(1)
			b.Action("run", 0x41, 0)
			return withManifest(&b, manifest)
		}(), "signature"},
		"does not validate": {func() []byte {
			var b wasmtest.Builder
			b.Import("extism:host/user", "ssh_exec", "I>I")
			b.Action("run", 0x1a)
			return withManifest(&b, manifest)
		}(), "does not compile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Inspect(t.Context(), tc.wasm)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
			if code := automation.CodeOf(err); code == automation.CodeInternal {
				t.Errorf("code: got internal (%v)", err)
			}
		})
	}
}

func withImport(module, name string, sig wasmtest.Sig) []byte {
	var b wasmtest.Builder
	b.Import("extism:host/user", "ssh_exec", "I>I")
	b.Import(module, name, sig)
	b.Memory(1)
	b.Action("run", 0x41, 0)
	return withManifest(&b, manifest)
}

func TestInspectReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	r := setup(t, &shelf{}, nil)
	var b wasmtest.Builder
	b.Import("env", "system", "I>I")
	b.Import("extism:host/user", "probe_tcp", "I>I")
	b.Start(b.Func(">"))
	text := strings.Replace(manifest, `"ssh_exec"`, `"ssh_exce"`, 1)
	text = strings.Replace(text, `"30s"`, `"99h"`, 1)
	_, err := r.Inspect(t.Context(), withManifest(&b, text))
	var errs automation.Errors
	if !errors.As(err, &errs) || len(errs) != 6 {
		t.Errorf("got %d errors, want 6 (timeout, start, import, unknown function, unlisted function, export):\n%v", len(errs), err)
	}
}

func TestEmbedAndReadManifest(t *testing.T) {
	t.Parallel()
	out, err := registry.Embed(base().Bytes(), []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	if out, err = registry.Embed(out, []byte(strings.Replace(manifest, "1.2.3", "1.2.4", 1))); err != nil {
		t.Fatal(err)
	}
	m, err := registry.ReadManifest(out)
	if err != nil || m.Version != "1.2.4" {
		t.Errorf("got version %q, %v; want 1.2.4", m.Version, err)
	}
	if _, err := registry.Embed(base().Bytes(), []byte(`{}`)); err == nil {
		t.Error("Embed takes a manifest that is none")
	}
}

// TestMutatedUploads: thousands of broken uploads; each is refused or sound.
func TestMutatedUploads(t *testing.T) {
	t.Parallel()
	r := setup(t, &shelf{}, nil)
	rnd := rand.New(rand.NewPCG(1, 2))
	whole := good()
	accepted := 0
	for range 10_000 {
		b := append([]byte(nil), whole...)
		for range 1 + rnd.IntN(4) {
			switch at := rnd.IntN(len(b)); rnd.IntN(3) {
			case 0:
				b[at] ^= 1 << rnd.IntN(8)
			case 1:
				b = b[:max(at, 1)]
			case 2:
				b = append(b[:at:at], append([]byte{byte(rnd.Uint32())}, b[at:]...)...)
			}
		}
		m, err := r.Inspect(t.Context(), b)
		if err == nil {
			accepted++
			if m.Name == "" || len(m.Actions) == 0 {
				t.Fatalf("accepted without a manifest: %+v", m)
			}
		}
		if code := automation.CodeOf(err); code == automation.CodeInternal {
			t.Fatalf("internal error: %v", err)
		}
	}
	t.Logf("%d of 10000 accepted (changes in text and names)", accepted)
}

func TestPlugin(t *testing.T) {
	t.Parallel()
	wasm := good()
	s := &shelf{wasm: wasm, record: automation.Plugin{ID: "p", Digest: digest(wasm), Name: "demo", State: automation.PluginActive, RowNumber: 1}}
	clock := time.Now()
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	advance := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); clock = clock.Add(d) }
	r := setup(t, s, now)
	get := func() *registry.Loaded {
		t.Helper()
		p, err := r.Plugin(t.Context(), "default", digest(wasm))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := get()
	if a := first.Action("run"); a == nil || a.Timeout != 30*time.Second || first.Action("walk") != nil {
		t.Errorf("actions: got %+v", a)
	}
	if again := get(); again != first || s.reads.Load() != 1 {
		t.Errorf("a fresh plugin was read again: %d reads", s.reads.Load())
	}
	s.change(func(p *automation.Plugin) { p.State = automation.PluginDisabled })
	advance(2 * time.Second)
	if got := get().Record.State; got != automation.PluginDisabled {
		t.Errorf("state after a second: got %s, want disabled", got)
	}
	s.change(func(p *automation.Plugin) { p.Grants = []automation.Grant{{Function: "ssh_exec"}} })
	r.Invalidate("default", digest(wasm))
	if got := get().Record.Grants; len(got) != 1 {
		t.Errorf("grants after Invalidate: got %v, want one", got)
	}
	if first.Record.State != automation.PluginActive {
		t.Error("a loaded plugin changed under its holder")
	}
}

func TestPluginRefusesASpoiltArtifact(t *testing.T) {
	t.Parallel()
	wasm := good()
	s := &shelf{wasm: withManifest(base(), strings.Replace(manifest, "Runs.", "Walks.", 1)), record: automation.Plugin{ID: "p", RowNumber: 1}}
	r := setup(t, s, nil)
	_, err := r.Plugin(t.Context(), "default", digest(wasm))
	if automation.CodeOf(err) != automation.CodeBadPlugin {
		t.Errorf("an artifact of another digest: got %v, want bad_plugin", err)
	}
	s.wasm = base().Bytes()
	if _, err = r.Plugin(t.Context(), "default", digest(s.wasm)); automation.CodeOf(err) != automation.CodeBadPlugin {
		t.Errorf("an artifact without a manifest: got %v, want bad_plugin", err)
	}
}

func TestCompileBombIsRefused(t *testing.T) {
	t.Parallel()
	r := setup(t, &shelf{}, nil)
	for name, body := range map[string][]byte{
		"20,000 loops":  []byte(strings.Repeat("\x03\x40\x0b", 20_000)),
		"nested blocks": []byte(strings.Repeat("\x02\x40", 30_000) + strings.Repeat("\x0b", 30_000)),
		"220 KB body":   []byte(strings.Repeat("\x01", 220_000)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := base()
			b.Func(">", body...)
			began := time.Now()
			_, err := r.Inspect(t.Context(), withManifest(b, manifest))
			if automation.CodeOf(err) != automation.CodeBadPlugin {
				t.Errorf("got %v, want bad_plugin", err)
			}
			if d := time.Since(began); d > time.Second {
				t.Errorf("refused after %s", d)
			}
		})
	}
}

func TestManyBombsAreRefusedByTheirSum(t *testing.T) {
	t.Parallel()
	var b wasmtest.Builder
	for range 60 {
		b.FuncLocals(">", 1000, []byte(strings.Repeat("\x03\x40\x0b", 2000))...)
	}
	_, err := wasmfile.Parse(b.Bytes(), wasmfile.DefaultLimits())
	if err == nil || !strings.Contains(err.Error(), "compile cost") {
		t.Errorf("got %v, want the compile cost's limit", err)
	}
}

func ExampleEmbed() {
	var b wasmtest.Builder
	b.Memory(1)
	b.Action("run", 0x41, 0)
	out, err := registry.Embed(b.Bytes(), []byte(strings.Replace(manifest, `{"name": "ssh_exec", "why": "to run it"}`, "", 1)))
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := registry.ReadManifest(out)
	fmt.Println(m.Name, m.Version, err)
	// Output: demo 1.2.3 <nil>
}
