package engine

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	extism "github.com/extism/go-sdk"

	"opsconductor.dev/host/automation"
)

// Extism is the reference engine: extism/go-sdk on wazero, a fresh instance for
// every attempt.
type Extism struct {
	settings Settings
	compiles chan struct{} // a slot for each compile under way

	instances, abandoned       atomic.Int64
	abandonedTotal, compiledNo atomic.Int64

	mu      sync.Mutex
	wg      sync.WaitGroup // every goroutine that the engine started
	closed  bool
	modules map[automation.Digest]*compiled
	idle    *list.List // of *compiled that nobody holds, the least recently used first
}

var _ Engine = (*Extism)(nil)

// NewExtism returns the extism engine; the error lists every bad setting.
func NewExtism(s Settings) (*Extism, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	// The level is a global of the library; info keeps its own chatter out, and what
	// guests log through Extism (not through the host function log) from info on.
	extism.SetLogLevel(extism.LogLevelInfo)
	return &Extism{
		settings: s, compiles: make(chan struct{}, 2),
		modules: map[automation.Digest]*compiled{}, idle: list.New(),
	}, nil
}

// Name implements Engine.
func (e *Extism) Name() string { return "extism" }

// Stats implements Engine.
func (e *Extism) Stats() Stats {
	e.mu.Lock()
	n := len(e.modules)
	e.mu.Unlock()
	return Stats{
		Modules: n, Instances: int(e.instances.Load()), Abandoned: int(e.abandoned.Load()),
		AbandonedTotal: int(e.abandonedTotal.Load()), Compiles: int(e.compiledNo.Load()),
	}
}

// Load implements Engine.
func (e *Extism) Load(ctx context.Context, digest automation.Digest, source Source) (Module, error) {
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
func (e *Extism) acquire(digest automation.Digest, compile func(*compiled)) (*compiled, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, automation.Errorf(automation.CodeUnavailable, "the plugin engine is shut down")
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
// module that did not compile is forgotten with its last reference.
func (e *Extism) release(c *compiled) {
	e.mu.Lock()
	var drop []*compiled
	c.refs--
	switch {
	case c.refs > 0:
	case c.err != nil || e.closed:
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
func (e *Extism) Close(ctx context.Context) error {
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
		return fmt.Errorf("close the plugin engine: %d abandoned calls still run: %w", e.abandoned.Load(), context.Cause(ctx))
	}
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
