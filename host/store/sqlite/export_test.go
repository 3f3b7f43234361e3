package sqlite

import (
	"context"
	"strconv"
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
