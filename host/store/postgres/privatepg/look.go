//go:build unix

package privatepg

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// Usage is what a server has written and what a database of it holds.
type Usage struct {
	// Version is the server's, like "15.14 (Debian 15.14-0+deb12u1)".
	Version string
	// WAL is the position in the server's log, in bytes: what it writes moves it on.
	WAL int64
	// Tables is the bytes of each table with its indexes and long values; those of a
	// partitioned table are counted under its name.
	Tables map[string]int64
}

const lookQuery = `SELECT current_setting('server_version'), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint`

const tablesQuery = `SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text, sum(pg_total_relation_size(c.oid))::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
GROUP BY 1`

// Look returns what the server of a database has written and what the database
// holds, of any server that can be reached.
func Look(ctx context.Context, database string) (u Usage, err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return u, fmt.Errorf("look at the database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if err := conn.QueryRow(ctx, lookQuery).Scan(&u.Version, &u.WAL); err != nil {
		return u, fmt.Errorf("read the server's version and the end of its log: %w", err)
	}
	rows, err := conn.Query(ctx, tablesQuery)
	if err != nil {
		return u, fmt.Errorf("read the sizes of tables: %w", err)
	}
	u.Tables = map[string]int64{}
	var name string
	var size int64
	_, err = pgx.ForEachRow(rows, []any{&name, &size}, func() error {
		u.Tables[name] = size
		return nil
	})
	if err != nil {
		return u, fmt.Errorf("read the sizes of tables: %w", err)
	}
	return u, nil
}

// Hold opens a transaction that has read, and keeps it open until release is
// called: nothing that is removed after it can be cleaned away meanwhile, as under
// a backup or a forgotten session.
func Hold(ctx context.Context, database string) (release func() error, err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("open a transaction: %w", err)
	}
	none := context.WithoutCancel(ctx)
	for _, statement := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("open a transaction: %w", err), conn.Close(none))
		}
	}
	return func() error {
		_, err := conn.Exec(none, "COMMIT") // a server ends a closed connection when it gets to it
		return errors.Join(err, conn.Close(none))
	}, nil
}

// Beside makes another database on the server of one, and returns its URL and what
// removes it again.
func Beside(ctx context.Context, base, name string) (other string, drop func() error, err error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", nil, errors.New("the database is not given as a URL") // with no word of it: it may hold a password
	}
	do := func(ctx context.Context, statement string) error {
		conn, err := pgx.Connect(ctx, base)
		if err != nil {
			return fmt.Errorf("open the database: %w", err)
		}
		_, err = conn.Exec(ctx, statement)
		return errors.Join(err, conn.Close(ctx))
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if err := do(ctx, "CREATE DATABASE "+quoted); err != nil {
		return "", nil, fmt.Errorf("make another database on the server: %w", err)
	}
	u.Path = "/" + name
	none := context.WithoutCancel(ctx)
	return u.String(), func() error { return do(none, "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)") }, nil
}
