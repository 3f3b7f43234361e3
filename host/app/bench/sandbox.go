package bench

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/plugins"
)

// SandboxReport says what an attempt costs in the sandbox: medians, without
// scheduler and store. Microseconds, but for what ends otherwise.
type SandboxReport struct {
	Benchmark string `json:"benchmark"`
	Version   string `json:"version"`
	Cores     int    `json:"cores"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	Calls     int    `json:"calls"`

	// An attempt with one host call in a sandbox of its own, of the native engine's
	// pool: linux.command, and a module of a few hundred bytes.
	IsolatedGoUS    float64 `json:"isolated_go_us"`
	IsolatedSmallUS float64 `json:"isolated_small_us"`
	// The same on the engine extism, which makes a new sandbox.
	FreshExtismGoUS    float64 `json:"fresh_extism_go_us"`
	FreshExtismSmallUS float64 `json:"fresh_extism_small_us"`
	// The same call again and again in one sandbox that is not put back in between.
	BareGoUS    float64 `json:"bare_go_us"`
	BareSmallUS float64 `json:"bare_small_us"`
	// One host call within an attempt.
	HostCallUS float64 `json:"host_call_us"`
	// The same as the isolated ones, in a sandbox process (--sandbox process); 0 where
	// there are none.
	ProcessGoUS    float64 `json:"process_go_us"`
	ProcessSmallUS float64 `json:"process_small_us"`
	// Loading the Go plugin when it is compiled in the cache on disk.
	CompileCachedGoMS float64 `json:"compile_cached_go_ms"`
	// What 1,000 idle sandboxes of the Go plugin add to the memory of the process
	// (proportional set size); 0 where it can't be read.
	IdleGo1000MiB float64 `json:"idle_go_1000_mib"`
	// How much longer code takes because it is metered: 1.1 is a tenth. A loop, and
	// functions that do little but call.
	FuelLoopOverhead float64 `json:"fuel_loop_overhead"`
	FuelCallOverhead float64 `json:"fuel_call_overhead"`
}

// Rows returns the results for a table.
func (r SandboxReport) Rows() [][]string {
	row := func(name string, v float64, unit string) []string {
		return []string{"sandbox", name, strconv.FormatFloat(v, 'f', 1, 64), unit}
	}
	return [][]string{
		row("isolated, Go", r.IsolatedGoUS, "µs"), row("isolated, small", r.IsolatedSmallUS, "µs"),
		row("fresh on extism, Go", r.FreshExtismGoUS, "µs"), row("fresh on extism, small", r.FreshExtismSmallUS, "µs"),
		row("bare, Go", r.BareGoUS, "µs"), row("bare, small", r.BareSmallUS, "µs"), row("host call", r.HostCallUS, "µs"),
		row("isolated in a process, Go", r.ProcessGoUS, "µs"), row("isolated in a process, small", r.ProcessSmallUS, "µs"),
		row("compiled from cache, Go", r.CompileCachedGoMS, "ms"), row("1,000 idle, Go", r.IdleGo1000MiB, "MiB"),
		row("metered, loop", 100*(r.FuelLoopOverhead-1), "%"), row("metered, calls", 100*(r.FuelCallOverhead-1), "%"),
	}
}

// guest is a module with an action that makes one host call.
type guest struct {
	name, export string
	wasm, input  []byte
}

const goInput = `{"with":{"argv":["true"]},"target":{"name":"web-1","address":"10.0.0.1","port":22,"protocol":"ssh","os":"linux","tags":[],"vars":{}},` +
	`"run":{"id":"run_1","workflow":"bench"},"step":"run","item":0,"attempt":1}`

const hostAnswer = `{"ok":{"target":"web-1","exit_code":0,"stdout":"","stdout_truncated":false,"stdout_bytes":0,` +
	`"stderr":"","stderr_truncated":false,"stderr_bytes":0,"duration_ms":1}}`

func guests() (goGuest, small guest, err error) {
	builtin, err := plugins.Builtin()
	if err != nil {
		return goGuest, small, err
	}
	if builtin["linux"] == nil {
		return goGuest, small, errors.New("the built-in plugins are not built: make plugins")
	}
	wasm, err := base64.StdEncoding.DecodeString(smallGuest)
	if err != nil {
		return goGuest, small, fmt.Errorf("decode the small guest: %w", err)
	}
	return guest{"go", "command", builtin["linux"], []byte(goInput)}, guest{"small", "once", wasm, []byte(`{"a":1}`)}, nil
}

// Sandbox measures Runs attempts (2,000 without) of each kind.
func Sandbox(ctx context.Context, o Options) (r SandboxReport, err error) {
	o.Runs = cmp.Or(o.Runs, 2000)
	r = SandboxReport{
		Benchmark: "sandbox", Version: o.Version, Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Calls: o.Runs,
	}
	dir, err := os.MkdirTemp("", "opsconductor-bench-")
	if err != nil {
		return r, fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	goGuest, small, err := guests()
	if err != nil {
		return r, err
	}
	b := sandboxBench{dir: dir, calls: o.Runs}
	o.note("the native engine")
	err = b.with(ctx, engine.NameNative, func(eng engine.Engine) error {
		r.IsolatedGoUS, r.IsolatedSmallUS = b.isolated(ctx, eng, goGuest), b.isolated(ctx, eng, small)
		r.BareGoUS, r.BareSmallUS = b.bare(ctx, eng, goGuest), b.bare(ctx, eng, small)
		many, none := small, small
		many.export, none.export = "many", "none"
		r.HostCallUS = (b.bare(ctx, eng, many) - b.bare(ctx, eng, none)) / 100
		return b.err
	})
	if err != nil {
		return r, err
	}
	if slices.Contains(engine.Names(), engine.NameProcess) {
		o.note("sandbox processes")
		err = b.with(ctx, engine.NameProcess, func(eng engine.Engine) error {
			r.ProcessGoUS, r.ProcessSmallUS = b.isolated(ctx, eng, goGuest), b.isolated(ctx, eng, small)
			return b.err
		})
		if err != nil {
			return r, err
		}
	}
	o.note("what metering costs")
	cost, err := engine.MeasureFuel(ctx)
	if err != nil {
		return r, err
	}
	r.FuelLoopOverhead, r.FuelCallOverhead = cost.Loop, cost.Call
	o.note("the cache on disk, and memory")
	r.CompileCachedGoMS = b.cached(ctx, goGuest)
	r.IdleGo1000MiB = b.idle(ctx, goGuest, 1000)
	b.calls = max(b.calls/20, 10)
	o.note("the engine extism")
	err = b.with(ctx, engine.NameExtism, func(eng engine.Engine) error {
		r.FreshExtismGoUS, r.FreshExtismSmallUS = b.isolated(ctx, eng, goGuest), b.isolated(ctx, eng, small)
		return b.err
	})
	return r, err
}

// sandboxBench keeps the first error, so that figures can be assigned in a row.
type sandboxBench struct {
	dir   string
	calls int
	err   error
}

func (b *sandboxBench) settings() engine.Settings {
	s := engine.DefaultSettings()
	s.CacheDir = filepath.Join(b.dir, "cache")
	return s
}

func (b *sandboxBench) with(ctx context.Context, kind string, measure func(engine.Engine) error) error {
	eng, err := engine.New(kind, b.settings())
	if err != nil {
		return fmt.Errorf("make the engine: %w", err)
	}
	err = measure(eng)
	return errors.Join(err, eng.Close(context.WithoutCancel(ctx)))
}

func (b *sandboxBench) load(ctx context.Context, eng engine.Engine, g guest) engine.Module {
	m, err := eng.Load(ctx, automation.Digest(g.name), func(context.Context) ([]byte, error) { return g.wasm, nil })
	if err != nil {
		b.fail(g, err)
		return nil
	}
	return m
}

func (b *sandboxBench) fail(g guest, err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("the %s guest: %w", g.name, err)
	}
}

func sandboxConfig() engine.Config {
	c := engine.Config{Limits: engine.DefaultLimits(), Host: func(context.Context, string, []byte) []byte { return []byte(hostAnswer) }}
	c.Limits.HostCalls = 1 << 40
	return c
}

// call makes one call and checks that it did what is measured.
func (b *sandboxBench) call(ctx context.Context, i engine.Instance, g guest) {
	r, err := i.Call(ctx, g.export, g.input)
	if err == nil && (r.RC != 0 || r.Failure != "") {
		err = fmt.Errorf("%s returned %d: %s", g.export, r.RC, r.Failure)
	}
	b.fail(g, err)
}

// isolated measures whole attempts: a sandbox, a call, its end.
func (b *sandboxBench) isolated(ctx context.Context, eng engine.Engine, g guest) float64 {
	m := b.load(ctx, eng, g)
	if m == nil {
		return 0
	}
	defer m.Release()
	return b.median(func() {
		i, err := m.New(ctx, sandboxConfig())
		if err != nil {
			b.fail(g, err)
			return
		}
		b.call(ctx, i, g)
		i.Close(ctx)
	})
}

// bare measures calls in one sandbox.
func (b *sandboxBench) bare(ctx context.Context, eng engine.Engine, g guest) float64 {
	m := b.load(ctx, eng, g)
	if m == nil {
		return 0
	}
	defer m.Release()
	i, err := m.New(ctx, sandboxConfig())
	if err != nil {
		b.fail(g, err)
		return 0
	}
	defer i.Close(ctx)
	return b.median(func() { b.call(ctx, i, g) })
}

// median runs work and returns its median in microseconds; the first twentieth
// warms up.
func (b *sandboxBench) median(work func()) float64 {
	var took []time.Duration
	for n := range b.calls + b.calls/20 {
		began := time.Now()
		work()
		if b.err != nil {
			return 0
		}
		if n >= b.calls/20 {
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	return float64(took[len(took)/2]) / float64(time.Microsecond)
}

// cached measures loading a module from the cache on disk, in milliseconds.
func (b *sandboxBench) cached(ctx context.Context, g guest) float64 {
	var took []time.Duration
	for range 9 {
		err := b.with(ctx, engine.NameNative, func(eng engine.Engine) error {
			began := time.Now()
			if m := b.load(ctx, eng, g); m != nil {
				took = append(took, time.Since(began))
				m.Release()
			}
			return b.err
		})
		b.fail(g, err)
	}
	return percentile(took, 0.5)
}

// idle makes n idle sandboxes and returns what they add to the process's memory,
// in MiB.
func (b *sandboxBench) idle(ctx context.Context, g guest, n int) float64 {
	s := b.settings()
	s.Pool.Bytes, s.Pool.PerModule = 64<<30, n
	eng, err := engine.New(engine.NameNative, s)
	if err != nil {
		b.fail(g, err)
		return 0
	}
	defer func() { b.fail(g, eng.Close(context.WithoutCancel(ctx))) }()
	m := b.load(ctx, eng, g)
	if m == nil {
		return 0
	}
	defer m.Release()
	runtime.GC()
	before := residentMiB()
	var open []engine.Instance
	for range n {
		i, err := m.New(ctx, sandboxConfig())
		if err != nil {
			b.fail(g, err)
			break
		}
		b.call(ctx, i, g)
		open = append(open, i)
	}
	for _, i := range open {
		i.Close(ctx)
	}
	if got := eng.Stats().Idle; got != n {
		b.fail(g, fmt.Errorf("%d sandboxes are idle, not %d", got, n))
	}
	runtime.GC()
	return max(residentMiB()-before, 0)
}
