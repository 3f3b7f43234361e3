package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/postgres/privatepg"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/vault"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/hostfuncs/standard"
	"opsconductor.dev/plugins"
)

// The executors.
const (
	inProcess    = "in_process"
	sandbox      = "sandbox"
	sandboxSmall = "sandbox_small"
)

// rig is a host without its edges, on a store of its own.
type rig struct {
	executor string
	store    store.Store
	service  *service.Service
	caller   automation.Principal
	ended    chan automation.RunState
	dir      string // with the vault's key
	cache    string // folder of compiled plugins
	url      string // of the PostgreSQL database; "" on SQLite
	database string // name and version
	queue    string // task queue of a chain's steps; "": the default one
	turns    atomic.Int64
	done     atomic.Int64 // runs whose end was waited for
	starts   starts
	free     chan struct{} // closed: what is held goes on
}

// endings is how many ends of runs may wait to be looked at.
const endings = 1 << 16

// Turn, AttemptEnded and Open implement scheduler.Metrics; RunEnded counts.
func (b *rig) Turn(int, time.Duration)                            { b.turns.Add(1) }
func (b *rig) AttemptEnded(automation.ItemState, automation.Code) {}
func (b *rig) QueuesWithoutWorker(map[string]int)                 {}
func (b *rig) Open(int, int)                                      {}
func (b *rig) RunEnded(state automation.RunState)                 { b.ended <- state }

// uses is the action that is measured.
func (b *rig) uses() string {
	if b.executor == sandboxSmall {
		return "bench.noop@1"
	}
	return "core.noop@1"
}

func (b *rig) close(f func() error, err *error) { *err = errors.Join(*err, f()) }

// withRig builds a rig, runs its scheduler while measure works, and takes it down.
func withRig(ctx context.Context, o Options, executor string, measure func(context.Context, *rig) error) (err error) {
	dir, err := os.MkdirTemp("", "opsconductor-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	b := &rig{
		executor: executor, ended: make(chan automation.RunState, endings), dir: dir, cache: cmp.Or(o.CacheDir, filepath.Join(dir, "cache")), free: make(chan struct{}),
		caller: automation.Principal{Tenant: automation.DefaultTenant, Name: "bench", Role: automation.RoleAdmin, Token: automation.NewID[automation.TokenID]()},
	}
	closeStore, err := b.open(ctx, o)
	if err != nil {
		return err
	}
	defer b.close(closeStore, &err)
	exec, closeParts, err := b.parts(ctx, dir)
	if err != nil {
		return err
	}
	defer b.close(closeParts, &err)
	loop := scheduler.New(scheduler.Config{
		Store: b.store, Executor: watched{exec, &b.starts, b.free}, Host: automation.NewID[automation.HostID](), Name: "bench", Version: o.Version, Slots: o.Slots,
		Alone: o.Store == "sqlite", Metrics: b,
	})
	group, ctx := errgroup.WithContext(ctx)
	looping, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error { return loop.Run(looping) })
	group.Go(func() error {
		defer stop()
		return measure(ctx, b)
	})
	return group.Wait()
}

// open opens the store to measure, and returns what closes it.
func (b *rig) open(ctx context.Context, o Options) (func() error, error) {
	if o.Store == "sqlite" {
		st, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(b.dir, "bench.db")})
		if err != nil {
			return nil, err
		}
		b.store, b.database = st, sqliteVersion()
		return st.Close, nil
	}
	url, stop, err := database(ctx, o)
	if err != nil {
		return nil, err
	}
	b.url = url
	look, err := privatepg.Look(ctx, url)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	b.database = "PostgreSQL " + look.Version
	st, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	b.store = st
	return func() error { return errors.Join(st.Close(), stop()) }, nil
}

// database makes an empty database, on the server of --database-url or on a
// private one, and returns its URL and what removes it again.
func database(ctx context.Context, o Options) (url string, stop func() error, err error) {
	if o.DatabaseURL != "" {
		name := "opsconductor_bench_" + strings.ReplaceAll(string(automation.NewID[automation.RunID]()), "-", "")
		return privatepg.Beside(ctx, o.DatabaseURL, name)
	}
	o.note("starting a private PostgreSQL server")
	cluster, err := privatepg.Start(ctx, privatepg.Config{})
	if err != nil {
		return "", nil, err
	}
	if url, err = cluster.CreateDatabase(ctx, "bench"); err != nil {
		return "", nil, errors.Join(err, cluster.Stop())
	}
	return url, cluster.Stop, nil
}

// parts makes service and executor, with the plugin core active.
func (b *rig) parts(ctx context.Context, dir string) (worker.Executor, func() error, error) {
	settings := engine.DefaultSettings()
	settings.CacheDir = b.cache
	eng, err := engine.New(engine.NameNative, settings)
	if err != nil {
		return nil, nil, fmt.Errorf("make the engine: %w", err)
	}
	functions := standard.New(standard.Options{})
	stop := func() error { return errors.Join(functions.Close(), eng.Close(context.WithoutCancel(ctx))) }
	exec, err := b.build(ctx, dir, eng, functions)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return exec, stop, nil
}

func (b *rig) build(ctx context.Context, dir string, eng engine.Engine, functions *standard.Set) (worker.Executor, error) {
	var names []string
	for _, f := range functions.Functions() {
		names = append(names, f.Name)
	}
	reg, err := registry.New(registry.Config{Store: b.store, Engine: eng, HostFunctions: names})
	if err != nil {
		return nil, fmt.Errorf("make the registry: %w", err)
	}
	key, err := vault.CreateKey(filepath.Join(dir, "vault.key"))
	if err != nil {
		return nil, err
	}
	seal, err := vault.New(key)
	if err != nil {
		return nil, err
	}
	b.service = service.New(service.Deps{Store: b.store, Vault: seal, Registry: reg, Limits: limits()})
	artifacts, err := plugins.Builtin()
	if err != nil {
		return nil, err
	}
	if artifacts["core"] == nil {
		return nil, errors.New("this binary has no built-in plugins; build it with make build")
	}
	small, err := smallPlugin()
	if err != nil {
		return nil, err
	}
	for _, wasm := range [][]byte{artifacts["core"], small} {
		pl, _, err := b.service.EnsureBuiltin(ctx, wasm)
		if err == nil {
			err = reg.Compile(ctx, wasm)
		}
		if err != nil {
			return nil, fmt.Errorf("activate the plugin %s: %w", pl.Name, err)
		}
	}
	if b.executor == inProcess {
		return runner.InProcess{}, nil
	}
	run, err := runner.New(runner.Config{Plugins: reg, Engine: eng, Functions: functions.Functions()})
	if err != nil {
		return nil, fmt.Errorf("make the runner: %w", err)
	}
	return run, nil
}
