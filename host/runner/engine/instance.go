package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// failureBytes is how much is kept of the error text that a guest sets.
const failureBytes = 64 << 10

// instance is a sandbox for one attempt.
type instance struct {
	module *compiled
	config Config
	memory *budget // the guest's
	guest  guest
	stdio  stdio

	doing  string       // what is under way, for errors
	fuel   atomic.Int64 // used by the last call
	calls  int          // host calls; the guest's goroutine alone counts
	moved  int64        // bytes of their requests and answers; likewise
	exited atomic.Bool
	inHost atomic.Bool
	halted atomic.Pointer[automation.Error] // why the engine ended the guest
	ctx    atomic.Pointer[context.Context]  // of the call under way: the sleep looks at it
	lost   bool                             // a call was abandoned: its goroutine closes
	sound  bool                             // the last call ended as it should
}

// New implements Module.
func (r *reference) New(ctx context.Context, config Config) (Instance, error) {
	r.used.Store(true)
	if r.stuck.Load() > 0 {
		err := automation.Errorf(automation.CodeUnavailable,
			"the plugin is held back: a call of it ran past its deadline and cannot be stopped, and no other is started meanwhile")
		err.Suggestion = "disable this version of the plugin; restart the host to get rid of the call"
		err.CanRetry = true
		return nil, err
	}
	i := &instance{module: r.compiled, config: config, memory: &budget{limit: config.Limits.MemoryBytes}}
	var made error
	i.doing = "starting the plugin"
	err := i.run(ctx, "starting the plugin", func() {
		i.ctx.Store(&ctx)
		made = r.code.enter(ctx, i)
	})
	if err == nil {
		err = i.classify(ctx, "starting the plugin", made)
	}
	if err != nil {
		i.Close(ctx)
		return nil, err
	}
	return i, nil
}

// admit puts a guest into the instance.
func (i *instance) admit(g guest) {
	i.guest = g
	i.module.engine.instances.Add(1)
}

func (i *instance) log(level, message string) {
	if i.config.Log != nil {
		i.config.Log(level, message)
	}
}

// sleep is the guest's only way to wait: no longer than the limit. The end of the
// call ends the guest.
func (i *instance) sleep(ns int64) {
	ctx := *i.ctx.Load()
	t := time.NewTimer(min(time.Duration(max(ns, 0)), i.config.Limits.Sleep))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done(): // else it could believe that it had slept, and succeed
		i.halt(stopped(ctx, i.doing))
	}
}

// Call implements Instance.
func (i *instance) Call(ctx context.Context, export string, input []byte) (Result, error) {
	if err := i.check(export, input); err != nil {
		return i.result(), err
	}
	var a answer
	i.sound = false
	doing := fmt.Sprintf("action %q", export)
	i.doing = doing
	err := i.run(ctx, doing, func() {
		i.ctx.Store(&ctx)
		a = i.guest.call(ctx, i, export, input)
	})
	if err != nil {
		return Result{Usage: Usage{MemoryBytes: i.memory.peak.Load()}}, err
	}
	i.stdio.flush(i.log)
	r := i.result()
	if err := i.classify(ctx, doing, a.err); err != nil {
		return r, err
	}
	if len(a.output) > i.config.Limits.OutputBytes {
		return r, overrun(automation.CodeOutputLimit, "output_bytes", "the action's output has %d bytes, more than the limit of %d", len(a.output), i.config.Limits.OutputBytes)
	}
	r.RC, r.Output, r.Failure, i.sound = a.rc, a.output, a.failure[:min(len(a.failure), failureBytes)], true
	return r, nil
}

// check holds a call against what the library would get wrong: a missing export,
// one of another signature, an input that does not fit.
func (i *instance) check(export string, input []byte) error {
	e, ok := i.module.file.Export(export)
	if !ok || e.Kind != wasmfile.Func || len(e.Type.Params) != 0 || len(e.Type.Results) != 1 || e.Type.Results[0] != wasmfile.I32 {
		return automation.Errorf(automation.CodeBadPlugin, "the plugin does not export a function %q that takes nothing and returns an i32", export)
	}
	if len(input) > i.config.Limits.InputBytes {
		return overrun(automation.CodeInputLimit, "input_bytes", "the action's input has %d bytes, more than the limit of %d", len(input), i.config.Limits.InputBytes)
	}
	if i.memory.limit-i.memory.used < int64(len(input))+pageBytes {
		return i.memoryLimit()
	}
	return nil
}

func (i *instance) result() Result {
	return Result{Usage: Usage{HostCalls: i.calls, MemoryBytes: i.memory.peak.Load(), Fuel: i.fuel.Load(), RemoteBytes: i.moved}}
}

// overrun is the error of a limit that was passed; setting is its name.
func overrun(code automation.Code, setting, format string, args ...any) *automation.Error {
	err := automation.Errorf(code, format, args...)
	err.Limit = setting
	err.Suggestion = "let the plugin use less; docs/sandbox.md says whether limits." + setting + " can be raised"
	return err
}

func (i *instance) memoryLimit() *automation.Error {
	return overrun(automation.CodeMemoryLimit, "memory_bytes", "the plugin needs more memory than the limit of %d bytes (it has %d)", i.memory.limit, i.memory.peak.Load())
}

// classify says why a guest ended early; nil when it did not.
func (i *instance) classify(ctx context.Context, doing string, failed error) error {
	if halt := i.halted.Load(); halt != nil {
		return halt
	}
	if failed == nil && !i.exited.Load() {
		return nil
	}
	if ctx.Err() != nil {
		return stopped(ctx, doing)
	}
	if i.memory.refused.Load() {
		return i.memoryLimit()
	}
	what := "it ended itself"
	if failed != nil {
		what = firstLine(failed).Error()
	}
	if said := i.stdio.first(); said != "" {
		what += ": " + said
	}
	err := automation.Errorf(automation.CodePluginCrashed, "%s: the plugin crashed: %s", doing, what)
	err.Err = failed
	err.Suggestion = "this is a fault of the plugin: its author can run it with the same input"
	return err
}

func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}

// Close implements Instance.
func (i *instance) Close(context.Context) {
	if i.lost {
		return
	}
	i.dispose(i.sound)
}

// dispose lets the guest go; sound says that it may be used again.
func (i *instance) dispose(sound bool) {
	if i.guest != nil {
		i.guest.leave(sound)
		i.guest = nil
		i.module.engine.instances.Add(-1)
	}
}
