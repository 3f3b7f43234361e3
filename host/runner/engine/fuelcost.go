package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"opsconductor.dev/host/registry/wasmfile"
)

// FuelCost says how much longer code takes when it is metered: 1.1 is a tenth.
type FuelCost struct {
	// Loop: a loop of 20 million turns, of a multiplication, an addition and an
	// exclusive or each. Call: Fibonacci numbers by recursion, that is, functions that
	// do next to nothing but call.
	Loop, Call float64
}

// The modules that MeasureFuel runs, each with a function "run" from i32 to i64.
//
//	loop: do { x = x*6364136223846793005 + n; s ^= x } while (--n)
//	call: run(n) = n < 2 ? n : run(n-1) + run(n-2)
const (
	fuelHead = "\x00\x61\x73\x6d\x01\x00\x00\x00\x01\x06\x01\x60\x01\x7f\x01\x7e\x03\x02\x01\x00\x07\x07\x01\x03" +
		"\x72\x75\x6e\x00\x00"
	fuelLoop = fuelHead +
		"\x0a\x2d\x01\x2b\x01\x02\x7e\x03\x40\x20\x01\x42\xad\xfe\xd5\xe4\xd4\x85\xfd\xa8\xd8\x00\x7e\x20" +
		"\x00\xad\x7c\x22\x01\x20\x02\x85\x21\x02\x20\x00\x41\x01\x6b\x22\x00\x0d\x00\x0b\x20\x02\x0b"
	fuelCall = fuelHead +
		"\x0a\x1f\x01\x1d\x00\x20\x00\x41\x02\x48\x04\x40\x20\x00\xad\x0f\x0b\x20\x00\x41\x01\x6b\x10\x00" +
		"\x20\x00\x41\x02\x6b\x10\x00\x7c\x0b"
)

// MeasureFuel measures what metering costs on this machine, within a second or
// two. Metered and plain code take turns of less than a millisecond, and the
// fastest turns are compared: other work on the machine disturbs it little.
func MeasureFuel(ctx context.Context) (FuelCost, error) {
	loop, err := fuelRatio(ctx, []byte(fuelLoop), 250_000, 80)
	if err != nil {
		return FuelCost{}, fmt.Errorf("measure a loop: %w", err)
	}
	call, err := fuelRatio(ctx, []byte(fuelCall), 23, 400)
	if err != nil {
		return FuelCost{}, fmt.Errorf("measure calls: %w", err)
	}
	return FuelCost{Loop: loop, Call: call}, nil
}

func fuelRatio(ctx context.Context, wasm []byte, n uint64, turns int) (float64, error) {
	metered, _, err := wasmfile.Instrument(wasm, wasmfile.DefaultOptions())
	if err != nil {
		return 0, err
	}
	var runs [2]api.Function
	for i, b := range [][]byte{wasm, metered} {
		rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2))
		defer func() { _ = rt.Close(context.WithoutCancel(ctx)) }()
		m, err := meteredModule(ctx, rt, b)
		if err != nil {
			return 0, err
		}
		runs[i] = m.ExportedFunction("run")
	}
	best := [2]time.Duration{time.Hour, time.Hour}
	for range turns {
		for i, f := range runs {
			began := time.Now()
			if _, err := f.Call(ctx, n); err != nil {
				return 0, err
			}
			best[i] = min(best[i], time.Since(began))
		}
	}
	return float64(best[1]) / float64(best[0]), nil
}

// meteredModule instantiates a module beside the functions that metered ones
// import; its ticks look at the context and go on.
func meteredModule(ctx context.Context, rt wazero.Runtime, wasm []byte) (api.Module, error) {
	var fuel api.MutableGlobal
	tick := func(ctx context.Context, _ api.Module, _ []uint64) {
		if ctx.Err() != nil {
			panic(context.Cause(ctx))
		}
		fuel.Set(wasmfile.Slice)
	}
	b := rt.NewHostModuleBuilder(wasmfile.HostModule)
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(tick), nil, nil).Export(wasmfile.TickImport)
	b.NewFunctionBuilder().WithFunc(func() {}).Export(wasmfile.DeepImport)
	if _, err := b.Instantiate(ctx); err != nil {
		return nil, err
	}
	m, err := rt.Instantiate(ctx, wasm)
	if err != nil {
		return nil, err
	}
	fuel, _ = m.ExportedGlobal(wasmfile.FuelExport).(api.MutableGlobal)
	return m, nil
}
