package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
)

// nativeGuest is one sandbox of the native engine. One attempt at a time has it.
type nativeGuest struct {
	program *nativeProgram
	module  api.Module
	memory  *space
	arena   arena
	vars    map[string][]byte
	globals []api.MutableGlobal
	meter   meter
	streams [2]io.Writer // of the instance that has the guest

	current atomic.Pointer[instance]
	// ready: it is initialised; starting: it is being initialised or instantiated.
	ready, starting bool
	// leads: others wait until it is initialised, or gone.
	leads bool
	// adopted: its memory is a mapping of the snapshot.
	adopted bool
	// tainted: it did what cannot be put back, or, while it started, what has to do
	// with the attempt.
	tainted bool

	since   time.Time // when it came into the pool
	counted int64     // what it costs there
}

var _ guest = (*nativeGuest)(nil)

// begin gives the guest to an instance.
func (g *nativeGuest) begin(i *instance) {
	g.current.Store(i)
	g.streams = [2]io.Writer{i.stdio.writer("info"), i.stdio.writer("error")}
	g.arena.begin()
	g.meter.begin()
}

func (g *nativeGuest) instantiate(ctx context.Context) error {
	g.starting = true
	defer func() { g.starting = false }()
	ctx = experimental.WithMemoryAllocator(&guestContext{ctx, g}, g.memory)
	ctx = experimental.WithCloseNotifier(ctx, experimental.CloseNotifyFunc(func(context.Context, uint32) {
		if i := g.current.Load(); i != nil {
			i.exited.Store(true)
		}
	}))
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime().
		WithNanosleep(func(ns int64) { g.current.Load().sleep(ns) }).
		WithStdout(outlet{g, 0}).WithStderr(outlet{g, 1})
	if files := g.program.module.engine.settings.Undefended.Files; files != nil {
		config = config.WithFSConfig(wazero.NewFSConfig().WithFSMount(files, "/"))
	}
	var err error
	g.module, err = g.program.runtime.InstantiateModule(ctx, g.program.code, config)
	if err != nil {
		return fmt.Errorf("instantiating module: %w", err)
	}
	if err := g.meter.find(g.module); err != nil {
		return err
	}
	for _, name := range g.program.globals {
		global, ok := g.module.ExportedGlobal(name).(api.MutableGlobal)
		if !ok {
			return fmt.Errorf("the mutable global %s cannot be reached", name)
		}
		g.globals = append(g.globals, global)
	}
	return nil
}

// outlet is what a guest prints to: the instance that has it.
type outlet struct {
	guest *nativeGuest
	which int
}

// Write implements io.Writer.
func (s outlet) Write(p []byte) (int, error) {
	s.guest.touch()
	return s.guest.streams[s.which].Write(p)
}

// touch is called when the guest does something that has to do with the attempt:
// an initialisation that does cannot be shared.
func (g *nativeGuest) touch() {
	if g.starting {
		g.tainted = true
	}
}

// serve is touch for functions of the host's, which a start function can't have:
// there is no call yet that they could belong to.
func (g *nativeGuest) serve() {
	if g.module == nil {
		panic(errors.New("the start function calls the host"))
	}
	g.touch()
}

// view is the guest's memory.
func (s *space) view() []byte {
	if s.region == nil {
		return nil
	}
	return s.region.bytes(s.size)
}

func (g *nativeGuest) read() []uint64 {
	out := make([]uint64, len(g.globals))
	for i, global := range g.globals {
		out[i] = global.Get()
	}
	return out
}

// adopt puts a guest that was instantiated, but not initialised, to the snapshot.
func (g *nativeGuest) adopt(s *snapshot) error {
	if more := s.memory.size - g.memory.size; more > 0 {
		if _, ok := g.module.Memory().Grow(uint32(more / pageBytes)); !ok {
			return errors.New("the sandbox does not fit")
		}
	}
	g.ready = true
	return g.restore(s)
}

func (g *nativeGuest) write(s *snapshot) {
	for i, v := range s.globals {
		g.globals[i].Set(v)
	}
}

// call implements guest. It does what go-sdk does: a new memory for blocks, the
// input, the initialisation before the first call, the export.
func (g *nativeGuest) call(ctx context.Context, i *instance, export string, input []byte) answer {
	ctx = &guestContext{ctx, g}
	g.arena.clear()
	if !g.arena.setInput(input) {
		i.halt(i.memoryLimit())
	}
	if !g.ready {
		if err := g.initialise(ctx); err != nil {
			return answer{rc: 1, err: fmt.Errorf("failed to initialize runtime: %w", err)}
		}
		g.ready = true
		g.program.offer(g)
	}
	var a answer
	defer func() { i.fuel.Store(g.meter.used()) }()
	var result [1]uint64
	a.err = g.module.ExportedFunction(export).CallWithStack(ctx, result[:])
	a.rc = uint32(result[0])
	var exit *sys.ExitError
	if errors.As(a.err, &exit) && exit.ExitCode() == 0 {
		a.err = nil // the instance knows that the guest ended itself
	}
	if a.err != nil || i.exited.Load() {
		return a
	}
	if text, ok := g.arena.copyOf(g.arena.failure, min(g.arena.lengthOf(g.arena.failure), failureBytes)); ok {
		a.failure = string(text)
	}
	a.output, _ = g.arena.copyOf(g.arena.output, g.arena.outputLength)
	return a
}

// initialise calls what toolchains export for it, as go-sdk does.
func (g *nativeGuest) initialise(ctx context.Context) error {
	g.starting = true
	defer func() { g.starting = false }()
	if f := g.module.ExportedFunction("hs_init"); f != nil {
		if first := g.module.ExportedFunction("_initialize"); first != nil {
			if _, err := first.Call(ctx); err != nil {
				g.current.Load().log("error", "Error running reactor _initialize: "+firstLine(err).Error())
			}
		}
		_, err := f.Call(ctx, 0, 0)
		return err
	}
	for _, name := range []string{"_initialize", "__wasm_call_ctors"} {
		if f := g.module.ExportedFunction(name); f != nil && len(f.Definition().ParamTypes()) == 0 {
			_, err := f.Call(ctx)
			return err
		}
	}
	return nil
}

// leave implements guest: what can be put back goes to the pool, all else is
// thrown away.
func (g *nativeGuest) leave(sound bool) {
	g.unlead()
	s := g.program.image.Load()
	g.current.Store(nil)
	g.streams = [2]io.Writer{}
	if !sound || g.tainted || s == nil || g.memory.size != s.memory.size || g.module.IsClosed() || g.restore(s) != nil {
		g.program.pool.thrown.Add(1)
		g.destroy()
		return
	}
	g.program.pool.put(g)
}

// restore puts back all that an attempt may have changed.
func (g *nativeGuest) restore(s *snapshot) error {
	g.arena.begin()
	g.meter.begin()
	g.vars = nil
	g.write(s)
	if s.memory.size == 0 {
		return nil
	}
	if g.adopted {
		return s.memory.restore(g.memory.region)
	}
	g.adopted = true
	return s.memory.adopt(g.memory.region)
}

// unlead lets the next one try to be the first.
func (g *nativeGuest) unlead() {
	if g.leads {
		g.leads = false
		g.program.first.leave()
	}
}

// destroy closes the guest. It is not running any more.
func (g *nativeGuest) destroy() {
	g.unlead()
	g.current.Store(nil)
	if g.module != nil {
		_ = g.module.Close(context.Background())
	}
	g.memory.release()
}
