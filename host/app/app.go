package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/config"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/telemetry"
)

// Config is the settings of a host.
type Config = config.Config

// Setting is one setting as flags and the environment set it.
type Setting = config.Setting

// Defaults returns the settings that nothing has changed.
func Defaults() Config { return config.Defaults() }

// Settings lists every setting.
func Settings() []Setting { return config.Settings() }

// App is a host that was built. Make it with Build; Run it once, or Close it.
type App struct {
	cfg      Config
	version  string
	log      *slog.Logger
	metrics  *telemetry.Metrics
	store    store.Store
	service  *service.Service
	registry *registry.Registry
	first    uncompiled
	loop     *scheduler.Loop
	server   *http.Server
	listen   net.Listener
	// requests is done when requests under way are to end.
	requests context.Context //nolint:containedctx // http.Server's BaseContext asks for it
	endAll   context.CancelFunc
	closers  closers
}

// closers are what closes the parts, in the order in which they were made.
type closers []func(context.Context) error

// close closes the last part first, every one of them.
func (c *closers) close(ctx context.Context) error {
	var errs []error
	for _, f := range slices.Backward(*c) {
		errs = append(errs, f(ctx))
	}
	*c = nil
	return errors.Join(errs...)
}

// URL returns where the API is, with the port that it has.
func (a *App) URL() string { return "http://" + a.listen.Addr().String() }

// Log returns the host's logger.
func (a *App) Log() *slog.Logger { return a.log }

// Close takes down an App that is not run.
func (a *App) Close(ctx context.Context) error {
	a.endAll()
	return errors.Join(a.listen.Close(), a.closers.close(ctx))
}

// Run serves until ctx is done or a part fails, and returns when everything has
// stopped: nil after a stop that was asked for.
func (a *App) Run(ctx context.Context) error {
	defer a.endAll()
	group, running := errgroup.WithContext(ctx)
	scheduling, stopScheduling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopScheduling()
	group.Go(func() error {
		if err := a.loop.Run(scheduling); err != nil {
			return fmt.Errorf("scheduler: %w", err)
		}
		if running.Err() == nil {
			return errors.New("the scheduler stopped by itself")
		}
		return nil
	})
	group.Go(func() error {
		a.keepSchedules(running)
		return nil
	})
	group.Go(func() error {
		a.keepStore(running)
		return nil
	})
	group.Go(func() error {
		a.compilePlugins(running)
		return nil
	})
	group.Go(func() error {
		if err := a.server.Serve(a.listen); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the API: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-running.Done()
		defer stopScheduling() // after the edges: what they accepted is taken in
		return a.stopServing()
	})
	a.log.Info("serving", slog.String("url", a.URL()), slog.String("version", a.version), slog.Any("database", a.cfg.Database))
	err := group.Wait()
	closing, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), a.cfg.ShutdownTimeout, errors.New("the shutdown's time is up"))
	defer cancel()
	err = errors.Join(err, a.closers.close(closing))
	a.log.Info("stopped")
	return err
}

// politeStop is how long requests under way may finish by themselves; then event
// streams and waits are ended.
const politeStop = 500 * time.Millisecond

// stopServing takes no new connection, gives the requests under way a moment,
// and then ends them.
func (a *App) stopServing() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.requests), a.cfg.ShutdownTimeout)
	defer cancel()
	polite, done := context.WithTimeout(ctx, politeStop)
	defer done()
	err := a.server.Shutdown(polite)
	if !errors.Is(err, context.DeadlineExceeded) {
		return wrap("stop serving", err)
	}
	a.endAll()
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(wrap("stop serving", err), a.server.Close())
	}
	return nil
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// ready says why the host can't work now.
func (a *App) ready(ctx context.Context) error {
	return errors.Join(wrap("database", a.store.Ping(ctx)), wrap("scheduler", a.loop.Ready(ctx)))
}

// serve makes the HTTP server and takes its port.
func (a *App) serve(ctx context.Context) error {
	var err error
	if a.listen, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Listen); err != nil {
		return fmt.Errorf("listen on %s: %w", a.cfg.Listen, err)
	}
	handler := api.New(api.Config{
		Service: a.service, Ready: a.ready, Metrics: a.metrics.Handler(), PublicMetrics: a.cfg.Loopback(),
		Observer: a.metrics, Log: a.log, Version: a.version,
	})
	a.server = api.Server(a.cfg.Listen, handler)
	a.server.BaseContext = func(net.Listener) context.Context { return a.requests }
	a.server.ErrorLog = slog.NewLogLogger(a.log.Handler(), slog.LevelWarn)
	return nil
}
