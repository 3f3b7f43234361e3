package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// partitioned are the tables that have a partition for each day, and their key's column.
func partitioned() [3][2]string {
	return [3][2]string{{"runs", "id"}, {"entries", "run_id"}, {"attempt_logs", "run_id"}}
}

const (
	// retentionLock keeps two hosts from changing partitions at the same time. It
	// belongs to a transaction, like migrationLock.
	retentionLock = `SELECT pg_try_advisory_xact_lock(7307210958231102)`
	// Everybody who comes after a lock that waits, waits too: it waits for a moment only.
	shortLocks = `SET LOCAL lock_timeout = '100ms'`

	selectPartitions = `SELECT c.relname, coalesce(substring(b.bound FROM 'FROM \(''([^'']*)''\)'), ''), substring(b.bound FROM 'TO \(''([^'']*)''\)')
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) b
		WHERE i.inhparent = 'runs'::regclass AND b.bound <> 'DEFAULT' ORDER BY 2`
)

// madeAhead is how many days from now on there are partitions for.
const madeAhead = 7

// part is one partition of each table: those of the runs from low on, below high.
type part struct{ suffix, low, high string }

func (db *DB) parts(ctx context.Context) ([]part, error) {
	return list(ctx, db, func(row pgx.Row) (part, error) {
		var p part
		err := row.Scan(&p.suffix, &p.low, &p.high)
		p.suffix = strings.TrimPrefix(p.suffix, "runs")
		return p, err
	}, selectPartitions)
}

// makeAhead makes the partitions of the days to come.
func (db *DB) makeAhead(ctx context.Context, now time.Time, days int) error {
	for {
		parts, err := db.parts(ctx)
		if err != nil {
			return err
		}
		if len(parts) == 0 {
			return automation.Errorf(automation.CodeInternal, "the table runs has no partition but the last")
		}
		end, err := timeOf(parts[len(parts)-1].high)
		if err != nil {
			return err
		}
		today := store.DayOf(now)
		if !end.Before(today.AddDate(0, 0, madeAhead)) {
			return nil
		}
		high := end.AddDate(0, 0, days)
		if high.Before(today) { // nobody was here for a while
			high = today
		}
		p := part{suffix: "_" + end.Format("20060102"), low: automation.FirstID[string](end), high: automation.FirstID[string](high)}
		if err := db.change(ctx, p.make); err != nil {
			return fmt.Errorf("make a partition: %w", err)
		}
	}
}

// timeOf is the opposite of automation.FirstID.
func timeOf(id string) (time.Time, error) {
	ms, err := strconv.ParseInt(strings.ReplaceAll(id, "-", ""), 16, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the bound of a partition: %w", err)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// errPutOff is why partitions were left as they are.
var errPutOff = errors.New("somebody holds a lock on them")

// change runs fn, which changes partitions, in a transaction of its own that gives
// up soon: errPutOff.
func (db *DB) change(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.write(ctx, nil, func(ctx context.Context) error {
		tx, err := db.pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		var alone bool
		if err := tx.QueryRow(ctx, retentionLock).Scan(&alone); err != nil {
			return err
		}
		if !alone {
			return postponed(errPutOff)
		}
		if _, err := tx.Exec(ctx, shortLocks); err != nil {
			return err
		}
		if err := fn(ctx, tx); err != nil {
			return postponed(err)
		}
		return tx.Commit(ctx)
	})
}

// postponed marks an error that is due to what others do just now.
func postponed(err error) error {
	var pg *pgconn.PgError
	late := errors.As(err, &pg) && (pg.Code == stateLockTimeout || pg.Code == stateDeadlock || pg.Code == stateDuplicateTable || pg.Code == stateForeignKey)
	if late || errors.Is(err, errPutOff) {
		return &automation.Error{Code: automation.CodeUnavailable, Message: "others use what is to be removed", CanRetry: true, Err: errors.Join(errPutOff, err)}
	}
	return err
}

// make makes the partitions. What stands in the last ones for want of them moves in.
func (p part) make(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `LOCK TABLE runs_rest, entries_rest, attempt_logs_rest IN ACCESS EXCLUSIVE MODE`); err != nil {
		return err
	}
	for _, t := range partitioned() {
		parent, key := t[0], t[1]
		fill := 100
		if parent == "runs" {
			fill = 70 // its rows are updated
		}
		for _, statement := range []string{
			fmt.Sprintf(`CREATE TABLE %[1]s%[2]s (LIKE %[1]s INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = %[3]d)`, parent, p.suffix, fill),
			fmt.Sprintf(`WITH moved AS (DELETE FROM %[1]s_rest WHERE %[2]s >= '%[3]s' AND %[2]s < '%[4]s' RETURNING *) INSERT INTO %[1]s%[5]s SELECT * FROM moved`, parent, key, p.low, p.high, p.suffix),
			fmt.Sprintf(`ALTER TABLE %[1]s ATTACH PARTITION %[1]s%[2]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`, parent, p.suffix, p.low, p.high),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop removes the partitions, unless a run in them is open.
func (p part) drop(ctx context.Context, tx pgx.Tx) error {
	for _, t := range []string{"approvals", "commands"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+t+` WHERE run_id >= $1 AND run_id < $2`, p.low, p.high); err != nil {
			return err
		}
	}
	for _, t := range partitioned() {
		if _, err := tx.Exec(ctx, `LOCK TABLE ONLY `+t[0]+` IN ACCESS EXCLUSIVE MODE`); err != nil {
			return err
		}
	}
	var open int64
	if err := tx.QueryRow(ctx, p.open()).Scan(&open); err != nil {
		return err
	}
	if open > 0 { // it came since: somebody accepted a run under an old identifier
		return errPutOff
	}
	for _, t := range partitioned() {
		if _, err := tx.Exec(ctx, `DROP TABLE `+t[0]+p.suffix); err != nil {
			return err
		}
	}
	return nil
}

func (p part) open() string {
	return `SELECT count(*) FROM runs` + p.suffix + ` WHERE state IN ('awaiting_approval', 'queued', 'running', 'paused')`
}
