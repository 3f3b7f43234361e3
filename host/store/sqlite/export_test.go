package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"strconv"
	"testing/fstest"

	"opsconductor.dev/host/store"
)

// Setting returns a pragma as the writing connection and as a reading one has it.
func Setting(ctx context.Context, db *DB, name string) (writer, reader string, err error) {
	if err := db.writer.conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&writer); err != nil {
		return "", "", err
	}
	return writer, reader, db.reads.QueryRowContext(ctx, "PRAGMA "+name).Scan(&reader)
}

// LimitPages makes the disk look full beyond n pages.
func LimitPages(ctx context.Context, db *DB, n int) error {
	_, err := db.writer.conn.ExecContext(ctx, "PRAGMA max_page_count = "+strconv.Itoa(n))
	return err
}

// At makes a database in a file as the version with n migrations did, and runs a
// statement on it.
func At(ctx context.Context, path string, n int, statement string) (err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=foreign_keys(1)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, createMigrations); err != nil {
		return err
	}
	all, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return err
	}
	first := fstest.MapFS{}
	for _, f := range all[:n] {
		text, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			return err
		}
		first["migrations/"+f.Name()] = &fstest.MapFile{Data: text}
	}
	if err := store.Migrate(ctx, applied{conn}, first); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, statement)
	return err
}
