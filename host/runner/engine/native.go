package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// varBytes is how much a guest may keep in Extism's variables.
const varBytes = 64 << 10

// Native is the engine that serves Extism's guest ABI in Go on wazero, and gives
// attempts sandboxes from a pool, put back to what they were after initialisation.
type Native struct {
	*core
	pool *pool
}

var _ Engine = (*Native)(nil)

// NewNative returns the native engine; the error lists every bad setting.
func NewNative(s Settings) (*Native, error) {
	pages, err := openPageMap()
	if err != nil {
		pages = nil // whole memories are put back
	}
	return newNative(s, pages)
}

// newNative takes the map over; it may be nil.
func newNative(s Settings, pages *pageMap) (*Native, error) {
	d := &nativeDriver{pool: newPool(s.Pool), pages: pages}
	c, err := newCore(s, d)
	if err != nil {
		if pages != nil {
			pages.close()
		}
		return nil, err
	}
	return &Native{core: c, pool: d.pool}, nil
}

// Stats implements Engine.
func (n *Native) Stats() Stats {
	s := n.core.Stats()
	n.pool.stats(&s)
	return s
}

// Close implements Engine.
func (n *Native) Close(ctx context.Context) error {
	n.pool.close()
	err := n.core.Close(ctx)
	if d := n.driver.(*nativeDriver); d.pages != nil {
		d.pages.close()
	}
	return err
}

type nativeDriver struct {
	pool  *pool
	pages *pageMap // nil: the kernel does not say which pages were written to
}

func (*nativeDriver) name() string { return NameNative }

func (d *nativeDriver) rewrite(c *compiled, wasm []byte) ([]byte, wasmfile.Info, error) {
	return wasmfile.Instrument(wasmfile.MergeData(wasm), d.rewriteOptions(c.engine.settings))
}

func (*nativeDriver) rewriteOptions(s Settings) wasmfile.Options {
	o := wasmfile.DefaultOptions()
	o.Limits, o.TableElements, o.StackBytes = s.Module, s.TableElements, s.StackBytes
	o.MemoryPages = uint32(min(s.MaxMemoryBytes/pageBytes, 65536))
	return o
}

func (d *nativeDriver) compile(c *compiled, cache wazero.CompilationCache, wasm []byte) (program, error) {
	ctx := context.Background()
	p := &nativeProgram{module: c, pool: d.pool, pages: d.pages, runtime: wazero.NewRuntimeWithConfig(ctx, c.runtimeConfig(cache)), first: newQueue()}
	if err := p.build(ctx, wasm); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// nativeProgram is a module compiled by wazero, with its host modules.
type nativeProgram struct {
	module  *compiled
	pool    *pool
	pages   *pageMap
	runtime wazero.Runtime
	code    wazero.CompiledModule
	// mended: what a guest changes can be put back, so that its sandbox may be used
	// again.
	mended  bool
	globals []string

	mu    sync.Mutex
	image atomic.Pointer[snapshot] // made once, by the first guest that can
	first queue                    // of attempts that want to be the first
}

// snapshot is the state of a guest after its initialisation.
type snapshot struct {
	memory  *image
	globals []uint64
}

func (p *nativeProgram) build(ctx context.Context, wasm []byte) error {
	// What changes the state of WASI itself (a file that is closed, say) can't be put
	// back: its caller's sandbox is not used again.
	listening := experimental.WithFunctionListenerFactory(ctx, experimental.FunctionListenerFactoryFunc(lasting))
	if _, err := wasi_snapshot_preview1.NewBuilder(p.runtime).Instantiate(listening); err != nil {
		return fmt.Errorf("make WASI: %w", err)
	}
	if err := p.buildEnv(ctx); err != nil {
		return err
	}
	if err := p.buildUser(ctx); err != nil {
		return err
	}
	if err := p.buildMeter(ctx); err != nil {
		return err
	}
	code, err := p.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return err
	}
	p.code, p.mended = code, !p.module.file.HasStart && p.module.info.Resettable()
	for _, i := range p.module.info.Globals {
		p.globals = append(p.globals, fmt.Sprintf("%s%d", wasmfile.GlobalExport, i))
	}
	return nil
}

func (p *nativeProgram) close() {
	p.pool.drop(p)
	if s := p.image.Load(); s != nil {
		s.memory.close()
	}
	_ = p.runtime.Close(context.Background())
}

// enter implements program: with a guest from the pool, or a new one.
func (p *nativeProgram) enter(ctx context.Context, i *instance) error {
	g, leads := p.pool.take(p), false
	if g == nil && p.mended {
		leads = p.first.join(ctx)
		g = p.pool.take(p) // of one who came back meanwhile
	}
	if g == nil {
		return p.make(ctx, i, leads)
	}
	if leads {
		p.first.leave()
	}
	i.memory = &g.memory.budget
	i.memory.begin(i.config.Limits.MemoryBytes, 0)
	if !i.memory.take(int64(g.memory.size + arenaPages*pageBytes)) {
		p.pool.put(g)
		return errors.New("the sandbox does not fit")
	}
	g.begin(i)
	i.admit(g)
	return nil
}

// make instantiates the module. Where there is a snapshot the guest is put to it,
// and else it is initialised in its first call.
func (p *nativeProgram) make(ctx context.Context, i *instance, leads bool) (err error) {
	g := &nativeGuest{program: p, leads: leads, memory: &space{most: uint64(p.module.engine.settings.MaxMemoryBytes)}}
	g.arena.budget, g.arena.edgeless = &g.memory.budget, p.module.engine.settings.Undefended.Edges
	i.memory = &g.memory.budget
	i.memory.begin(i.config.Limits.MemoryBytes, 0)
	if !i.memory.take(arenaPages * pageBytes) {
		return errors.New("the sandbox does not fit")
	}
	g.begin(i)
	whole := false
	defer func() { // also when wazero panics
		if !whole {
			g.destroy()
			if g.memory.err != nil {
				err = automation.Errorf(automation.CodeUnavailable, "make the memory of a sandbox: %w", g.memory.err)
			}
		}
	}()
	if err := g.instantiate(ctx); err != nil {
		return err
	}
	if s := p.image.Load(); s != nil {
		if err := g.adopt(s); err != nil {
			return err
		}
	}
	whole = true
	p.pool.made.Add(1)
	i.admit(g)
	return nil
}

// offer takes the snapshot from a guest that has just been initialised, if its
// initialisation had nothing to do with the attempt.
func (p *nativeProgram) offer(g *nativeGuest) {
	defer p.first.settle()
	if !p.mended || g.tainted || p.image.Load() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.image.Load() != nil {
		return
	}
	s := &snapshot{globals: g.read()}
	var err error
	if s.memory, err = newImage(g.memory.view(), p.pages); err != nil {
		p.module.engine.settings.Log.Error("a plugin's sandboxes cannot be used again", slog.String("digest", string(p.module.digest)), slog.Any("error", err))
		return
	}
	p.image.Store(s)
}

// guestKey finds the guest in a context that wazero has wrapped.
type guestKey struct{}

// guestContext is the context of a guest's call. Host functions find the guest
// in it without a search.
type guestContext struct {
	context.Context //nolint:containedctx // it is one
	guest           *nativeGuest
}

// Value implements context.Context.
func (c *guestContext) Value(key any) any {
	if key == (guestKey{}) {
		return c.guest
	}
	return c.Context.Value(key)
}

func guestOf(ctx context.Context) *nativeGuest {
	if c, ok := ctx.(*guestContext); ok {
		return c.guest
	}
	return ctx.Value(guestKey{}).(*nativeGuest)
}

// lasting gives a listener to each function of WASI that may change more than the
// guest's memory.
func lasting(def api.FunctionDefinition) experimental.FunctionListener {
	switch def.Name() {
	case "args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_res_get", "clock_time_get", "random_get",
		"sched_yield", "poll_oneoff", "fd_write", "fd_read", "fd_seek", "fd_fdstat_get", "fd_filestat_get",
		"fd_prestat_get", "fd_prestat_dir_name",
		"fd_fdstat_set_flags": // of the standard files, which have no flags; there are no others
		return nil
	}
	return experimental.FunctionListenerFunc(func(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64, _ experimental.StackIterator) {
		guestOf(ctx).tainted = true
	})
}
