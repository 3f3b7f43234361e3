package app

import (
	"context"
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/host/telemetry"
	"opsconductor.dev/host/vault"
	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/standard"
)

// pluginParts are the rooms that run plugins.
type pluginParts struct {
	registry *registry.Registry
	runner   *runner.Runner
}

// buildPlugins makes the engine, the registry, the host functions and the runner.
func (a *App) buildPlugins(seal *vault.Vault, vet []string) (*pluginParts, error) {
	settings, limits := engineSettings(a.cfg)
	settings.Log = a.log
	eng, err := engine.New(engineName(a.cfg), settings)
	if err != nil {
		return nil, fmt.Errorf("make the engine: %w", err)
	}
	a.onClose(eng.Close)
	functions := standard.New(standard.Options{SSH: ssh.Options{Agent: a.cfg.SSHAgent}})
	a.onClose(func(context.Context) error { return functions.Close() })
	var names []string
	for _, f := range functions.Functions() {
		names = append(names, f.Name)
	}
	reg, err := registry.New(registry.Config{Store: a.store, Engine: eng, HostFunctions: names, Vetting: registry.Vetting{Command: vet}})
	if err != nil {
		return nil, fmt.Errorf("make the registry: %w", err)
	}
	if a.cfg.SSHFirstUse == string(automation.FirstUseAllow) {
		a.log.Warn("the host key that an asset shows first is taken and pinned, where the asset does not say otherwise (--ssh-first-use allow)")
	}
	run, err := runner.New(runner.Config{
		Plugins: reg, Engine: eng, Functions: functions.Functions(), Assets: inventory.NewSource(a.store),
		HostKeys:    inventory.NewLearner(a.store, automation.FirstUse(a.cfg.SSHFirstUse), nil),
		FirstUse:    automation.FirstUse(a.cfg.SSHFirstUse),
		Credentials: vault.NewSource(a.store, seal), Limits: limits, RemoteOutputBytes: a.cfg.MaxOutput,
		Metrics: runnerMetrics{a.metrics}, Log: a.log,
	})
	if err != nil {
		return nil, fmt.Errorf("make the runner: %w", err)
	}
	a.metrics.Gauge("plugin_modules", "Compiled plugin modules in memory.", func() float64 { return float64(eng.Stats().Modules) })
	a.metrics.Gauge("plugin_instances", "Sandboxes that are open.", func() float64 { return float64(eng.Stats().Instances) })
	a.metrics.Gauge("plugin_instances_idle", "Sandboxes that wait to be used again.", func() float64 { return float64(eng.Stats().Idle) })
	a.metrics.Gauge("plugin_instances_idle_bytes", "About how much memory of their own these have.", func() float64 { return float64(eng.Stats().IdleBytes) })
	a.metrics.Gauge("plugin_calls_abandoned", "Sandboxed calls that did not stop when asked and still run.",
		func() float64 { return float64(eng.Stats().Abandoned) })
	a.metrics.Gauge("plugin_processes", "Sandbox processes, with --sandbox process.", func() float64 { return float64(eng.Stats().Processes) })
	a.metrics.Gauge("plugin_process_deaths", "Sandbox processes since the start that ended though the host did not end them, or were ended for what they did.",
		func() float64 { return float64(eng.Stats().ProcessDeaths) })
	return &pluginParts{registry: reg, runner: run}, nil
}

// engineSettings are what the host's settings say of plugins.
func engineSettings(c Config) (engine.Settings, engine.Limits) {
	s, limits := engine.DefaultSettings(), engine.DefaultLimits()
	limits.MemoryBytes = int64(c.PluginMemory) << 20
	s.CacheDir, s.Pool.PerModule, s.Processes = c.CacheDir, c.Slots, c.SandboxProcesses
	s.MaxMemoryBytes = max(s.MaxMemoryBytes, limits.MemoryBytes)
	return s, limits
}

// engineName is the engine that the settings ask for: sandbox processes have the
// native engine inside.
func engineName(c Config) string {
	if c.Sandbox == engine.NameProcess {
		return engine.NameProcess
	}
	return c.Engine
}

// SandboxCommand is the first argument of a program that is to be a sandbox process;
// it then gives ServeSandbox the arguments after it, before anything else.
const SandboxCommand = engine.ChildCommand

// ServeSandbox is a sandbox process. It returns the exit code.
func ServeSandbox(args []string) int { return engine.ServeChild(args) }

// runnerMetrics tells the host's metrics what the runner measures.
type runnerMetrics struct{ metrics *telemetry.Metrics }

// Attempt implements runner.Metrics.
func (m runnerMetrics) Attempt(plugin, action string, o automation.Outcome) {
	m.metrics.Attempt(plugin, action, o)
}

// HostCall implements runner.Metrics.
func (m runnerMetrics) HostCall(function string, code hostfuncs.Code, wall time.Duration) {
	m.metrics.HostCall(function, automation.Code(code), wall)
}
