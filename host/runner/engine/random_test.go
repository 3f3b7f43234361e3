package engine_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// trace is all that can be seen of a random module's execution.
type trace struct {
	Calls   []string
	Memory  [sha256.Size]byte // its hash
	Globals []uint64
}

// TestRandomModules: what a module made by chance calculates does not change when
// it is instrumented, and the fuel that it needs is the same each time, whatever
// the slices in which it is given.
func TestRandomModules(t *testing.T) {
	t.Parallel()
	n := uint64(300)
	if testing.Short() {
		n = 30
	}
	for seed := range n {
		compareRandom(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzRandomModules is TestRandomModules on the seeds that the fuzzer finds.
func FuzzRandomModules(f *testing.F) {
	f.Add(uint64(1))
	f.Add(uint64(738)) // the generator made a module of it once that did not end
	f.Fuzz(func(t *testing.T, seed uint64) { compareRandom(t, seed) })
}

func compareRandom(t *testing.T, seed uint64) {
	t.Helper()
	plain := wasmtest.Random(seed)
	metered, info, err := wasmfile.Instrument(plain, wasmfile.DefaultOptions())
	if err != nil {
		t.Fatalf("instrument: %v", err)
	}
	if len(metered) > 3*len(plain)+64<<10 || info.BytesAfter != len(metered) {
		t.Errorf("%d bytes became %d (info: %d)", len(plain), len(metered), info.BytesAfter)
	}
	want, _ := runRandom(t, plain, 0)
	got, used := runRandom(t, metered, wasmfile.Slice)
	again, usedAgain := runRandom(t, metered, 777)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("instrumented (-plain +instrumented):\n%s", diff)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("instrumented, with small slices (-plain +instrumented):\n%s", diff)
	}
	if !slices.Equal(used, usedAgain) {
		t.Errorf("fuel used: %d with large slices and %d with small ones, want the same", used, usedAgain)
	}
}

// meteredRun is a module at work and what it has used.
type meteredRun struct {
	m       api.Module
	fuel    api.MutableGlobal // nil: not instrumented
	depth   api.MutableGlobal
	granted int64
	close   func()
}

func newMeteredRun(t *testing.T, wasm []byte, slice int64) *meteredRun {
	t.Helper()
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	r := &meteredRun{close: func() { _ = rt.Close(context.WithoutCancel(t.Context())) }}
	serveFuel(t, rt, slice, func() { r.granted += slice - int64(r.fuel.Get()) })
	var err error
	if r.m, err = rt.Instantiate(t.Context(), wasm); err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	if g := r.m.ExportedGlobal(wasmfile.FuelExport); g != nil {
		r.fuel = g.(api.MutableGlobal)
		r.depth = r.m.ExportedGlobal(wasmfile.DepthExport).(api.MutableGlobal)
	}
	return r
}

// call calls one function, and returns what came of it, and the fuel that it used:
// 0 of one that traps, where what a loop has in its local is lost.
func (r *meteredRun) call(t *testing.T, name string, args ...uint64) (string, int64) {
	t.Helper()
	before := int64(0)
	if r.fuel != nil {
		before = r.granted - int64(r.fuel.Get())
	}
	got, err := r.m.ExportedFunction(name).Call(t.Context(), args...)
	switch {
	case r.fuel == nil && err == nil:
		return fmt.Sprint(got), 0
	case err == nil:
		if d := r.depth.Get(); d != 0 {
			t.Errorf("depth after %s: got %d, want 0", name, d)
		}
		return fmt.Sprint(got), r.granted - int64(r.fuel.Get()) - before
	case r.fuel != nil:
		r.depth.Set(0)
	}
	return firstLine(err.Error()), 0
}

// runRandom calls every function of a module made by chance.
func runRandom(t *testing.T, wasm []byte, slice int64) (trace, []int64) {
	t.Helper()
	r := newMeteredRun(t, wasm, slice)
	defer r.close()
	var out trace
	var used []int64
	for i := range len(r.m.ExportedFunctionDefinitions()) {
		r.m.ExportedGlobal("gas").(api.MutableGlobal).Set(500)
		outcome, fuel := r.call(t, fmt.Sprintf("f%d", i), uint64(i), 1000)
		out.Calls, used = append(out.Calls, outcome), append(used, fuel)
	}
	b, _ := r.m.Memory().Read(0, r.m.Memory().Size())
	out.Memory = sha256.Sum256(b)
	out.Globals = []uint64{r.m.ExportedGlobal("g0").Get(), r.m.ExportedGlobal("g1").Get()}
	return out, used
}
