package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Config says which file to open, and how. Only Path has no default.
type Config struct {
	// Path of the database file. It and its folder are made when they are not
	// there, readable by this user alone.
	Path string
	// Readers is how many reads may be under way at the same time; 0 means 4.
	Readers int
	// BusyTimeout is how long a statement waits for another program that has the
	// file open (a backup, say); 0 means 5 s.
	BusyTimeout time.Duration
	// MaxFlush is how many callers share a commit at most; 0 means 1024.
	MaxFlush int
}

// DB is the store on one SQLite file. Make it with Open; it is safe for
// concurrent use.
type DB struct {
	gate  store.Gate
	hub   store.Hub
	group *store.Group[*write]

	lock    *os.File
	writes  *sql.DB
	writer  *writer
	reads   *sql.DB
	queries sync.Map // query text → *sql.Stmt on reads
}

var _ store.Store = (*DB)(nil)

// Open opens the database at c.Path, makes it if it is not there, and brings its
// schema up to date. A file that another process has open is refused: code
// unavailable, naming that process.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Path == "" {
		return nil, &automation.Error{Code: automation.CodeInvalid, Message: "no path for the database file"}
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, openError(c.Path, err)
	}
	c.Path = path
	if c.Readers == 0 {
		c.Readers = 4
	}
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 5 * time.Second
	}
	if c.MaxFlush == 0 {
		c.MaxFlush = 1024
	}
	db := &DB{}
	db.group = store.NewGroup(c.MaxFlush, db.flush)
	if err := db.open(ctx, c); err != nil {
		_ = db.release()
		return nil, openError(c.Path, err)
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, c Config) error {
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return err
	}
	var err error
	if db.lock, err = lockFile(c.Path + ".lock"); err != nil {
		return err
	}
	file, err := os.OpenFile(c.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if db.writes, err = sql.Open("sqlite", dsn(c, false)); err != nil {
		return err
	}
	db.writes.SetMaxOpenConns(1)
	conn, err := db.writes.Conn(ctx)
	if err != nil {
		return err
	}
	db.writer = &writer{conn: conn, statements: map[string]*sql.Stmt{}}
	if err := migrate(ctx, conn); err != nil {
		return err
	}
	if db.reads, err = sql.Open("sqlite", dsn(c, true)); err != nil {
		return err
	}
	db.reads.SetMaxOpenConns(c.Readers)
	db.reads.SetMaxIdleConns(c.Readers)
	return db.reads.PingContext(ctx)
}

// dsn names the file as a URI, so that no character of a path is taken for a setting.
func dsn(c Config, readOnly bool) string {
	q := url.Values{}
	for _, p := range []string{
		"busy_timeout(" + strconv.FormatInt(c.BusyTimeout.Milliseconds(), 10) + ")",
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "trusted_schema(0)",
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)",
	} {
		q.Add("_pragma", p)
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
		q.Add("_pragma", "cache_size(-2048)") // a reader's pages are of no use to it after the next commit
	} else {
		q.Add("_pragma", "cache_size(-4096)")
		q.Add("_pragma", "temp_store(MEMORY)") // statement journals: readers' sorts go to disk when they are large
	}
	q.Set("_dqs", "0")
	u := url.URL{Scheme: "file", Path: c.Path, RawQuery: q.Encode()}
	return u.String()
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return db.read(ctx, func() error {
		var n int
		return db.row(ctx, `SELECT 1`).Scan(&n)
	})
}

// Wake returns a channel that receives, coalesced, after every commit with news
// for the topic, and the function that gives it back.
func (db *DB) Wake(topic store.Topic) (<-chan struct{}, func()) { return db.hub.Listen(topic) }

// Close waits for the calls under way, closes the file and gives its lock back.
// Calls after it fail with code unavailable; closing again does nothing.
func (db *DB) Close() error {
	if !db.gate.Shut() {
		return nil
	}
	if err := db.release(); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

func (db *DB) release() error {
	var errs []error
	db.queries.Range(func(_, s any) bool {
		errs = append(errs, s.(*sql.Stmt).Close())
		return true
	})
	if db.reads != nil {
		errs = append(errs, db.reads.Close())
	}
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	if db.writes != nil {
		errs = append(errs, db.writes.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// read runs one read: fn uses the reading connections alone.
func (db *DB) read(ctx context.Context, fn func() error) error {
	if err := db.gate.Enter(); err != nil {
		return err
	}
	defer db.gate.Leave()
	return translate(ctx, fn())
}

// prepared returns the statement of a query, which is kept: every query is a constant.
func (db *DB) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := db.queries.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := db.reads.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, ok := db.queries.LoadOrStore(query, s); ok {
		_ = s.Close()
		return first.(*sql.Stmt), nil
	}
	return s, nil
}

func (db *DB) row(ctx context.Context, query string, args ...any) scanner {
	s, err := db.prepared(ctx, query)
	if err != nil {
		return failed{err}
	}
	return s.QueryRowContext(ctx, args...)
}

// scanner is a row: *sql.Row and *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// list reads all rows of a query by scan.
func list[T any](ctx context.Context, db *DB, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var out []T
	err := db.read(ctx, func() error {
		s, err := db.prepared(ctx, query)
		if err != nil {
			return err
		}
		rows, err := s.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
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
func one[T any](ctx context.Context, db *DB, scan func(scanner) (T, error), what, query string, args ...any) (T, error) {
	var out T
	err := db.read(ctx, func() error {
		var err error
		out, err = scan(db.row(ctx, query, args...))
		if errors.Is(err, sql.ErrNoRows) {
			return store.NotFound(what)
		}
		return err
	})
	return out, err
}
