package engine

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

const pageBytes = 64 << 10

// compiled is a module that is compiled once and shared. engine.mu guards refs
// and idle; everything else is set before ready is closed.
type compiled struct {
	engine *core
	digest automation.Digest
	ready  chan struct{}
	err    error
	source Source
	file   *wasmfile.File // of the artifact
	info   wasmfile.Info  // of what is compiled
	code   program
	cache  wazero.CompilationCache
	// stuck counts abandoned calls that still run in instances of this module.
	stuck atomic.Int64
	sizes sizes
	used  atomic.Bool // an instance was asked for

	refs int
	idle *list.Element
}

// compile reads, checks and compiles the module. It runs to its end: wazero's
// compiler can't be stopped.
func (c *compiled) compile(source Source) {
	e := c.engine
	e.compiles <- struct{}{}
	defer func() { <-e.compiles }()
	if e.shut() { // while it waited for its turn
		c.err = errShut()
		return
	}
	e.compiling.Add(1)
	defer e.compiling.Add(-1)
	defer func() {
		if r := recover(); r != nil {
			c.err = automation.Errorf(automation.CodeBadPlugin, "the compiler gave up on the plugin: %v", r)
		}
	}()
	e.compiledNo.Add(1)
	c.source = source
	wasm, err := source(context.Background())
	if err != nil {
		c.err = err
		return
	}
	if wasm, err = c.rewrite(wasm); err != nil {
		c.err = err
		return
	}
	if err := c.build(wasm); err != nil {
		c.close()
		var said *automation.Error
		if errors.As(err, &said) {
			c.err = said
			return
		}
		e.settings.Log.Warn("plugin does not compile", slog.String("digest", string(c.digest)), slog.Any("error", err))
		bad := automation.Errorf(automation.CodeBadPlugin, "the plugin does not compile: %w", firstLine(err))
		bad.Suggestion = "build it again with a supported toolchain, for WebAssembly 2.0 without exceptions and threads"
		c.err = bad
	}
}

// build compiles with the cache on disk, and without it when that does not work:
// a spoilt cache file must not keep a plugin from running.
func (c *compiled) build(wasm []byte) error {
	if c.engine.settings.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(c.engine.settings.CacheDir)
		if err == nil {
			if err = c.buildWith(cache, wasm); err == nil {
				return nil
			}
		}
		c.engine.settings.Log.Warn("compiling without the cache on disk", slog.String("dir", c.engine.settings.CacheDir), slog.Any("error", err))
		c.close()
	}
	return c.buildWith(wazero.NewCompilationCache(), wasm)
}

// buildWith compiles with a cache of the module's own. Caches share a folder, not
// memory: closing a runtime leaves its code in a shared cache for ever.
func (c *compiled) buildWith(cache wazero.CompilationCache, wasm []byte) error {
	c.cache = cache
	var err error
	c.code, err = c.engine.driver.compile(c, cache, wasm)
	return err
}

// runtimeConfig is what both engines ask of wazero.
func (c *compiled) runtimeConfig(cache wazero.CompilationCache) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().WithCompilationCache(cache).
		WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false).
		WithMemoryLimitPages(uint32(min(c.engine.settings.MaxMemoryBytes/pageBytes, 65536)))
}

// hostFunctions are the names of the host functions that the module imports.
func (c *compiled) hostFunctions() []string {
	var names []string
	for _, im := range c.file.Imports {
		if im.Module == UserModule && !slices.Contains(names, im.Name) {
			names = append(names, im.Name)
		}
	}
	return names
}

// close releases the code. Nobody holds a reference any more.
func (c *compiled) close() {
	if c.code != nil {
		c.code.close()
		c.code = nil
	}
	if c.cache != nil {
		_ = c.cache.Close(context.Background())
		c.cache = nil
	}
}

// reference is one holder's Module.
type reference struct {
	*compiled
	released atomic.Bool
}

// Imports implements Module.
func (c *compiled) Imports() []wasmfile.Import { return c.file.Imports }

// Exports implements Module.
func (c *compiled) Exports() []wasmfile.Export { return c.file.Exports }

// Release implements Module.
func (r *reference) Release() {
	if !r.released.Swap(true) {
		r.engine.release(r.compiled)
	}
}
