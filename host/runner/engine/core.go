package engine

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// driver makes an engine one of its kind. Its methods are called concurrently.
type driver interface {
	name() string
	// rewrite returns the module that is compiled in place of the artifact, and what
	// was done to it.
	rewrite(c *compiled, wasm []byte) ([]byte, wasmfile.Info, error)
	// compile compiles it with a cache of the module's own, which outlives the program.
	compile(c *compiled, cache wazero.CompilationCache, wasm []byte) (program, error)
}

// program is compiled code.
type program interface {
	// enter gives the instance a guest. It runs on a goroutine of the engine, and may
	// run guest code.
	enter(ctx context.Context, i *instance) error
	// close releases the code; no guest of it is in use any more.
	close()
}

// guest is what runs in an instance.
type guest interface {
	// call runs an export with an input.
	call(ctx context.Context, i *instance, export string, input []byte) answer
	// leave ends the guest's time in the instance; sound says that its last call
	// ended as it should.
	leave(sound bool)
}

// answer is what a call gave back. failure is the text that the guest set; err is
// how it ended early.
type answer struct {
	rc      uint32
	output  []byte
	failure string
	err     error
}

// core is what the engines have in common: modules by digest, their references,
// the goroutines that run guests.
type core struct {
	settings Settings
	driver   driver
	compiles chan struct{} // a slot for each compile under way

	instances, abandoned       atomic.Int64
	abandonedTotal, compiledNo atomic.Int64
	compiling                  atomic.Int64 // at this moment

	mu      sync.Mutex
	wg      sync.WaitGroup // every goroutine that the engine started
	closed  bool
	modules map[automation.Digest]*compiled
	idle    *list.List // of *compiled that nobody holds, the least recently used first
}

func newCore(s Settings, d driver) (*core, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &core{
		settings: s, driver: d, compiles: make(chan struct{}, 2),
		modules: map[automation.Digest]*compiled{}, idle: list.New(),
	}, nil
}

// Name implements Engine.
func (e *core) Name() string { return e.driver.name() }

// Stats implements Engine.
func (e *core) Stats() Stats {
	e.mu.Lock()
	n := len(e.modules)
	e.mu.Unlock()
	return Stats{
		Modules: n, Instances: int(e.instances.Load()), Abandoned: int(e.abandoned.Load()),
		AbandonedTotal: int(e.abandonedTotal.Load()), Compiles: int(e.compiledNo.Load()),
	}
}

// Load implements Engine.
func (e *core) Load(ctx context.Context, digest automation.Digest, source Source) (Module, error) {
	c, err := e.acquire(digest, func(c *compiled) { c.compile(source) })
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.settings.CompileTimeout,
		fmt.Errorf("the time limit of %s for compiling a plugin", e.settings.CompileTimeout))
	defer cancel()
	select {
	case <-c.ready:
	case <-ctx.Done():
		e.release(c)
		return nil, stopped(ctx, "compiling the plugin")
	}
	if c.err != nil {
		e.release(c)
		return nil, c.err
	}
	return &reference{compiled: c}, nil
}

// acquire takes a reference to a digest's module; when there is none it makes one
// and starts compile.
func (e *core) acquire(digest automation.Digest, compile func(*compiled)) (*compiled, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errShut()
	}
	c := e.modules[digest]
	if c == nil {
		c = &compiled{engine: e, digest: digest, ready: make(chan struct{}), refs: 1} // the compile's own reference
		e.modules[digest] = c
		e.wg.Go(func() {
			compile(c)
			close(c.ready)
			e.release(c)
		})
	}
	if c.idle != nil {
		e.idle.Remove(c.idle)
		c.idle = nil
	}
	c.refs++
	return c, nil
}

// release gives a reference back and closes what the cache has no room for. A
// module that did not compile is forgotten with its last reference, and so is one
// of which nobody wanted an instance, if its code is on disk.
func (e *core) release(c *compiled) {
	e.mu.Lock()
	var drop []*compiled
	c.refs--
	switch {
	case c.refs > 0:
	case c.err != nil || e.closed || !c.used.Load() && e.settings.CacheDir != "":
		drop = append(drop, c)
		delete(e.modules, c.digest)
	default:
		c.idle = e.idle.PushBack(c)
		for e.idle.Len() > e.settings.Modules {
			old := e.idle.Remove(e.idle.Front()).(*compiled)
			delete(e.modules, old.digest)
			drop = append(drop, old)
		}
	}
	e.mu.Unlock()
	for _, old := range drop {
		old.close()
	}
}

// Close implements Engine.
func (e *core) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	var drop []*compiled
	for el := e.idle.Front(); el != nil; el = e.idle.Front() {
		c := e.idle.Remove(el).(*compiled)
		delete(e.modules, c.digest)
		drop = append(drop, c)
	}
	e.mu.Unlock()
	for _, c := range drop {
		c.close()
	}
	done := make(chan struct{})
	var waiter sync.WaitGroup
	waiter.Go(func() { e.wg.Wait(); close(done) })
	select {
	case <-done:
		waiter.Wait()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the plugin engine: %d plugins are still being compiled and %d abandoned calls still run, and neither can be stopped: %w",
			e.compiling.Load(), e.abandoned.Load(), context.Cause(ctx))
	}
}

// shut reports whether the engine was closed.
func (e *core) shut() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// errShut is the error of a call to an engine that was closed.
func errShut() error {
	return automation.Errorf(automation.CodeUnavailable, "the plugin engine is shut down")
}

// stopped is the error of work that its context ended: timeout with the deadline
// that fired (the context's cause names it), or cancelled.
func stopped(ctx context.Context, doing string) *automation.Error {
	cause := context.Cause(ctx)
	code := automation.CodeCancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = automation.CodeTimeout
	}
	err := automation.Errorf(code, "%s was stopped: %w", doing, cause)
	err.CanRetry = code == automation.CodeTimeout
	return err
}
