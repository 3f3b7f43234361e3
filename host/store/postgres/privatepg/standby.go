//go:build unix

package privatepg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// StartStandby makes a second cluster that follows cl, synchronously: once it
// returns, a commit on cl waits until the standby has it on its disk.
func (cl *Cluster) StartStandby(ctx context.Context) (*Cluster, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errors.New("the standby took more than a minute to start"))
	defer cancel()
	dir, err := os.MkdirTemp(cl.config.Dir, "opsconductor-pg-")
	if err != nil {
		return nil, err
	}
	standby := &Cluster{dir: dir, config: cl.config}
	if err := cl.followedBy(ctx, standby); err != nil {
		return nil, errors.Join(err, standby.Stop())
	}
	return standby, nil
}

func (cl *Cluster) followedBy(ctx context.Context, standby *Cluster) error {
	credential := cl.cmd.SysProcAttr.Credential
	if credential != nil {
		if err := os.Chown(standby.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	data, bin := filepath.Join(standby.dir, "data"), filepath.Dir(cl.cmd.Path)
	from := fmt.Sprintf("host=%s user=postgres application_name=standby", cl.dir)
	backup := exec.CommandContext(ctx, filepath.Join(bin, "pg_basebackup"), "-D", data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync", "-d", from) //nolint:gosec // a program of this machine
	backup.Dir = standby.dir
	backup.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, lastLines(string(out)))
	}
	if err := standby.configure(filepath.Join(data, "postgresql.conf"), nil); err != nil {
		return err
	}
	if err := standby.serve(ctx, bin, credential); err != nil {
		return err
	}
	for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names = 'standby'`, `SELECT pg_reload_conf()`} {
		if err := cl.exec(ctx, statement); err != nil {
			return err
		}
	}
	return cl.awaitSync(ctx)
}

// awaitSync waits until commits wait for the standby.
func (cl *Cluster) awaitSync(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, cl.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		var sync bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync')`).Scan(&sync); err != nil || sync {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Kill ends the server and all its processes at once (SIGKILL), as a power loss would.
// Its folder stays until Stop.
func (cl *Cluster) Kill() error {
	if err := syscall.Kill(-cl.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill PostgreSQL: %w", err)
	}
	<-cl.exited
	return nil
}

// Promote makes a standby the primary.
func (cl *Cluster) Promote(ctx context.Context) error { return cl.exec(ctx, `SELECT pg_promote()`) }

// EitherURL returns the URL of a database on whichever of two clusters is the primary.
func (cl *Cluster) EitherURL(other *Cluster, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		RawQuery: url.Values{"host": {cl.dir + "," + other.dir}, "target_session_attrs": {"read-write"}}.Encode(),
	}
	return u.String()
}
