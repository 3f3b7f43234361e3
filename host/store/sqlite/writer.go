package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"opsconductor.dev/host/store"
)

// write is one caller's part of a flush.
type write struct {
	fn   func(ctx context.Context, w *writer) error
	news store.Topics // what it has news for, once it is committed
	err  error
}

// write runs fn in the next flush and returns after its commit. fn may be rolled
// back after it returned nil (the commit failed): what it hands out counts only
// when write returned nil.
func (db *DB) write(ctx context.Context, news store.Topics, fn func(ctx context.Context, w *writer) error) error {
	if err := db.gate.Enter(); err != nil {
		return err
	}
	defer db.gate.Leave()
	op := &write{fn: fn, news: news}
	if err := db.group.Do(ctx, op); err != nil {
		return translate(ctx, err)
	}
	return translate(ctx, op.err)
}

// flush commits the parts of several callers at once. A part that fails is taken
// back alone; a fault of the database fails them all.
func (db *DB) flush(ctx context.Context, ops []*write) {
	err := db.transaction(ctx, ops)
	var news store.Topics
	for _, op := range ops {
		if err != nil {
			op.err = err
		}
		if op.err == nil {
			news = news.And(op.news)
		}
	}
	db.hub.Signal(news)
}

func (db *DB) transaction(ctx context.Context, ops []*write) (err error) {
	w := db.writer
	if err := w.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	defer func() {
		if err != nil { // SQLite may have rolled back by itself: then this fails, which is fine
			_ = w.exec(ctx, `ROLLBACK`)
		}
	}()
	if len(ops) == 1 {
		if ops[0].err = ops[0].fn(ctx, w); ops[0].err != nil {
			return ops[0].err
		}
		return w.exec(ctx, `COMMIT`)
	}
	for _, op := range ops {
		if err := w.savepoint(ctx, op); err != nil {
			return err
		}
	}
	return w.exec(ctx, `COMMIT`)
}

// writer is the one connection that writes, with its statements. Only the
// flush that is under way uses it.
type writer struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

// savepoint runs one part so that it can be taken back alone; its error is the
// whole transaction's.
func (w *writer) savepoint(ctx context.Context, op *write) error {
	if err := w.exec(ctx, `SAVEPOINT part`); err != nil {
		return err
	}
	if op.err = op.fn(ctx, w); op.err != nil {
		if !ownFault(op.err) {
			return op.err
		}
		if err := w.exec(ctx, `ROLLBACK TO part`); err != nil {
			return err
		}
	}
	return w.exec(ctx, `RELEASE part`)
}

func (w *writer) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := w.statements[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	w.statements[query] = s
	return s, nil
}

func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	_, err := w.changed(ctx, query, args...)
	return err
}

// changed runs a statement and returns how many rows it changed.
func (w *writer) changed(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := w.prepared(ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (w *writer) row(ctx context.Context, query string, args ...any) scanner {
	s, err := w.prepared(ctx, query)
	if err != nil {
		return failed{err}
	}
	return s.QueryRowContext(ctx, args...)
}

// rowsAtOnce are the sizes in which rows are inserted: one statement for many
// rows costs a fraction of many statements.
func rowsAtOnce() []int { return []int{64, 8, 1} }

// insert adds rows: head is the statement up to VALUES, tail what follows the
// rows, and args holds `columns` values a row.
func (w *writer) insert(ctx context.Context, head, tail string, columns int, args []any) error {
	row := "(" + strings.Repeat("?,", columns-1) + "?)"
	for _, size := range rowsAtOnce() {
		if len(args) < size*columns {
			continue
		}
		query := head + " VALUES " + strings.Repeat(row+",", size-1) + row + tail
		for len(args) >= size*columns {
			if err := w.exec(ctx, query, args[:size*columns]...); err != nil {
				return err
			}
			args = args[size*columns:]
		}
	}
	return nil
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}
