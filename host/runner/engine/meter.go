package engine

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// meter is the fuel of a guest: the module counts down what it has, and asks for
// more when nothing is left. That is where a guest is stopped.
type meter struct {
	fuel, depth api.MutableGlobal
	given       int64 // in this attempt
}

// find looks for the globals in which the module counts.
func (m *meter) find(module api.Module) error {
	var ok, found bool
	m.fuel, ok = module.ExportedGlobal(wasmfile.FuelExport).(api.MutableGlobal)
	m.depth, found = module.ExportedGlobal(wasmfile.DepthExport).(api.MutableGlobal)
	if !ok || !found {
		return fmt.Errorf("the module has no globals %s and %s", wasmfile.FuelExport, wasmfile.DepthExport)
	}
	return nil
}

// begin starts an attempt with nothing, so that the guest asks at its first look.
func (m *meter) begin() {
	m.given = 0
	if m.fuel != nil {
		m.fuel.Set(0)
		m.depth.Set(0)
	}
}

// used is what the guest used in this attempt. It is called on the guest's
// goroutine.
func (m *meter) used() int64 {
	if m.fuel == nil {
		return m.given
	}
	return m.given - int64(m.fuel.Get())
}

// tick is called by a guest that has no fuel: it ends the guest, or gives it a
// slice more.
func (g *nativeGuest) tick(ctx context.Context, fuel api.MutableGlobal) {
	i, m := g.current.Load(), &g.meter
	if ctx.Err() != nil {
		i.halt(stopped(ctx, i.doing))
	}
	left := int64(fuel.Get())
	limit := i.config.Limits.Fuel
	if used := m.given - left; used >= limit {
		i.halt(overrun(automation.CodeFuelLimit, "fuel", "the plugin computed more than the limit of %d units of fuel allows", limit))
	}
	more := wasmfile.Slice - min(left, 0)
	m.given += more
	fuel.Set(uint64(left + more))
}

// buildMeter makes the module of what an instrumented guest asks.
func (p *nativeProgram) buildMeter(ctx context.Context) error {
	b := p.runtime.NewHostModuleBuilder(wasmfile.HostModule)
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, module api.Module, _ []uint64) {
		g := guestOf(ctx)
		fuel := g.meter.fuel
		if fuel == nil { // a start function, before there is an instance
			fuel = module.ExportedGlobal(wasmfile.FuelExport).(api.MutableGlobal)
		}
		g.tick(ctx, fuel)
	}), nil, nil).Export(wasmfile.TickImport)
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, _ []uint64) {
		i := guestOf(ctx).current.Load()
		err := automation.Errorf(automation.CodeDepthLimit, "the plugin's calls are nested too deeply: their frames passed %d bytes", p.stackBytes())
		err.Limit = limitDepth
		i.halt(err)
	}), nil, nil).Export(wasmfile.DeepImport)
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("make %s: %w", wasmfile.HostModule, err)
	}
	return nil
}

func (p *nativeProgram) stackBytes() uint32 { return p.module.engine.settings.StackBytes }
