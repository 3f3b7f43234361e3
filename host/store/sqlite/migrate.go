package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"

	"opsconductor.dev/host/automation"
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

// migrate applies the files that the database does not have yet, in the order of
// their numbers, each in one transaction.
func migrate(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, createMigrations); err != nil {
		return fmt.Errorf("prepare the table of migrations: %w", err)
	}
	files, err := migrations.ReadDir("migrations") // sorted by name
	if err != nil {
		return err
	}
	for i, f := range files {
		text, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			return err
		}
		if err := apply(ctx, conn, i+1, f.Name(), string(text)); err != nil {
			return fmt.Errorf("migration %s: %w", f.Name(), err)
		}
	}
	var last int
	if err := conn.QueryRowContext(ctx, lastMigration).Scan(&last); err != nil {
		return err
	}
	if last > len(files) {
		return &automation.Error{
			Code: automation.CodeUnavailable, Message: fmt.Sprintf("the database has migration %d, this version knows %d", last, len(files)),
			Suggestion: "run the newer version that made it",
		}
	}
	return nil
}

func apply(ctx context.Context, conn *sql.Conn, number int, name, text string) error {
	sum := sha256.Sum256([]byte(text))
	hash := hex.EncodeToString(sum[:])
	var applied string
	err := conn.QueryRowContext(ctx, selectMigration, number).Scan(&applied)
	if err == nil {
		if applied != hash {
			return &automation.Error{
				Code: automation.CodeUnavailable, Message: "the database was made by another text of migration " + name,
				Suggestion: "run the version that made it; a migration never changes once it is released",
			}
		}
		return nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
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
