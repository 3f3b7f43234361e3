package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"opsconductor.dev/host/automation"
)

// The states of a piece of guest work: exactly one of its goroutine (finished)
// and its caller (abandoned) wins.
const (
	working int32 = iota
	finished
	abandoned
)

// run carries out guest work on a goroutine of the engine, so that the caller
// comes back even when the guest does not. After an error of an abandoned call
// nothing of the instance but Close may be used.
func (i *instance) run(ctx context.Context, doing string, work func()) error {
	if ctx.Err() != nil {
		return stopped(ctx, doing)
	}
	var state atomic.Int32
	var crash any
	done := make(chan struct{})
	started := i.module.engine.start(i.module, func() {
		func() {
			defer func() { crash = recover() }()
			work()
		}()
		if state.CompareAndSwap(working, finished) {
			close(done)
			return
		}
		i.dispose(false) // nobody else will
		i.module.stuck.Add(-1)
		i.module.engine.abandoned.Add(-1)
	})
	if !started {
		return automation.Errorf(automation.CodeUnavailable, "the plugin engine is shut down")
	}
	if !i.await(ctx, done) && state.CompareAndSwap(working, abandoned) {
		i.lost = true
		i.module.stuck.Add(1)
		i.module.engine.abandoned.Add(1)
		i.module.engine.abandonedTotal.Add(1)
		i.module.engine.settings.Log.Error("a plugin call does not stop and was abandoned",
			slog.String("digest", string(i.module.digest)), slog.String("doing", doing))
		return stopped(ctx, doing)
	}
	<-done
	if crash != nil && i.halted.Load() == nil {
		return i.crashed(doing, crash)
	}
	return nil
}

func (i *instance) crashed(doing string, crash any) error {
	if i.memory.refused.Load() {
		return i.memoryLimit()
	}
	i.module.engine.settings.Log.Error("panic in the plugin engine", slog.String("digest", string(i.module.digest)),
		slog.String("doing", doing), slog.String("panic", fmt.Sprint(crash)))
	return automation.Errorf(automation.CodePluginCrashed, "%s: the sandbox failed; the host's log has the cause", doing)
}

// await waits for done; after ctx is done only for the grace that guest code and
// a host function get to stop. It reports whether the work ended.
func (i *instance) await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	s := i.module.engine.settings
	deadline := time.Now().Add(s.HostGrace)
	for {
		t := time.NewTimer(s.GuestGrace)
		select {
		case <-done:
			t.Stop()
			return true
		case <-t.C:
		}
		if !i.inHost.Load() || time.Now().After(deadline) {
			return false
		}
	}
}

// start runs work on a goroutine that the engine waits for, and which holds the
// module; false when the engine is shut down.
func (e *core) start(c *compiled, work func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	c.refs++
	e.wg.Go(func() {
		defer e.release(c)
		work()
	})
	return true
}
