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
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoPooler is in the tree of StartPooler's error when this machine has no pgbouncer.
var ErrNoPooler = errors.New("pgbouncer is neither in PATH nor in /usr/sbin: install the Debian package pgbouncer (apt-get install pgbouncer)")

// poolerConfig gives a few connections of the server to many clients, a
// transaction at a time.
const poolerConfig = `[databases]
* = host=%s user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 200
`

// Pooler is a pgbouncer in transaction mode before a Cluster. Stop it before the cluster.
type Pooler struct {
	dir  string
	cmd  *exec.Cmd
	once sync.Once
	err  error // of stopping
}

// StartPooler runs a pgbouncer that gives each database `connections` connections
// at most. It returns when it answers.
func (cl *Cluster) StartPooler(ctx context.Context, connections int) (*Pooler, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return nil, ErrNoPooler
		}
	}
	dir, err := os.MkdirTemp("", "opsconductor-pool-")
	if err != nil {
		return nil, err
	}
	p := &Pooler{dir: dir}
	if err := p.start(ctx, cl, program, connections); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Pooler) start(ctx context.Context, cl *Cluster, program string, connections int) error {
	ini := filepath.Join(p.dir, "pgbouncer.ini")
	if err := os.WriteFile(ini, fmt.Appendf(nil, poolerConfig, cl.dir, p.dir, connections), 0o644); err != nil { //nolint:gosec // no secret, and another user reads it
		return err
	}
	credential := cl.cmd.SysProcAttr.Credential
	if credential != nil { // like PostgreSQL, it does not run as root
		if err := os.Chown(p.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(program, "-q", ini) //nolint:gosec,noctx // it outlives ctx; Stop ends it
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start pgbouncer: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errors.New("pgbouncer took more than a minute to start"))
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%w: %w: %s", context.Cause(ctx), err, lastLines(string(text)))
		}
	}
}

// URL returns the URL of a database of the cluster, through the pooler.
func (p *Pooler) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		RawQuery: url.Values{"host": {p.dir}, "port": {"6432"}, "default_query_exec_mode": {"cache_describe"}}.Encode(),
	}
	return u.String()
}

// Stop ends the pooler and removes its folder. Stopping again does nothing.
func (p *Pooler) Stop() error {
	p.once.Do(func() {
		if p.cmd != nil && p.cmd.Process != nil {
			p.err = p.cmd.Process.Kill()
			_ = p.cmd.Wait() // it was killed
		}
		p.err = errors.Join(p.err, os.RemoveAll(p.dir))
	})
	return p.err
}
