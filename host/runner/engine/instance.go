package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// instance is a sandbox for one attempt.
type instance struct {
	module *compiled
	config Config
	memory *budget
	plugin *extism.Plugin
	stdio  stdio

	calls  int // host calls; the guest's goroutine alone counts
	exited atomic.Bool
	inHost atomic.Bool
	halted atomic.Pointer[automation.Error] // why the engine ended the guest
	ctx    atomic.Pointer[context.Context]  // of the call under way: the sleep looks at it
	lost   bool                             // a call was abandoned: its goroutine closes
}

type instanceKey struct{}

// New implements Module.
func (r *reference) New(ctx context.Context, config Config) (Instance, error) {
	if r.stuck.Load() > 0 {
		err := automation.Errorf(automation.CodeUnavailable,
			"the plugin is held back: a call of it ran past its deadline and cannot be stopped, and no other is started meanwhile")
		err.Suggestion = "disable this version of the plugin; restart the host to get rid of the call"
		err.CanRetry = true
		return nil, err
	}
	i := &instance{module: r.compiled, config: config, memory: &budget{limit: config.Limits.MemoryBytes, sizes: &r.sizes}}
	var made error
	err := i.run(ctx, "starting the plugin", func() { made = i.make(ctx) })
	if err == nil {
		err = i.classify(ctx, "starting the plugin", made)
	}
	if err != nil {
		i.Close(ctx)
		return nil, err
	}
	return i, nil
}

func (i *instance) make(ctx context.Context) error {
	ctx = experimental.WithMemoryAllocator(i.enter(ctx), i.memory)
	ctx = experimental.WithCloseNotifier(ctx, experimental.CloseNotifyFunc(func(context.Context, uint32) { i.exited.Store(true) }))
	config := wazero.NewModuleConfig().WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime().
		WithNanosleep(i.sleep).WithStdout(i.stdio.writer("info")).WithStderr(i.stdio.writer("error"))
	p, err := i.module.plugin.Instance(ctx, extism.PluginInstanceConfig{ModuleConfig: config})
	if err != nil {
		return err
	}
	i.module.engine.instances.Add(1)
	i.plugin = p
	p.SetLogger(func(level extism.LogLevel, message string) { i.log(strings.ToLower(level.String()), message) })
	return nil
}

func (i *instance) enter(ctx context.Context) context.Context {
	i.ctx.Store(&ctx)
	return context.WithValue(ctx, instanceKey{}, i)
}

func (i *instance) log(level, message string) {
	if i.config.Log != nil {
		i.config.Log(level, message)
	}
}

// sleep is the guest's only way to wait: no longer than the limit, and not past
// the end of the call.
func (i *instance) sleep(ns int64) {
	ctx := *i.ctx.Load()
	t := time.NewTimer(min(time.Duration(max(ns, 0)), i.config.Limits.Sleep))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Call implements Instance.
func (i *instance) Call(ctx context.Context, export string, input []byte) (Result, error) {
	if err := i.check(export, input); err != nil {
		return i.result(), err
	}
	var (
		rc     uint32
		output []byte
		failed error
	)
	doing := fmt.Sprintf("action %q", export)
	err := i.run(ctx, doing, func() { rc, output, failed = i.plugin.CallWithContext(i.enter(ctx), export, input) })
	if err != nil {
		return Result{Usage: Usage{MemoryBytes: i.memory.peak.Load()}}, err
	}
	i.stdio.flush(i.log)
	r := i.result()
	r.RC = rc
	if failed != nil && i.halted.Load() == nil && !i.exited.Load() && ctx.Err() == nil {
		if text := i.plugin.GetError(); text != "" && text == failed.Error() {
			r.Failure, failed = text, nil
		}
	}
	if err := i.classify(ctx, doing, failed); err != nil {
		return r, err
	}
	if len(output) > i.config.Limits.OutputBytes {
		return r, overrun(automation.CodeOutputLimit, "output_bytes", "the action's output has %d bytes, more than the limit of %d", len(output), i.config.Limits.OutputBytes)
	}
	r.Output = output
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
	return Result{Usage: Usage{HostCalls: i.calls, MemoryBytes: i.memory.peak.Load()}}
}

// overrun is the error of a limit that was passed; setting is its name.
func overrun(code automation.Code, setting, format string, args ...any) *automation.Error {
	err := automation.Errorf(code, format, args...)
	err.Suggestion = "let the plugin use less, or raise the host's setting limits." + setting
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
	i.dispose()
}

func (i *instance) dispose() {
	if i.plugin != nil {
		_ = i.plugin.CloseWithContext(context.Background())
		i.plugin = nil
		i.module.engine.instances.Add(-1)
	}
}
