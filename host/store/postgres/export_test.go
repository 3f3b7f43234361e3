package postgres

import "context"

// Setting returns a setting of the server as a connection of the store has it.
func Setting(ctx context.Context, db *DB, name string) (value string, err error) {
	return value, db.pool.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&value)
}
