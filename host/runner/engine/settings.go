package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"opsconductor.dev/host/registry/wasmfile"
)

// Settings are the settings of an engine.
type Settings struct {
	// CacheDir keeps compiled code, and what it was compiled from (the folder
	// "rewritten"), between starts; "": none is kept. Whoever can
	// write there can run code in the host.
	CacheDir string
	// RewrittenBytes is how much the folder "rewritten" may hold: what was used least
	// recently is removed.
	RewrittenBytes int64
	// Modules is how many compiled modules stay in memory while nobody uses them.
	Modules int
	// MaxMemoryBytes is the most that Limits.MemoryBytes of an instance can give.
	MaxMemoryBytes int64
	// TableElements is the most elements that a table can grow to.
	TableElements uint32
	// StackBytes is how deep a guest's calls may be nested: what their frames have
	// together, as the instrumentation estimates them.
	StackBytes uint32
	// Module are the bounds of what is compiled.
	Module wasmfile.Limits
	// GuestGrace and HostGrace are how long a call that is asked to stop gets, in
	// guest code and inside a host function, before it is abandoned.
	GuestGrace, HostGrace time.Duration
	// CompileTimeout is how long callers wait for a compile, which takes seconds: the
	// rest is for a machine that has no time for it.
	CompileTimeout time.Duration
	// Pool is what the native engine keeps for later attempts.
	Pool PoolSettings
	// Processes is how many processes the process engine may have, and Child the
	// command that starts one; nil: this program's ChildCommand.
	Processes int
	Child     []string
	Log       *slog.Logger
	// Undefended is for tests alone.
	Undefended Undefended
}

// DefaultSettings returns settings that work; CacheDir is empty.
func DefaultSettings() Settings {
	return Settings{
		RewrittenBytes: 1 << 30, Modules: 64, MaxMemoryBytes: 256 << 20, TableElements: 100_000, StackBytes: wasmfile.DefaultOptions().StackBytes, Module: wasmfile.DefaultLimits(),
		GuestGrace: time.Second, HostGrace: 5 * time.Second, CompileTimeout: 3 * time.Minute,
		Pool:      PoolSettings{Bytes: 256 << 20, PerModule: 64, Idle: 5 * time.Minute},
		Processes: 64, Log: slog.New(slog.DiscardHandler),
	}
}

// Validate reports every setting that cannot work.
func (s Settings) Validate() error {
	var errs []error
	check := func(ok bool, name string) {
		if !ok {
			errs = append(errs, fmt.Errorf("engine setting %s has to be positive", name))
		}
	}
	check(s.RewrittenBytes > 0, "rewritten_bytes")
	check(s.Modules > 0, "modules")
	check(s.MaxMemoryBytes > 0, "max_memory_bytes")
	check(s.TableElements > 0, "table_elements")
	check(s.StackBytes > 0, "stack_bytes")
	check(s.Module.Bytes > 0, "module.bytes")
	check(s.GuestGrace > 0, "guest_grace")
	check(s.HostGrace > 0, "host_grace")
	check(s.CompileTimeout > 0, "compile_timeout")
	check(s.Pool.Bytes > 0, "pool.bytes")
	check(s.Pool.PerModule >= 0, "pool.per_module")
	check(s.Pool.Idle > 0, "pool.idle")
	check(s.Processes > 0, "processes")
	check(s.Log != nil, "log")
	return errors.Join(errs...)
}
