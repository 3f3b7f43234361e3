//go:build unix

package privatepg

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// Restart runs the server again after Kill, or after it ended by itself, and
// returns when it has recovered and answers. Kill, Restart and Stop are for one
// caller at a time.
func (cl *Cluster) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, errors.New("PostgreSQL took more than a minute to come back"))
	defer cancel()
	bin, err := programs(cl.config.Programs)
	if err != nil {
		return err
	}
	credential, err := runAs(cl.config.User)
	if err != nil {
		return err
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for { // what is left of the old server holds its memory for a moment
		<-cl.exited
		if err = cl.serve(ctx, bin, credential); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-again.C:
		}
	}
}

// Alive reports whether the server's process is there.
func (cl *Cluster) Alive() bool {
	select {
	case <-cl.exited:
		return false
	default:
		return true
	}
}

// Socket returns the path of the socket that the server listens on.
func (cl *Cluster) Socket() string { return filepath.Join(cl.dir, ".s.PGSQL.5432") }

// Exec runs a statement in a database as the cluster's owner.
func (cl *Cluster) Exec(ctx context.Context, database, statement string) error {
	conn, err := pgx.Connect(ctx, cl.URL(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
