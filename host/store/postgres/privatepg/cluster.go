//go:build unix

// Package privatepg runs a PostgreSQL server of its own: a new cluster in a
// temporary folder, reachable through a socket in that folder alone, by this
// user (and root), and gone when it is stopped. Tests and benchmarks use it;
// so does anyone who has the server's programs and no server.
//
// It is as durable as PostgreSQL is by default: fsync and synchronous commits
// are on. PostgreSQL refuses to run as root, so root hands the cluster to
// another user (postgres).
package privatepg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// How long the server may take to start and to stop.
const (
	startWithin = 60 * time.Second
	stopWithin  = 20 * time.Second
)

// Config says how to run the server. The zero value is fine.
type Config struct {
	// Settings are added to postgresql.conf: name → value.
	Settings map[string]string
	// Programs is the folder of initdb and postgres; "" looks in PATH, then for the
	// newest one below /usr/lib/postgresql.
	Programs string
	// User that the server runs as when this process is root; "" means postgres.
	User string
	// Dir is the folder that the cluster's own is made in; "" is that of temporary files.
	Dir string
	// Env is added to the server's environment: "NAME=value".
	Env []string
}

// Cluster is a server that runs. Stop it; it is safe for concurrent use.
type Cluster struct {
	dir    string
	config Config
	cmd    *exec.Cmd
	wg     sync.WaitGroup
	exited chan struct{} // closed when the server process is gone
	once   sync.Once
	err    error // of stopping
}

// Start makes a cluster and runs its server. It returns when the server
// answers, and fails, naming what to install, when its programs are not there.
func Start(ctx context.Context, c Config) (*Cluster, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errors.New("PostgreSQL took more than a minute to start"))
	defer cancel()
	bin, err := programs(c.Programs)
	if err != nil {
		return nil, err
	}
	credential, err := runAs(c.User)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(c.Dir, "opsconductor-pg-")
	if err != nil {
		return nil, err
	}
	cl := &Cluster{dir: dir, config: c}
	if err := cl.start(ctx, bin, credential, c.Settings); err != nil {
		return nil, errors.Join(err, cl.Stop())
	}
	return cl, nil
}

func (cl *Cluster) start(ctx context.Context, bin string, credential *syscall.Credential, settings map[string]string) error {
	if credential != nil {
		if err := os.Chown(cl.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(cl.dir, "data")
	// The new files need not survive a power loss before the server runs: --no-sync.
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync") //nolint:gosec // a program of this machine
	initdb.Dir = cl.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(string(out)))
	}
	if err := cl.configure(filepath.Join(data, "postgresql.conf"), settings); err != nil {
		return err
	}
	return cl.serve(ctx, bin, credential)
}

// serve runs the server on the cluster's data, and returns when it answers.
func (cl *Cluster) serve(ctx context.Context, bin string, credential *syscall.Credential) error {
	cl.exited = make(chan struct{})
	cl.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", filepath.Join(cl.dir, "data")) //nolint:gosec,noctx // it outlives ctx; Stop ends it
	cl.cmd.Dir = cl.dir
	cl.cmd.Env = append(os.Environ(), cl.config.Env...)
	// In a group of its own, so that a Ctrl-C does not reach it as well.
	cl.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Setpgid: true}
	endWithThread(cl.cmd.SysProcAttr)
	if err := cl.run(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return cl.awaitReady(ctx)
}

func (cl *Cluster) configure(path string, settings map[string]string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	conf := map[string]string{
		"listen_addresses": "", "unix_socket_directories": cl.dir, "fsync": "on", "synchronous_commit": "on",
		"max_connections": "300", "timezone": "UTC", "log_timezone": "UTC",
	}
	maps.Copy(conf, settings)
	for name, value := range conf {
		if _, err := fmt.Fprintf(f, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''")); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// run starts the server in a thread that nothing else uses while it lives: on
// Linux the kernel ends the server when that thread ends, and so when this
// process is killed.
func (cl *Cluster) run() error {
	log, err := os.OpenFile(cl.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cl.cmd.Stdout, cl.cmd.Stderr = log, log
	started := make(chan error, 1)
	cl.wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(cl.exited)
		defer func() { _ = log.Close() }()
		err := cl.cmd.Start()
		started <- err
		if err == nil {
			_ = cl.cmd.Wait() // Stop looks at how it ended
		}
	})
	return <-started
}

func (cl *Cluster) log() string { return filepath.Join(cl.dir, "log") }

func (cl *Cluster) awaitReady(ctx context.Context) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, cl.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-again.C:
		case <-cl.exited:
			text, _ := os.ReadFile(cl.log())
			return fmt.Errorf("PostgreSQL ended at once: %s", lastLines(string(text)))
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// URL returns the URL of a database of the cluster. There is always one named postgres.
func (cl *Cluster) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: url.Values{"host": {cl.dir}}.Encode()}
	return u.String()
}

// CreateDatabase makes a database and returns its URL.
func (cl *Cluster) CreateDatabase(ctx context.Context, name string) (string, error) {
	return cl.URL(name), cl.exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

// DropDatabase removes a database; who is connected to it is thrown out.
func (cl *Cluster) DropDatabase(ctx context.Context, name string) error {
	return cl.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

func (cl *Cluster) exec(ctx context.Context, statement string) error {
	return cl.Exec(ctx, "postgres", statement)
}

// Stop ends the server and removes its folder. Stopping again does nothing.
func (cl *Cluster) Stop() error {
	cl.once.Do(func() { cl.err = errors.Join(cl.stop(), os.RemoveAll(cl.dir)) })
	return cl.err
}

func (cl *Cluster) stop() error {
	if cl.cmd == nil || cl.cmd.Process == nil {
		return nil
	}
	defer cl.wg.Wait()
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} { // fast, immediate, now
		if err := cl.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		late := time.NewTimer(stopWithin)
		select {
		case <-cl.exited:
			late.Stop()
			return nil
		case <-late.C:
		}
	}
	return errors.New("PostgreSQL does not end")
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}
