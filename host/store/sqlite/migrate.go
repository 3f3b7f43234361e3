package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"opsconductor.dev/host/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// clock is the database's time, in microseconds.
const clock = `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`

const (
	createMigrations = `CREATE TABLE IF NOT EXISTS migrations (
		number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT`
	selectMigration = `SELECT hash FROM migrations WHERE number = ?`
	insertMigration = `INSERT INTO migrations (number, name, hash, applied_at) VALUES (?, ?, ?, ` + clock + `)`
	lastMigration   = `SELECT coalesce(max(number), 0) FROM migrations`
)

// migrate brings the database up to this version.
func migrate(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, createMigrations); err != nil {
		return fmt.Errorf("prepare the table of migrations: %w", err)
	}
	return store.Migrate(ctx, applied{conn}, migrations)
}

// applied is the table of migrations.
type applied struct{ conn *sql.Conn }

// Applied implements store.Migrations.
func (a applied) Applied(ctx context.Context, number int) (hash string, err error) {
	err = a.conn.QueryRowContext(ctx, selectMigration, number).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return hash, err
}

// Last implements store.Migrations.
func (a applied) Last(ctx context.Context) (last int, err error) {
	err = a.conn.QueryRowContext(ctx, lastMigration).Scan(&last)
	return last, err
}

// Apply implements store.Migrations.
func (a applied) Apply(ctx context.Context, number int, name, hash, text string) error {
	tx, err := a.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, insertMigration, number, name, hash); err != nil {
		return err
	}
	return tx.Commit()
}
