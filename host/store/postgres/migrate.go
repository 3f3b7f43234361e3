package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// migrationLock is the advisory lock that one process at a time migrates under.
	// It belongs to a transaction: behind a pooler a session's would be kept by a
	// connection of the server that is somebody else's next.
	migrationLock    = `SELECT pg_advisory_xact_lock(7307210958231101)`
	createMigrations = `CREATE TABLE IF NOT EXISTS migrations (
		number integer PRIMARY KEY, name text NOT NULL, hash text NOT NULL, applied_at timestamptz NOT NULL)`
	selectMigration = `SELECT hash FROM migrations WHERE number = $1`
	insertMigration = `INSERT INTO migrations (number, name, hash, applied_at) VALUES ($1, $2, $3, clock_timestamp())`
	lastMigration   = `SELECT coalesce(max(number), 0) FROM migrations`
	serverVersion   = `SELECT current_setting('server_version_num')::int`
)

// oldest is the oldest version of PostgreSQL that this store runs on.
const oldest = 130000

// migrate applies the files that the database does not have yet, in the order of
// their numbers, each in one transaction.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	c, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	conn := c.Conn()
	var version int
	if err := conn.QueryRow(ctx, serverVersion).Scan(&version); err != nil {
		return err
	}
	if version < oldest {
		return &automation.Error{Code: automation.CodeUnavailable, Message: fmt.Sprintf("PostgreSQL %d is too old", version/10000), Allowed: "13 or newer"}
	}
	lock, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := lock.Exec(ctx, migrationLock); err != nil {
		return fmt.Errorf("wait for the migrations of another process: %w", err)
	}
	return migrateLocked(ctx, conn)
}

func migrateLocked(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, createMigrations); err != nil {
		return fmt.Errorf("prepare the table of migrations: %w", err)
	}
	return store.Migrate(ctx, applied{conn}, migrations)
}

// applied is the table of migrations.
type applied struct{ conn *pgx.Conn }

// Applied implements store.Migrations.
func (a applied) Applied(ctx context.Context, number int) (hash string, err error) {
	err = a.conn.QueryRow(ctx, selectMigration, number).Scan(&hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return hash, err
}

// Last implements store.Migrations.
func (a applied) Last(ctx context.Context) (last int, err error) {
	err = a.conn.QueryRow(ctx, lastMigration).Scan(&last)
	return last, err
}

// Apply implements store.Migrations.
func (a applied) Apply(ctx context.Context, number int, name, hash, text string) error {
	tx, err := a.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Conn().PgConn().Exec(ctx, text).ReadAll(); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertMigration, number, name, hash); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
