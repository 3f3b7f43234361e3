package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/telemetry"
)

// Options say what to build.
type Options struct {
	Config Config
	// Dev: one person's host on one machine. It makes its own key and keeps an admin
	// token that works in its folder; it listens on this machine alone.
	Dev     bool
	Version string
	// LogTo takes the log.
	LogTo io.Writer
	// Vetting is the command that calls ServeVetting for the host's engine; nil: uploads
	// are vetted in the host itself.
	Vetting []string
}

// Build makes a host from its settings, with everything open and nothing running
// but the port taken. When a part goes wrong, what was made is closed again.
func Build(ctx context.Context, o Options) (*App, error) {
	cfg := o.Config
	if o.Dev {
		cfg = cfg.Dev()
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Dev && !cfg.Loopback() {
		return nil, &automation.Error{
			Code: automation.CodeInvalid, Message: "dev listens on this machine alone, over plain HTTP: --listen has to be a loopback address",
			Suggestion: "use serve behind a TLS proxy for others to reach it",
		}
	}
	a := &App{cfg: cfg, version: o.Version, metrics: telemetry.NewMetrics(o.Version)}
	a.requests, a.endAll = context.WithCancel(context.WithoutCancel(ctx))
	if err := a.build(ctx, o); err != nil {
		a.endAll()
		return nil, errors.Join(err, a.closers.close(context.WithoutCancel(ctx)))
	}
	return a, nil
}

func (a *App) build(ctx context.Context, o Options) error {
	level, err := a.cfg.Level()
	if err != nil {
		return fmt.Errorf("set the log up: %w", err)
	}
	if a.log, err = telemetry.NewLogger(o.LogTo, level, a.cfg.LogFormat); err != nil {
		return fmt.Errorf("set the log up: %w", err)
	}
	home, err := openFolder(a.cfg.Dir)
	if err != nil {
		return err
	}
	a.onClose(func(context.Context) error { return home.close() })
	opened, err := OpenStore(ctx, a.cfg.Database, a.cfg.Direct)
	if err != nil {
		return fmt.Errorf("open the store %s: %w", a.cfg.Database, err)
	}
	a.onClose(func(context.Context) error { return opened.Close() })
	a.store = measured{Store: opened, metrics: a.metrics}
	seal, err := openVault(ctx, a.store, a.cfg.KeyFile, o.Dev)
	if err != nil {
		return err
	}
	parts, err := a.buildPlugins(seal, o.Vetting)
	if err != nil {
		return err
	}
	a.registry = parts.registry
	a.service = service.New(service.Deps{Store: a.store, Vault: seal, Registry: parts.registry, Log: a.log, Version: a.version, OwnApprovals: o.Dev})
	if err := a.buildLoop(home, parts); err != nil {
		return err
	}
	if err := a.ensure(ctx, home, o.Dev); err != nil {
		return err
	}
	if err := a.serve(ctx); err != nil {
		return err
	}
	return a.announce(home)
}

func (a *App) onClose(f func(context.Context) error) { a.closers = append(a.closers, f) }

func (a *App) buildLoop(home *folder, parts *pluginParts) error {
	id, err := home.hostID()
	if err != nil {
		return err
	}
	a.loop = scheduler.New(scheduler.Config{
		Store: a.store, Executor: parts.runner, Logs: parts.runner, LogsEvery: time.Second,
		Host: id, Name: hostName(a.cfg.Name), Version: a.version, Slots: a.cfg.Slots, Queues: a.cfg.Queues, Limits: machine.Limits{PerTarget: a.cfg.PerTarget, PerNetworkDevice: a.cfg.PerNetworkDevice},
		Alone: !a.cfg.Database.Postgres(), Drain: a.cfg.ShutdownTimeout / 2, Log: a.log, Metrics: a.metrics,
	})
	return nil
}

// ensure makes sure that what a new deployment needs is there: the built-in
// plugins and a first token.
func (a *App) ensure(ctx context.Context, home *folder, dev bool) error {
	if err := a.ensurePlugins(ctx); err != nil {
		return err
	}
	if dev {
		return devToken(ctx, a.service, home)
	}
	made, err := firstToken(ctx, a.service, home)
	if made {
		a.log.Info("wrote the first admin token", slog.String("file", home.file(tokenFile)))
	}
	return err
}

// announce writes the API's address to the folder, where the command line looks
// for it, and takes it away at the end.
func (a *App) announce(home *folder) error {
	a.onClose(func(context.Context) error { return home.remove(urlFile) })
	return writeNew(home.file(urlFile), a.URL()+"\n")
}
