package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	// sliceRows is how many rows one transaction removes at most, and mostSlices how
	// many such transactions a sweep has for each table.
	sliceRows  = 1000
	mostSlices = 200

	countRest   = `SELECT count(*) FROM (SELECT 1 FROM runs_rest LIMIT 1000) r`
	dropRest    = `DELETE FROM runs_rest WHERE id IN (SELECT id FROM runs_rest WHERE id < $1 AND ended_at IS NOT NULL LIMIT $2)`
	dropEntries = `DELETE FROM entries_rest WHERE (run_id, seq) IN (SELECT e.run_id, e.seq FROM entries_rest e
		WHERE e.run_id < $1 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = e.run_id) LIMIT $2)`
	dropLogs = `DELETE FROM attempt_logs_rest WHERE (run_id, step, item, attempt) IN (SELECT l.run_id, l.step, l.item, l.attempt FROM attempt_logs_rest l
		WHERE l.run_id < $1 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = l.run_id) LIMIT $2)`
	// What attempts of lost hosts had logged: little, in one table for all days.
	dropLive = `DELETE FROM live_logs WHERE (run_id, step, item, attempt, chunk) IN (SELECT l.run_id, l.step, l.item, l.attempt, l.chunk FROM live_logs l
		WHERE l.run_id < $1 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = l.run_id) LIMIT $2)`
	dropPlans = `DELETE FROM plans WHERE (tenant, hash) IN (SELECT p.tenant, p.hash FROM plans p WHERE p.created_at < $1
		AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.tenant = p.tenant AND r.plan_hash = p.hash)
		AND NOT EXISTS (SELECT 1 FROM schedule_fires f WHERE f.tenant = p.tenant AND f.plan_hash = p.hash) ORDER BY p.created_at LIMIT $2)`
	dropKeys = `DELETE FROM idempotency WHERE (tenant, by, action, key) IN (SELECT tenant, by, action, key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2)`
	// A host comes back above the epochs of those that are removed.
	dropHosts = `WITH gone AS (
			DELETE FROM hosts h WHERE state IN ('stopped', 'lost') AND heartbeat < clock_timestamp() - $1::interval
				AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.host_id = h.id) AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.host_id = h.id)
				AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.leader = h.id) RETURNING epoch),
		kept AS (UPDATE removed_hosts SET epoch = greatest(epoch, (SELECT max(epoch) FROM gone)) WHERE EXISTS (SELECT 1 FROM gone))
		SELECT count(*) FROM gone`
)

// Sweep removes what is over, and makes the partitions of the days to come.
func (db *DB) Sweep(ctx context.Context, s store.Sweep) (store.Swept, error) {
	w := sweep{db: db, Sweep: s}
	for _, part := range []func(context.Context) error{w.ahead, w.days, w.rest, w.plans, w.keys, w.hosts} {
		err := part(ctx)
		if errors.Is(err, errPutOff) {
			w.done.PutOff = true
		} else if err != nil {
			return w.done, err
		}
	}
	return w.done, nil
}

// sweep is one sweep under way.
type sweep struct {
	store.Sweep
	db   *DB
	done store.Swept
}

func (w *sweep) ahead(ctx context.Context) error { return w.db.makeAhead(ctx, w.Now, max(w.Days, 1)) }

// days drops the partitions of days that are over for long enough, the oldest first.
func (w *sweep) days(ctx context.Context) error {
	if w.Before.IsZero() {
		return nil
	}
	parts, err := w.db.parts(ctx)
	if err != nil {
		return err
	}
	bound := automation.FirstID[string](store.DayOf(w.Before))
	var late error
	for _, p := range parts {
		if p.high > bound {
			continue
		}
		open, err := one(ctx, w.db, scanInt, "partition", p.open())
		if err != nil {
			return err
		}
		if w.done.Pinned += open; open > 0 {
			continue
		}
		runs, err := one(ctx, w.db, scanInt, "partition", `SELECT count(*) FROM runs`+p.suffix)
		if err != nil {
			return err
		}
		switch err := w.db.change(ctx, p.drop); {
		case errors.Is(err, errPutOff):
			late = err
		case err != nil:
			return err
		default:
			w.done.Runs += runs
		}
	}
	return late
}

// rest looks after the runs that stand in no day's partition.
func (w *sweep) rest(ctx context.Context) (err error) {
	if !w.Before.IsZero() {
		bound := automation.FirstID[string](store.DayOf(w.Before))
		n, err := w.slices(ctx, dropRest, bound)
		w.done.Runs += n
		if err != nil {
			return err
		}
		for _, q := range []string{dropEntries, dropLogs, dropLive} {
			if _, err := w.slices(ctx, q, bound); err != nil {
				return err
			}
		}
	}
	w.done.Misplaced, err = one(ctx, w.db, scanInt, "partition", countRest)
	return err
}

func (w *sweep) plans(ctx context.Context) (err error) {
	if !w.Before.IsZero() {
		w.done.Plans, err = w.slices(ctx, dropPlans, w.Before)
	}
	return err
}

func (w *sweep) keys(ctx context.Context) (err error) {
	if !w.Keys.IsZero() {
		w.done.Keys, err = w.slices(ctx, dropKeys, w.Keys)
	}
	return err
}

func (w *sweep) hosts(ctx context.Context) error {
	if w.Gone == 0 {
		return nil
	}
	return w.db.write(ctx, nil, func(ctx context.Context) error {
		return w.db.pool.QueryRow(ctx, dropHosts, w.Gone).Scan(&w.done.Hosts)
	})
}

// slices runs a statement that removes sliceRows rows at most until it finds fewer.
func (w *sweep) slices(ctx context.Context, query string, bound any) (sum int64, err error) {
	for range mostSlices {
		var n int64
		err := w.db.change(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
			n, err = changed(ctx, tx, query, bound, sliceRows)
			return err
		})
		if err != nil {
			return sum, err
		}
		if sum += n; n < sliceRows {
			break
		}
	}
	return sum, nil
}
