package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// hostileBudget is what a hostile module gets, and patience by when it has to be
// over on a machine with other work. Without their defences these modules take
// between ten seconds and for ever.
const (
	hostileBudget = 300 * time.Millisecond
	patience      = 5 * time.Second
)

// loop is an endless loop.
var loop = []byte{0x03, 0x40, 0x0c, 0, 0x0b}

func TestHostileModules(t *testing.T) { onBoth(t, testHostileModules) }

func testHostileModules(t *testing.T, kind string) {
	for name, tc := range map[string]struct {
		wasm []byte
		code automation.Code
	}{
		"endless loop in the call":          {hand(concat(loop, []byte{0x41, 0})...), automation.CodeTimeout},
		"endless loop in the start":         {loopIn("start"), automation.CodeTimeout},
		"endless loop in _initialize":       {loopIn("_initialize"), automation.CodeTimeout},
		"endless loop in __wasm_call_ctors": {loopIn("__wasm_call_ctors"), automation.CodeTimeout},
		"endless loop in hs_init":           {loopIn("hs_init"), automation.CodeTimeout},
		"exponential chain of calls":        {chain(34), automation.CodeTimeout},
		"bulk fills in a straight line":     {fills(2000), automation.CodeTimeout},
		"unreachable":                       {hand(0x00), automation.CodePluginCrashed},
		"endless recursion":                 {recursion(), ""},
		"memory at the start":               {memory(600), automation.CodeBadPlugin},
		"table at the start":                {table(1 << 28), automation.CodeBadPlugin},
		"compile bomb, one large body":      {hand(concat(repeat(concat([]byte{0x03, 0x40}, []byte{0x0b}), 70000), []byte{0x41, 0})...), automation.CodeBadPlugin},
		"compile bomb, 20,000 loops":        {hand(concat(repeat([]byte{0x03, 0x40, 0x0b}, 20000), []byte{0x41, 0})...), automation.CodeBadPlugin},
		"unknown import":                    {imports("env", "system"), automation.CodeBadPlugin},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, kind, func(s *engine.Settings) { s.CacheDir = "" })
			ctx, cancel := context.WithTimeoutCause(t.Context(), hostileBudget, errors.New("the deadline of the test"))
			defer cancel()
			m, err := e.Load(t.Context(), automation.Digest(name), bytesOf(tc.wasm))
			if err != nil {
				wantCode(t, err, tc.code)
				return
			}
			defer m.Release()
			began := time.Now()
			_, err = call(ctx, m, config(), "run", nil)
			if tc.code != "" { // else one of several
				wantCode(t, err, tc.code)
			}
			if err == nil {
				t.Error("the call succeeded")
			}
			d := time.Since(began)
			t.Logf("ended after %s", d)
			if d > patience {
				t.Errorf("ended after %s, want within %s", d, patience)
			}
			if tc.code == automation.CodeTimeout && !strings.Contains(err.Error(), "the deadline of the test") {
				t.Errorf("the error %q does not name its deadline", err)
			}
		})
	}
}

// loopIn makes a module with an endless loop in one of the places that run
// before the action.
func loopIn(place string) []byte {
	var b wasmtest.Builder
	b.Memory(1)
	b.Action("run", 0x41, 0)
	if place == "hs_init" {
		b.Export(place, b.Func("ii>", loop...))
		return b.Bytes()
	}
	f := b.Func(">", loop...)
	if place == "start" {
		b.Start(f)
	} else {
		b.Export(place, f)
	}
	return b.Bytes()
}

// chain makes a module of functions that each call the next one twice: 2^depth
// calls without a loop, where wazero never looks at the context.
func chain(depth int) []byte {
	var b wasmtest.Builder
	b.Memory(1)
	f := b.Func(">")
	for range depth {
		f = b.Func(">", concat(wasmtest.Call(f), wasmtest.Call(f))...)
	}
	b.Action("run", concat(wasmtest.Call(f), []byte{0x41, 0})...)
	return b.Bytes()
}

// fills makes a module that fills 19 MB again and again without a loop.
func fills(n int) []byte {
	var b wasmtest.Builder
	b.Memory(300)
	fill := concat(wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(300<<16), []byte{0xfc, 11, 0})
	b.Action("run", concat(repeat(fill, n), []byte{0x41, 0})...)
	return b.Bytes()
}

func recursion() []byte {
	var b wasmtest.Builder
	b.Memory(1)
	b.Action("run", wasmtest.Call(0)...)
	return b.Bytes()
}

func memory(pages uint64) []byte {
	var b wasmtest.Builder
	b.Memory(pages)
	b.Action("run", 0x41, 0)
	return b.Bytes()
}

func table(elements uint64) []byte {
	var b wasmtest.Builder
	b.Memory(1)
	b.Table(elements)
	b.Action("run", 0x41, 0)
	return b.Bytes()
}

func imports(module, name string) []byte {
	var b wasmtest.Builder
	b.Import(module, name, ">")
	b.Memory(1)
	b.Action("run", 0x41, 0)
	return b.Bytes()
}

func repeat(p []byte, n int) []byte { return []byte(strings.Repeat(string(p), n)) }

// TestGrowthIsBounded: memory.grow and table.grow answer -1 at their bounds, and
// the guest goes on.
func TestGrowthIsBounded(t *testing.T) { onBoth(t, testGrowthIsBounded) }

func testGrowthIsBounded(t *testing.T, kind string) {
	e := newEngine(t, kind, nil)
	for name, tc := range map[string]struct {
		body []byte
		rc   uint32
	}{
		"memory within": {concat(wasmtest.I32(100), []byte{0x40, 0}, wasmtest.I32(-1), []byte{0x46}), 0},
		"memory beyond": {concat(wasmtest.I32(600), []byte{0x40, 0}, wasmtest.I32(-1), []byte{0x46}), 1},
		"table within":  {concat([]byte{0xd0, 0x70}, wasmtest.I32(90_000), []byte{0xfc, 15, 0}, wasmtest.I32(-1), []byte{0x46}), 0},
		"table beyond":  {concat([]byte{0xd0, 0x70}, wasmtest.I32(200_000), []byte{0xfc, 15, 0}, wasmtest.I32(-1), []byte{0x46}), 1},
		"table 2^27":    {concat([]byte{0xd0, 0x70}, wasmtest.I32(1<<27), []byte{0xfc, 15, 0}, wasmtest.I32(-1), []byte{0x46}), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b wasmtest.Builder
			b.Memory(1)
			b.Table(1)
			b.Action("run", tc.body...)
			m := load(t, e, name, b.Bytes())
			r, err := call(t.Context(), m, config(), "run", nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.RC != tc.rc {
				t.Errorf("got %d, want %d (1: refused)", r.RC, tc.rc)
			}
			if r.Usage.MemoryBytes > engine.DefaultLimits().MemoryBytes {
				t.Errorf("memory used: %d bytes, more than the limit", r.Usage.MemoryBytes)
			}
		})
	}
}
