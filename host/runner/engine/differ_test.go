package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// did is all that an attempt shows: what both engines have to agree on.
type did struct {
	Code      automation.Code
	RC        uint32
	Output    string
	Failure   string
	HostCalls int
	Logs      []string
	Requests  []string
}

// attempt runs one export in an instance of its own and keeps what it did.
func attempt(ctx context.Context, m engine.Module, limits engine.Limits, export string, input []byte) did {
	var d did
	c := engine.Config{Limits: limits, Log: func(level, message string) { d.Logs = append(d.Logs, level+" "+message) }}
	c.Host = func(ctx context.Context, name string, request []byte) []byte {
		d.Requests = append(d.Requests, string(request))
		return echoHost(ctx, name, request)
	}
	r, err := call(ctx, m, c, export, input)
	d.Code, d.RC, d.Output, d.Failure, d.HostCalls = automation.CodeOf(err), r.RC, string(r.Output), r.Failure, r.Usage.HostCalls
	if err == nil {
		d.Code = ""
	}
	return d
}

// twins loads a module on both engines.
func twins(t *testing.T, name string, wasm []byte) (reference, native engine.Module) {
	t.Helper()
	return load(t, newEngine(t, engine.NameExtism, nil), name, wasm), load(t, newEngine(t, engine.NameNative, nil), name, wasm)
}

// agree runs an export on both engines, on the native one three times: at first,
// in a sandbox that was put back, and again.
func agree(t *testing.T, reference, native engine.Module, limits engine.Limits, export string, input []byte) did {
	t.Helper()
	within := func(m engine.Module) did {
		budget := differBudget
		if export == "spin" {
			budget = spinBudget
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), budget, errors.New("the test's deadline"))
		defer cancel()
		return attempt(ctx, m, limits, export, input)
	}
	want := within(reference)
	for n := range 3 {
		if diff := cmp.Diff(want, within(native)); diff != "" {
			t.Errorf("%s(%.60q), call %d: the engines differ (-extism +native):\n%s", export, input, n+1, diff)
		}
	}
	return want
}

// differBudget is what an attempt gets, and spinBudget one that never ends.
const (
	differBudget = 2 * time.Minute
	spinBudget   = 300 * time.Millisecond
)

// TestEnginesAgreeOnGuests: the same guest in four languages.
func TestEnginesAgreeOnGuests(t *testing.T) {
	t.Parallel()
	for _, language := range languages() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			reference, native := twins(t, language, guestIn(t, language))
			limits := engine.DefaultLimits()
			mixed := make([]byte, 300)
			rnd := rand.New(rand.NewPCG(1, 2))
			for i := range mixed {
				mixed[i] = byte(rnd.Uint32())
			}
			for _, tc := range []struct {
				export, input string
				want          did
			}{
				{"noop", "{}", did{Output: "{}"}},
				{"echo", "", did{}},
				{"echo", `{"text":"größer"}`, did{Output: `{"text":"größer"}`}},
				{"echo", strings.Repeat("long ", 300), did{Output: strings.Repeat("long ", 300)}},
				{"host", `{"n":1}`, did{Output: `{"ok":{"name":"echo","request":{"n":1}}}`, HostCalls: 1, Requests: []string{`{"n":1}`}}},
				{"fail", "", did{RC: 1, Failure: `{"code":"disk_full","message":"no room","retryable":true}`}},
				{"failsilent", "", did{RC: 7}},
				{"boom", "", did{Code: automation.CodePluginCrashed}},
				{"absent", "", did{Code: automation.CodeBadPlugin}},
			} {
				got := agree(t, reference, native, limits, tc.export, []byte(tc.input))
				got.Logs = nil
				if got.Code != "" {
					got.RC = 0
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s: (-want +got)\n%s", tc.export, diff)
				}
			}
			agree(t, reference, native, limits, "mix", mixed)
			for _, export := range []string{"hog", "spin"} {
				if got := agree(t, reference, native, limits, export, nil); got.Code != automation.CodeMemoryLimit && got.Code != automation.CodeTimeout &&
					got.Code != automation.CodePluginCrashed {
					t.Errorf("%s: got %+v, want an error", export, got)
				}
			}
			for _, limit := range limitCases() {
				small := limits
				limit(&small)
				agree(t, reference, native, small, "echo", mixed)
				agree(t, reference, native, small, "host", []byte(`"0123456789"`))
			}
		})
	}
}

// limitCases each make one limit too small.
func limitCases() []func(*engine.Limits) {
	return []func(*engine.Limits){
		func(l *engine.Limits) { l.InputBytes = 5 },
		func(l *engine.Limits) { l.OutputBytes = 5 },
		func(l *engine.Limits) { l.HostCalls = 0 },
		func(l *engine.Limits) { l.HostCallBytes = 5 },
		func(l *engine.Limits) { l.HostCallBytes = 20 },
		func(l *engine.Limits) { l.MemoryBytes = 64 << 10 },
		func(l *engine.Limits) { l.MemoryBytes = 1 << 20 },
		func(l *engine.Limits) { l.MemoryBytes = 17 * 65536 },
		func(l *engine.Limits) { l.MemoryBytes = 19 * 65536 },
	}
}

// TestEnginesAgreeOnPublicGuests: every export of every module that go-sdk comes
// with that this host takes.
func TestEnginesAgreeOnPublicGuests(t *testing.T) {
	t.Parallel()
	taken := 0
	reference, native := newEngine(t, engine.NameExtism, nil), newEngine(t, engine.NameNative, nil)
	for name, wasm := range publicGuests(t) {
		if t.Failed() {
			return
		}
		digest := automation.Digest(name)
		m, err := reference.Load(t.Context(), digest, bytesOf(wasm))
		n, nerr := native.Load(t.Context(), digest, bytesOf(wasm))
		if automation.CodeOf(err) != automation.CodeOf(nerr) || (err == nil) != (nerr == nil) {
			t.Errorf("%s: extism says %v, native %v", name, err, nerr)
			continue
		}
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		t.Cleanup(m.Release)
		t.Cleanup(n.Release)
		taken++
		for _, e := range m.Exports() {
			if e.Kind != wasmfile.Func || !e.Type.Equal(engine.ActionType()) {
				continue
			}
			inputs := []string{"", "hello world", `{"a":[1,2,3],"text":"aeiou"}`, strings.Repeat("xyz", 500)}
			if name == "alloc.wasm" { // allocates until its memory is full: seconds in the kernel
				inputs = inputs[:1]
			}
			for _, input := range inputs {
				agree(t, m, n, engine.DefaultLimits(), e.Name, []byte(input))
			}
		}
	}
	if taken < 10 {
		t.Errorf("only %d of go-sdk's guests were taken", taken)
	}
}

// TestEnginesAgreeOnHostileModules: hand-made modules that do what they should not.
func TestEnginesAgreeOnHostileModules(t *testing.T) {
	t.Parallel()
	for name, wasm := range liars() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reference, native := twins(t, name, wasm)
			for _, export := range []string{"run", "memory", "_initialize", "other"} {
				agree(t, reference, native, engine.DefaultLimits(), export, []byte("input"))
			}
		})
	}
}

// liars are modules that lie about what they are, or keep state in odd places.
func liars() map[string][]byte {
	out := map[string][]byte{}
	add := func(name string, make func(b *wasmtest.Builder)) {
		var b wasmtest.Builder
		make(&b)
		out[name] = b.Bytes()
	}
	ok := []byte{0x41, 0}
	add("no memory", func(b *wasmtest.Builder) { b.Action("run", ok...) })
	add("no memory, host call", func(b *wasmtest.Builder) {
		f := b.Import(engine.UserModule, "echo", "I>I")
		b.Action("run", concat(wasmtest.I64(0), wasmtest.Call(f), []byte{0x1a}, ok)...)
	})
	add("export of another type", func(b *wasmtest.Builder) { b.Memory(1); b.Export("run", b.Func("I>i", ok...)) })
	add("two results", func(b *wasmtest.Builder) { b.Memory(1); b.Export("run", b.Func(">ii", concat(ok, ok)...)) })
	add("no result", func(b *wasmtest.Builder) { b.Memory(1); b.Export("run", b.Func(">")) })
	add("_initialize with a parameter", func(b *wasmtest.Builder) {
		b.Memory(1)
		b.Export("_initialize", b.Func("i>", 0x00))
		b.Action("run", ok...)
	})
	add("_initialize traps", func(b *wasmtest.Builder) {
		b.Memory(1)
		b.Export("_initialize", b.Func(">", 0x00))
		b.Action("run", ok...)
	})
	add("hs_init without parameters", func(b *wasmtest.Builder) {
		b.Memory(1)
		b.Export("hs_init", b.Func(">"))
		b.Action("run", ok...)
	})
	add("start function", func(b *wasmtest.Builder) {
		b.Memory(1)
		b.Start(b.Func(">", counting()...))
		b.Action("run", load0()...)
	})
	add("start function calls the host", func(b *wasmtest.Builder) {
		f := b.Import(engine.UserModule, "echo", "I>I")
		b.Memory(1)
		b.Start(b.Func(">", concat(wasmtest.I64(0), wasmtest.Call(f), []byte{0x1a})...))
		b.Action("run", ok...)
	})
	add("_initialize reads the input", func(b *wasmtest.Builder) {
		f := b.Import(engine.EnvModule, "input_length", ">I")
		b.Memory(1)
		b.Export("_initialize", b.Func(">", concat(wasmtest.I32(0), wasmtest.Call(f), []byte{0x37, 3, 0})...))
		b.Action("run", load0()...)
	})
	add("_initialize calls the host", func(b *wasmtest.Builder) {
		f := b.Import(engine.UserModule, "echo", "I>I")
		b.Memory(1)
		b.Export("_initialize", b.Func(">", concat(wasmtest.I32(0), wasmtest.I64(0), wasmtest.Call(f), []byte{0x37, 3, 0})...))
		b.Action("run", load0()...)
	})
	add("counter in memory", func(b *wasmtest.Builder) { b.Memory(1); b.Action("run", concat(counting(), load0())...) })
	add("grows and counts pages", func(b *wasmtest.Builder) {
		b.Memory(1)
		b.Action("run", concat(wasmtest.I32(1), []byte{0x40, 0, 0x1a, 0x3f, 0})...)
	})
	add("table grows", func(b *wasmtest.Builder) {
		b.Memory(1)
		b.Table(1)
		b.Action("run", concat([]byte{0xd0, 0x70}, wasmtest.I32(1), []byte{0xfc, 15, 0})...)
	})
	add("closes standard output", func(b *wasmtest.Builder) {
		f := b.Import(engine.WASIModule, "fd_close", "i>i")
		b.Memory(1)
		b.Action("run", concat(wasmtest.I32(1), wasmtest.Call(f))...)
	})
	add("exits with 0", func(b *wasmtest.Builder) {
		f := b.Import(engine.WASIModule, "proc_exit", "i>")
		b.Memory(1)
		b.Action("run", concat(wasmtest.I32(0), wasmtest.Call(f), ok)...)
	})
	return out
}

// counting adds one to the word at 0, load0 returns it.
func counting() []byte {
	return concat(wasmtest.I32(0), wasmtest.I32(0), []byte{0x28, 2, 0}, wasmtest.I32(1), []byte{0x6a, 0x36, 2, 0})
}

func load0() []byte { return concat(wasmtest.I32(0), []byte{0x28, 2, 0}) }
