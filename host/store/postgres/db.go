package postgres

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Config says which database to open, and how. Only URL has no default.
type Config struct {
	// URL of the database: postgres://user:password@host:port/database, or any
	// other form that libpq reads. It is never printed.
	URL string
	// ListenURL is where to listen for news, when URL leads through a pooler that
	// does not pass them on; "": where URL does.
	ListenURL string
	// MaxConns is how many connections the process has at most, beside the one that
	// listens; 0 means 16.
	MaxConns int
	// ConnectTimeout of one connection; 0 means 5 s.
	ConnectTimeout time.Duration
	// CommitTimeout is how long one commit may take; 0 means 30 s. A commit under
	// way is not given up for its caller's sake, so that its outcome is known.
	CommitTimeout time.Duration
	// MaxFlush is how many accepted runs share a commit at most; 0 means 1024.
	MaxFlush int
	// Poll is the longest time between two hints to look for news; 0 means 2 s.
	Poll time.Duration
}

// DB is the store on one PostgreSQL database. Make it with Open; it is safe for
// concurrent use.
type DB struct {
	config  Config
	pool    *pgxpool.Pool
	direct  *pgx.ConnConfig // of the connection that listens
	gate    store.Gate
	hub     store.Hub
	accepts *store.Group[*accept]
	news    *news
	stop    context.CancelCauseFunc
	wg      sync.WaitGroup
}

var _ store.Store = (*DB)(nil)

// errClosed is why the background work of a closed store ends.
var errClosed = errors.New("the store is closed")

// Open connects to the database at c.URL and brings its schema up to date; two
// processes that do so at the same time wait for each other.
func Open(ctx context.Context, c Config) (*DB, error) {
	c.MaxConns, c.MaxFlush = cmp.Or(c.MaxConns, 16), cmp.Or(c.MaxFlush, 1024)
	c.ConnectTimeout, c.CommitTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second), cmp.Or(c.CommitTimeout, 30*time.Second)
	c.Poll = cmp.Or(c.Poll, 2*time.Second)
	c.MaxConns = max(c.MaxConns, 2) // migrating takes two
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil { // its text may show parts of the URL: it is left out
		return nil, unreadable("the URL of the database")
	}
	direct, err := pgx.ParseConfig(cmp.Or(c.ListenURL, c.URL))
	if err != nil {
		return nil, unreadable("the URL of the database to listen at")
	}
	direct.ConnectTimeout = c.ConnectTimeout
	config.MaxConns = int32(c.MaxConns) //nolint:gosec // a setting, far below the bound
	config.ConnConfig.ConnectTimeout = c.ConnectTimeout
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "opsconductor"
	}
	if direct.RuntimeParams["application_name"] == "" {
		direct.RuntimeParams["application_name"] = "opsconductor"
	}
	config.AfterConnect = durable
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, translate(ctx, err)
	}
	db := &DB{config: c, pool: pool, direct: direct}
	if err := db.begin(ctx); err != nil {
		pool.Close()
		return nil, translate(ctx, err)
	}
	return db, nil
}

func unreadable(what string) error {
	return &automation.Error{
		Code: automation.CodeInvalid, Message: what + " can't be read",
		Allowed: "postgres://user:password@host:port/database", Suggestion: "escape special characters of the password (RFC 3986)",
	}
}

// durable makes sure that a commit is on the disk when it returns, whatever the
// server's or the database's default is.
func durable(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')`)
	return err
}

func (db *DB) begin(ctx context.Context) error {
	if err := migrate(ctx, db.pool); err != nil {
		return err
	}
	db.accepts = store.NewGroup(db.config.MaxFlush, db.flushAccepts)
	db.news = newNews()
	background, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	db.stop = stop
	db.wg.Go(func() { db.notify(background) })
	db.wg.Go(func() { db.listen(background) })
	return nil
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return db.read(ctx, func() error { return db.pool.Ping(ctx) })
}

// Wake returns a channel that receives, coalesced, when the topic may have news
// from any process, and the function that gives it back.
func (db *DB) Wake(topic store.Topic) (<-chan struct{}, func()) { return db.hub.Listen(topic) }

// Close waits for the calls under way and closes the connections. Calls after it
// fail with code unavailable; closing again does nothing.
func (db *DB) Close() error {
	if !db.gate.Shut() {
		return nil
	}
	db.stop(errClosed)
	db.wg.Wait()
	db.pool.Close()
	return nil
}

// read runs one read.
func (db *DB) read(ctx context.Context, fn func() error) error {
	if err := db.gate.Enter(); err != nil {
		return err
	}
	defer db.gate.Leave()
	return translate(ctx, fn())
}

// errSlowCommit is the cause of a commit's timeout.
var errSlowCommit = errors.New("the commit took longer than its limit")

// write runs one write.
func (db *DB) write(ctx context.Context, topics store.Topics, fn func(ctx context.Context) error) error {
	if err := db.gate.Enter(); err != nil {
		return err
	}
	defer db.gate.Leave()
	if ctx.Err() != nil {
		return translate(ctx, ctx.Err())
	}
	return db.commit(ctx, topics, fn)
}

// commit runs fn, which commits, under the limit of a commit and without the
// caller's cancellation; on success it spreads the news.
func (db *DB) commit(ctx context.Context, topics store.Topics, fn func(ctx context.Context) error) error {
	commit, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), db.config.CommitTimeout, errSlowCommit)
	defer cancel()
	if err := fn(commit); err != nil {
		return translate(commit, err)
	}
	db.spread(topics)
	return nil
}

// statement runs one statement as a write and returns how many rows it changed.
func (db *DB) statement(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = db.write(ctx, nil, func(ctx context.Context) error {
		var tag pgconn.CommandTag
		tag, err = db.pool.Exec(ctx, query, args...)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// querier is the pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// list reads all rows of a query by scan.
func list[T any](ctx context.Context, db *DB, scan func(pgx.Row) (T, error), query string, args ...any) ([]T, error) {
	var out []T
	err := db.read(ctx, func() error {
		rows, err := db.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return rows.Err()
	})
	return out, err
}

// one reads the one row of a query by scan; not_found without it.
func one[T any](ctx context.Context, db *DB, scan func(pgx.Row) (T, error), what, query string, args ...any) (T, error) {
	var out T
	err := db.read(ctx, func() error {
		var err error
		out, err = scan(db.pool.QueryRow(ctx, query, args...))
		return gone(err, what)
	})
	return out, err
}

// gone turns the absence of a row into not_found.
func gone(err error, what string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.NotFound(what)
	}
	return err
}
