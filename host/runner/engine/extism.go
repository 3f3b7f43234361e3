package engine

import (
	"context"
	"crypto/rand"
	"strings"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"opsconductor.dev/host/registry/wasmfile"
)

// Extism is the reference engine: extism/go-sdk on wazero, a fresh sandbox for
// every attempt.
type Extism struct{ *core }

var _ Engine = (*Extism)(nil)

// NewExtism returns the extism engine; the error lists every bad setting.
func NewExtism(s Settings) (*Extism, error) {
	c, err := newCore(s, extismDriver{})
	if err != nil {
		return nil, err
	}
	// The level is a global of the library; info keeps its own chatter out, and what
	// guests log through Extism (not through the host function log) from info on.
	extism.SetLogLevel(extism.LogLevelInfo)
	return &Extism{core: c}, nil
}

type extismDriver struct{}

func (extismDriver) name() string { return NameExtism }

func (extismDriver) rewrite(c *compiled, wasm []byte) ([]byte, wasmfile.Info, error) {
	return c.file.Tame(wasm, c.engine.settings.TableElements), wasmfile.Info{}, nil
}

func (extismDriver) compile(c *compiled, cache wazero.CompilationCache, wasm []byte) (program, error) {
	var funcs []extism.HostFunction
	for _, name := range c.hostFunctions() {
		f := extism.NewHostFunctionWithStack(name, extismHostFunction(name), []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64})
		funcs = append(funcs, f)
	}
	manifest := extism.Manifest{
		Wasm:   []extism.Wasm{extism.WasmData{Data: wasm, Name: "main"}},
		Memory: &extism.ManifestMemory{MaxHttpResponseBytes: 0, MaxVarBytes: varBytes},
	}
	p, err := extism.NewCompiledPlugin(context.Background(), manifest, extism.PluginConfig{RuntimeConfig: c.runtimeConfig(cache).WithCloseOnContextDone(true), EnableWasi: true}, funcs)
	if err != nil {
		return nil, err
	}
	return &extismProgram{module: c, plugin: p}, nil
}

// extismProgram is a module compiled by the library.
type extismProgram struct {
	module *compiled
	plugin *extism.CompiledPlugin
}

type instanceKey struct{}

func (p *extismProgram) enter(ctx context.Context, i *instance) error {
	i.memory = &budget{limit: i.config.Limits.MemoryBytes, sizes: &p.module.sizes}
	ctx = experimental.WithMemoryAllocator(context.WithValue(ctx, instanceKey{}, i), i.memory)
	ctx = experimental.WithCloseNotifier(ctx, experimental.CloseNotifyFunc(func(context.Context, uint32) { i.exited.Store(true) }))
	config := wazero.NewModuleConfig().WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime().
		WithNanosleep(i.sleep).WithStdout(i.stdio.writer("info")).WithStderr(i.stdio.writer("error"))
	plugin, err := p.plugin.Instance(ctx, extism.PluginInstanceConfig{ModuleConfig: config})
	if err != nil {
		return err
	}
	plugin.SetLogger(func(level extism.LogLevel, message string) { i.log(strings.ToLower(level.String()), message) })
	i.admit(&extismGuest{plugin: plugin})
	return nil
}

func (p *extismProgram) close() { _ = p.plugin.Close(context.Background()) }

// extismGuest is one sandbox of the library's.
type extismGuest struct{ plugin *extism.Plugin }

func (g *extismGuest) call(ctx context.Context, i *instance, export string, input []byte) answer {
	var a answer
	a.rc, a.output, a.err = g.plugin.CallWithContext(context.WithValue(ctx, instanceKey{}, i), export, input)
	if a.err != nil && i.halted.Load() == nil && !i.exited.Load() && ctx.Err() == nil {
		if text := g.plugin.GetError(); text != "" && text == a.err.Error() {
			a.failure, a.err = text, nil
		}
	}
	return a
}

func (g *extismGuest) leave(bool) { _ = g.plugin.CloseWithContext(context.Background()) }

// extismHostFunction returns the import that carries a host function's request
// from the guest's memory to the instance's HostCall, and the envelope back.
func extismHostFunction(name string) extism.HostFunctionStackCallback {
	return func(ctx context.Context, p *extism.CurrentPlugin, stack []uint64) {
		i := ctx.Value(instanceKey{}).(*instance)
		stack[0] = i.hostCall(ctx, kernel{p}, name, stack[0])
	}
}

// kernel is the library's exchange, a second WebAssembly module.
type kernel struct{ plugin *extism.CurrentPlugin }

func (k kernel) length(offset uint64) (uint64, error) { return k.plugin.Length(offset) }
func (k kernel) read(offset uint64) ([]byte, error)   { return k.plugin.ReadBytes(offset) }

func (k kernel) put(b []byte) (uint64, bool) {
	offset, err := k.plugin.Alloc(uint64(len(b)))
	return offset, err == nil && offset != 0 && k.plugin.Memory().Write(uint32(offset), b)
}
