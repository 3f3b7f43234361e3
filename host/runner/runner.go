package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/hostfuncs"
)

// Plugins gives loaded plugins; *registry.Registry has it.
type Plugins interface {
	Plugin(ctx context.Context, tenant automation.TenantID, digest automation.Digest) (*registry.Loaded, error)
	Source(tenant automation.TenantID, digest automation.Digest) engine.Source
}

// Metrics takes what happens. Its methods must not block and are called
// concurrently.
type Metrics interface {
	// Attempt is called when an attempt has ended.
	Attempt(plugin, action string, o automation.Outcome)
	// HostCall is called when a host function has answered; code is "" for success.
	HostCall(function string, code hostfuncs.Code, wall time.Duration)
}

// Config is what a Runner is made of. Plugins, Engine and Functions are
// required; without Assets and Credentials every target or credential is denied.
type Config struct {
	Plugins     Plugins
	Engine      engine.Engine
	Functions   []hostfuncs.Func
	Assets      AssetSource
	Credentials CredentialSource
	// HostKeys pins host keys that assets show first, where they allow it; nil: none
	// are pinned.
	HostKeys HostKeyStore
	// FirstUse is whether they are, for assets that do not say it; "": refuse.
	FirstUse automation.FirstUse
	// Limits of the sandbox; the zero value: engine.DefaultLimits.
	Limits engine.Limits
	// LogBytes is how much an attempt may log; 0: 256 KiB.
	LogBytes int
	// RemoteOutputBytes is how much output of a remote side one host call may return;
	// 0: 1 MiB.
	RemoteOutputBytes int
	Metrics           Metrics
	Log               *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Runner executes attempts. Safe for concurrent use.
type Runner struct {
	config    Config
	functions map[string]hostfuncs.Func
	secrets   hostfuncs.Secrets

	mu      sync.Mutex
	logging map[*attempt]struct{} // at work, with a line logged
}

var (
	_ worker.Executor = (*Runner)(nil)
	_ worker.Logs     = (*Runner)(nil)
)

// New returns a runner; the error says what the config lacks.
func New(c Config) (*Runner, error) {
	if c.Plugins == nil || c.Engine == nil {
		return nil, errors.New("a runner needs plugins and an engine")
	}
	if c.Limits == (engine.Limits{}) {
		c.Limits = engine.DefaultLimits()
	}
	if c.LogBytes == 0 {
		c.LogBytes = 256 << 10
	}
	if c.RemoteOutputBytes == 0 {
		c.RemoteOutputBytes = 1 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
	r := &Runner{config: c, functions: map[string]hostfuncs.Func{}, logging: map[*attempt]struct{}{}}
	for _, f := range c.Functions {
		if _, twice := r.functions[f.Name]; twice {
			return nil, fmt.Errorf("the host function %s is listed twice", f.Name)
		}
		r.functions[f.Name] = f
	}
	return r, nil
}

// Execute implements worker.Executor.
func (r *Runner) Execute(ctx context.Context, a automation.Attempt, intent worker.Intent) automation.Outcome {
	at := newAttempt(r, a, intent)
	if _, ok := ctx.Deadline(); !ok && a.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.Timeout, &automation.Error{
			Code: automation.CodeTimeout, Message: fmt.Sprintf("the attempt took longer than its timeout of %s", a.Timeout),
		})
		defer cancel()
	}
	output, err := r.survive(ctx, at)
	o := at.outcome(ctx, output, err)
	r.config.Metrics.Attempt(a.Plugin, a.Action, o)
	return o
}

// survive turns a panic into an error.
func (r *Runner) survive(ctx context.Context, at *attempt) (output []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log(at.Attempt).Error("panic in an attempt", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			output, err = nil, automation.Errorf(automation.CodeInternal, "a fault of the host ended the attempt; its log has the cause")
		}
	}()
	return r.run(ctx, at)
}

// run carries the attempt out and returns the action's output.
func (r *Runner) run(ctx context.Context, at *attempt) ([]byte, error) {
	p, err := r.plugin(ctx, at.Attempt)
	if err != nil {
		return nil, err
	}
	action := p.Action(at.Action)
	if action == nil {
		return nil, automation.Errorf(automation.CodeUnknownName, "the plugin %s %s has no action %q", p.Record.Name, p.Record.Version, at.Action)
	}
	if errs := action.Input.ValidateJSON(at.Input, "/with"); len(errs) > 0 {
		return nil, summary(errs, "the step's input does not fit the action")
	}
	input, err := inputOf(at.Attempt)
	if err != nil {
		return nil, err
	}
	at.open(p)
	defer func() { _ = at.session.Close() }() // ends what the attempt left open
	text, err := r.call(ctx, at, input)
	if err != nil {
		return nil, err
	}
	return text, checkOutput(action, text)
}

// plugin loads the plugin that the plan pinned and refuses one that is not active.
func (r *Runner) plugin(ctx context.Context, a automation.Attempt) (*registry.Loaded, error) {
	p, err := r.config.Plugins.Plugin(ctx, a.Tenant, a.Digest)
	if err != nil {
		return nil, fmt.Errorf("load plugin %s: %w", a.Plugin, err)
	}
	if p.Record.State != automation.PluginActive {
		err := automation.Errorf(automation.CodeDenied, "the plugin %s %s is %s", p.Record.Name, p.Record.Version, p.Record.State)
		err.Suggestion = fmt.Sprintf("activate it (POST /v1/plugins/%s/activate), or plan again with an active version", p.Record.Digest)
		return nil, err
	}
	for _, name := range p.Imports {
		if _, ok := r.functions[name]; !ok {
			return nil, automation.Errorf(automation.CodeBadPlugin, "the plugin imports the host function %q, which this host does not have", name)
		}
	}
	return p, nil
}

// call runs the action in a fresh instance.
func (r *Runner) call(ctx context.Context, at *attempt, input []byte) ([]byte, error) {
	m, err := r.config.Engine.Load(ctx, at.Digest, r.config.Plugins.Source(at.Tenant, at.Digest))
	if err != nil {
		return nil, err
	}
	defer m.Release()
	i, err := m.New(ctx, engine.Config{Limits: r.config.Limits, Owner: string(at.Tenant), Host: at.hostCall, Log: at.log})
	if err != nil {
		return nil, err
	}
	defer i.Close(ctx)
	at.usage.InputBytes = len(input)
	res, err := i.Call(ctx, at.Action, input)
	at.usage.HostCalls, at.usage.MemoryBytes, at.usage.Fuel = res.Usage.HostCalls, res.Usage.MemoryBytes, res.Usage.Fuel
	at.usage.RemoteBytes = res.Usage.RemoteBytes
	if err != nil {
		return nil, err
	}
	at.usage.OutputBytes = len(res.Output)
	switch {
	case res.Failure != "":
		return nil, failure(res.Failure)
	case res.RC != 0:
		err := automation.Errorf(automation.CodePluginFailed, "action %q returned %d without saying why", at.Action, res.RC)
		err.Suggestion = "the plugin's author can set an error (Extism's error_set) before it returns"
		return nil, err
	}
	if len(res.Output) == 0 {
		return []byte("{}"), nil
	}
	return res.Output, nil
}

func (r *Runner) log(a automation.Attempt) *slog.Logger {
	return r.config.Log.With(slog.String("run_id", string(a.Run)), slog.String("step_id", a.StepID),
		slog.Int("item", a.Item), slog.Int("attempt", a.Attempt))
}

type noMetrics struct{}

func (noMetrics) Attempt(string, string, automation.Outcome)     {}
func (noMetrics) HostCall(string, hostfuncs.Code, time.Duration) {}
