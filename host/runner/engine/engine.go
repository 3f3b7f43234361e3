package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
)

// Source returns the bytes of an artifact. It is called at most once a compile.
type Source func(ctx context.Context) ([]byte, error)

// The engines.
const (
	NameNative  = "native"
	NameExtism  = "extism"
	NameProcess = "process"
)

// Names are the engines that New makes, the default first.
func Names() []string {
	if !processes {
		return []string{NameNative, NameExtism}
	}
	return []string{NameNative, NameExtism, NameProcess}
}

// New returns the engine with a name.
func New(name string, s Settings) (Engine, error) {
	switch name {
	case NameNative:
		return NewNative(s)
	case NameExtism:
		return NewExtism(s)
	case NameProcess:
		return NewProcess(s)
	}
	return nil, fmt.Errorf("there is no plugin engine %q: it is one of %s", name, strings.Join(Names(), ", "))
}

// Engine compiles modules and keeps them. Safe for concurrent use.
type Engine interface {
	// Name is the engine's name in settings and metrics.
	Name() string
	// Load returns a reference to the compiled module with a digest, compiling what
	// source gives when it is not in memory. Calls for one digest share a compile.
	// It returns when ctx is done even if the compile goes on.
	Load(ctx context.Context, digest automation.Digest, source Source) (Module, error)
	// Stats says what the engine holds.
	Stats() Stats
	// Close waits for calls under way, as long as ctx allows, and releases
	// everything; nothing can be loaded afterwards.
	Close(ctx context.Context) error
}

// Module is a reference to a compiled module. Safe for concurrent use; it stays
// usable until Release, which is called once.
type Module interface {
	// Imports and Exports are what the module declares.
	Imports() []wasmfile.Import
	Exports() []wasmfile.Export
	// New makes an instance. ctx bounds it; it need not outlive it.
	New(ctx context.Context, c Config) (Instance, error)
	Release()
}

// Instance is a sandbox for one attempt. It is used by one goroutine.
type Instance interface {
	// Call calls an export that takes nothing and returns an i32, with an input, and
	// returns soon after ctx is done. The Result's Usage is set on error too. After
	// an error the instance can only be closed.
	Call(ctx context.Context, export string, input []byte) (Result, error)
	// Close releases the instance, later when an abandoned call is still in it.
	Close(ctx context.Context)
}

// HostCall carries out a call of a host function: request to envelope. It must
// return soon after ctx is done and must not panic.
type HostCall func(ctx context.Context, name string, request []byte) []byte

// Config is what an instance gets from outside.
type Config struct {
	Limits Limits
	// Owner is whose attempt it is: no process of the engine process ever has two
	// owners' attempts. The other engines do not look at it.
	Owner string
	Host  HostCall
	// Log takes a line that the guest logged through Extism's own log functions;
	// nil: dropped. It is called by the goroutine that runs the guest.
	Log func(level, message string)
}

// Result is what a call gave back.
type Result struct {
	// RC is what the export returned: 0 for success.
	RC uint32
	// Output is the guest's output.
	Output []byte
	// Failure is the error text that the guest set, of which 64 KiB are kept; ""
	// without one.
	Failure string
	Usage   Usage
}

// Usage is what an instance used of its limits.
type Usage struct {
	HostCalls   int
	MemoryBytes int64 // the most that guest and kernel had together
	Fuel        int64 // about the instructions that it executed; the engine extism does not count
	RemoteBytes int64 // of all requests to host functions and their answers
}

// Limits bound an instance.
type Limits struct {
	MemoryBytes   int64 // guest and kernel together
	InputBytes    int
	OutputBytes   int
	HostCalls     int
	Fuel          int64         // about the instructions of an attempt; the engine extism does not count
	HostCallBytes int           // one request or one answer of a host function
	RemoteBytes   int64         // all requests and answers of host functions together
	Sleep         time.Duration // the longest single sleep
}

// DefaultLimits returns the limits of a deployment that sets none.
func DefaultLimits() Limits {
	return Limits{
		MemoryBytes: 32 << 20, InputBytes: 1 << 20, OutputBytes: 8 << 20, HostCalls: 1000,
		Fuel: 250_000_000_000, HostCallBytes: 12 << 20, RemoteBytes: 1 << 30, Sleep: 15 * time.Minute,
	}
}

// Stats is what an engine holds.
type Stats struct {
	Modules   int // compiled, in memory
	Instances int // open
	// Abandoned calls still run though their callers have gone; AbandonedTotal
	// counts them since the start.
	Abandoned, AbandonedTotal int
	Compiles                  int
	// Of the native engine's sandboxes: idle ones and about what memory they have,
	// and, since the start, how many were made, used again, and thrown away after an
	// attempt.
	Idle                 int
	IdleBytes            int64
	Made, Reused, Thrown int
	// Of the process engine: its processes, and how many ended that should not have.
	Processes, ProcessDeaths int
}
