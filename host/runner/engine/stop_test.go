package engine_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

var errLate = errors.New("the time is up")

// metered makes a runtime without any look at the context of wazero's own and
// instantiates a module in it, instrumented.
func metered(tb testing.TB, wasm []byte, tick func()) api.Module {
	tb.Helper()
	out, _, err := wasmfile.Instrument(wasm, wasmfile.DefaultOptions())
	if err != nil {
		tb.Fatalf("instrument: %v", err)
	}
	ctx := context.WithoutCancel(tb.Context())
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2))
	tb.Cleanup(func() { _ = rt.Close(ctx) })
	serveFuel(tb, rt, wasmfile.Slice, tick)
	m, err := rt.Instantiate(ctx, out)
	if err != nil {
		tb.Fatalf("instantiate: %v", err)
	}
	return m
}

// TestFuelStopsAnything: a deadline of 100 ms, looked at in ticks alone, ends
// guests of every kind that wazero's own check does not, or at a price; and no tick
// is more than a hundredth of that behind, in units of fuel.
func TestFuelStopsAnything(t *testing.T) {
	t.Parallel()
	const deadline = 100 * time.Millisecond
	for name, wasm := range map[string][]byte{
		"loop":              hand(concat(loop, []byte{0x41, 0})...),
		"chain of calls":    chain(34),
		"wide chain":        wideChain(),
		"fills":             fills(2_000),
		"copies":            copies(8_000, 0, 1),
		"copies, backwards": copies(8_000, 1, 0),
		"table growth":      tableGrowth(),
		"table copies":      tableCopies(),
		"memory growth":     hand(concat([]byte{0x03, 0x40, 0x41, 0, 0x40, 0, 0x1a, 0x0c, 0, 0x0b}, []byte{0x41, 0})...),
	} {
		t.Run(name, func(t *testing.T) {
			var end time.Time
			var m api.Module
			worst := int64(0)
			m = metered(t, wasm, func() {
				if m != nil {
					worst = max(worst, -int64(m.ExportedGlobal(wasmfile.FuelExport).Get()))
				}
				if !time.Now().Before(end) {
					panic(errLate)
				}
			})
			end = time.Now().Add(deadline)
			_, err := m.ExportedFunction("run").Call(context.WithoutCancel(t.Context()))
			late := time.Since(end)
			if !errors.Is(err, errLate) {
				t.Fatalf("got %v, want it stopped", err)
			}
			t.Logf("%s late, at most %d units behind", late, worst)
			if late > patience { // some 0.1 ms on an idle machine
				t.Errorf("stopped %s late", late)
			}
			if worst > 200_000 { // a megabyte copied and a bit; some 0.1 ms
				t.Errorf("a tick came %d units of fuel late", worst)
			}
		})
	}
}

// TestRefill: a module that gives itself fuel still asks after each slice.
func TestRefill(t *testing.T) {
	t.Parallel()
	o := wasmfile.DefaultOptions()
	o.Refill = 1000
	out, _, err := wasmfile.Instrument(hand(concat(loop, []byte{0x41, 0})...), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	defer func() { _ = rt.Close(ctx) }()
	ticks, fuel := 0, []int64{}
	b := rt.NewHostModuleBuilder(wasmfile.HostModule)
	b.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module) {
		fuel = append(fuel, int64(m.ExportedGlobal(wasmfile.FuelExport).Get()))
		if ticks++; ticks == 10 {
			panic(errLate)
		}
	}).Export(wasmfile.TickImport)
	b.NewFunctionBuilder().WithFunc(func() {}).Export(wasmfile.DeepImport)
	if _, err := b.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	m, err := rt.Instantiate(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.ExportedFunction("run").Call(ctx); !errors.Is(err, errLate) || ticks != 10 {
		t.Errorf("got %v after %d ticks (fuel %v), want it stopped by the tenth", err, ticks, fuel)
	}
}

// wideChain makes functions that each call the one before 5,000 times.
func wideChain() []byte {
	var b wasmtest.Builder
	b.Memory(1)
	f := b.Func(">", repeat([]byte{0x41, 0, 0x1a}, 4)...)
	for range 6 {
		f = b.Func(">", repeat(wasmtest.Call(f), 5000)...)
	}
	b.Action("run", concat(wasmtest.Call(f), []byte{0x41, 0})...)
	return b.Bytes()
}

func copies(n int, to, from int64) []byte {
	var b wasmtest.Builder
	b.Memory(300)
	one := concat(wasmtest.I32(to), wasmtest.I32(from), wasmtest.I32(299<<16), []byte{0xfc, 10, 0, 0})
	for range 20 {
		b.Func(">", repeat(one, n/20)...)
	}
	b.Action("run", concat([]byte{0x03, 0x40}, wasmtest.Call(0), []byte{0x0c, 0, 0x0b, 0x41, 0})...)
	return b.Bytes()
}

func tableGrowth() []byte {
	var b wasmtest.Builder
	b.Memory(1)
	b.Table(1)
	b.Action("run", concat([]byte{0x03, 0x40, 0xd0, 0x70}, wasmtest.I32(1<<20), []byte{0xfc, 15, 0, 0x1a, 0x0c, 0, 0x0b, 0x41, 0})...)
	return b.Bytes()
}

func tableCopies() []byte {
	var b wasmtest.Builder
	b.Memory(1)
	b.Table(100_000)
	one := concat(wasmtest.I32(0), wasmtest.I32(1), wasmtest.I32(99_999), []byte{0xfc, 14, 0, 0})
	b.Func(">", repeat(one, 2000)...)
	b.Action("run", concat([]byte{0x03, 0x40}, wasmtest.Call(0), []byte{0x0c, 0, 0x0b, 0x41, 0})...)
	return b.Bytes()
}

// TestRecursionIsBounded: whatever the frames hold, endless recursion ends as such,
// and less than 50 MB of the host's memory are taken meanwhile.
func TestRecursionIsBounded(t *testing.T) {
	for name, wasm := range recursions() {
		t.Run(name, func(t *testing.T) {
			m := metered(t, wasm, func() {})
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err := m.ExportedFunction("run").Call(context.WithoutCancel(t.Context()))
			runtime.ReadMemStats(&after)
			taken := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d KiB", taken>>10)
			if !errors.Is(err, errDeep) {
				t.Errorf("got %v, want %v", firstLine(err.Error()), errDeep)
			}
			if taken > 50_000_000 {
				t.Errorf("%d bytes were taken", taken)
			}
		})
	}
}

// recursions are functions that call themselves at once, each with frames of
// another kind.
func recursions() map[string][]byte {
	self := func(s wasmtest.Sig, locals uint64, before, after []byte) []byte {
		var b wasmtest.Builder
		b.Memory(1)
		b.Table(1)
		f := b.FuncLocals(s, locals, concat(before, wasmtest.Call(0), after)...)
		b.Elements(0, f)
		enter := []byte{}
		for range strings.Index(string(s), ">") {
			enter = append(enter, 0x41, 0)
		}
		b.Action("run", concat(enter, wasmtest.Call(f), []byte{0x41, 0})...)
		return b.Bytes()
	}
	grown := func(n int, step []byte) []byte { return repeat(step, n) }
	// Values that differ and are all needed after the call.
	stored := []byte{0x36, 2, 0}
	values := concat([]byte{0x41, 0}, grown(1000, []byte{0x41, 0, 0x28, 2, 0}))
	vectors := concat([]byte{0x41, 0}, grown(1000, []byte{0x41, 0, 0xfd, 0, 4, 0}))
	return map[string][]byte{
		"bare":            self(">", 0, nil, nil),
		"parameters":      self("iiiiiiiiiiiiiiiiiiii>", 0, grown(20, []byte{0x20, 3}), nil),
		"locals":          locals(),
		"operands":        self(">", 0, values, concat(grown(999, []byte{0x6a}), stored)),
		"vector operands": self(">", 0, vectors, concat(grown(999, []byte{0xfd, 0xae, 1}), []byte{0xfd, 0x53}, stored)),
		"one at a time": func() []byte {
			var b wasmtest.Builder
			b.Memory(1)
			leaf := b.Func(">")
			one := concat([]byte{0x41, 0, 0x41, 0, 0x28, 2, 0}, wasmtest.Call(leaf), stored)
			b.Func(">", concat(grown(400, one), wasmtest.Call(1))...)
			b.Action("run", concat(wasmtest.Call(1), []byte{0x41, 0})...)
			return b.Bytes()
		}(),
		"phis": phis(),
		"indirect": func() []byte {
			var b wasmtest.Builder
			b.Memory(1)
			b.Table(1)
			b.Elements(0, b.Func(">", 0x41, 0, 0x11, 0, 0))
			b.Action("run", concat(wasmtest.Call(0), []byte{0x41, 0})...)
			return b.Bytes()
		}(),
	}
}

// locals makes a function with many locals that are needed after the call.
func locals() []byte {
	var b wasmtest.Builder
	b.Memory(1)
	var set, use []byte
	for l := range uint64(500) {
		set = append(set, concat([]byte{0x41, 0, 0x28, 2, 0, 0x21}, wasmtest.U(l))...)
		use = append(use, concat([]byte{0x41, 0, 0x20}, wasmtest.U(l), []byte{0x36, 2, 0})...)
	}
	b.FuncLocals(">", 500, concat(set, wasmtest.Call(0), use)...)
	b.Action("run", concat(wasmtest.Call(0), []byte{0x41, 0})...)
	return b.Bytes()
}

// phis makes a function whose locals all change in each of many loops.
func phis() []byte {
	var b wasmtest.Builder
	b.Memory(1)
	const locals, loops = 100, 60
	var change []byte
	for l := range locals {
		change = append(change, concat([]byte{0x20}, wasmtest.U(uint64(l)), []byte{0x3f, 0, 0x6a, 0x21}, wasmtest.U(uint64(l)))...)
	}
	body := concat(repeat([]byte{0x03, 0x40}, loops), change, wasmtest.Call(0), change, repeat(concat(wasmtest.I32(0), []byte{0x0d, 0, 0x0b}), loops))
	b.FuncLocals(">", locals, body...)
	b.Action("run", concat(wasmtest.Call(0), []byte{0x41, 0})...)
	return b.Bytes()
}
