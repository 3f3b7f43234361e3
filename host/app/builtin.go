package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/plugins"
)

// uncompiled are the built-in plugins that were stored at this start: nobody has
// compiled them yet.
type uncompiled struct {
	artifacts map[string][]byte // by name; compilePlugins alone has them once the host serves
	left      atomic.Int64
}

// ensurePlugins makes sure that the built-in plugins are stored and active, and notes
// those that were not.
func (a *App) ensurePlugins(ctx context.Context) error {
	artifacts, err := plugins.Builtin()
	if err != nil {
		return err
	}
	if len(artifacts) == 0 {
		a.log.Warn("this binary has no built-in plugins; build it with make build")
	}
	a.first.artifacts = map[string][]byte{}
	a.metrics.Gauge("plugins_uncompiled", "Built-in plugins that are new to the database and were not compiled yet.",
		func() float64 { return float64(a.first.left.Load()) })
	var mu sync.Mutex // guards the artifacts
	var each errgroup.Group
	for name, wasm := range artifacts {
		each.Go(func() error {
			_, stored, err := a.service.EnsureBuiltin(ctx, wasm)
			if err != nil {
				return fmt.Errorf("built-in plugin %s: %w", name, err)
			}
			if stored {
				mu.Lock()
				defer mu.Unlock()
				a.first.artifacts[name] = wasm
				a.first.left.Add(1)
			}
			return nil
		})
	}
	return each.Wait()
}

// compilePlugins compiles the built-in plugins that are new while the host serves
// already, one after the other: an attempt that needs one before its turn has it
// compiled beside.
func (a *App) compilePlugins(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(a.first.artifacts)) {
		began := time.Now()
		err := a.registry.Compile(ctx, a.first.artifacts[name])
		delete(a.first.artifacts, name) // some MB each
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.log.Error("a built-in plugin does not compile", slog.String("plugin", name), slog.Any("error", err))
		} else {
			a.log.Debug("compiled a built-in plugin", slog.String("plugin", name), slog.Duration("took", time.Since(began)))
		}
		a.first.left.Add(-1)
	}
}
