package sqlite

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// sliceRows is how many rows one transaction removes at most: some milliseconds,
// in which nobody else commits.
const sliceRows = 200

const (
	countPinned = `SELECT count(*) FROM runs WHERE id < ? AND ended_at IS NULL`

	oldRuns     = `SELECT id FROM runs WHERE id < ? AND ended_at IS NOT NULL ORDER BY id LIMIT ?`
	dropCommand = `DELETE FROM commands WHERE run_id = ?1 AND EXISTS (SELECT 1 FROM runs WHERE id = ?1 AND ended_at IS NOT NULL)`
	dropRun     = `DELETE FROM runs WHERE id = ? AND ended_at IS NOT NULL`

	// What has no run any more: found by the readers, which hold nobody up.
	nextOrphan = `SELECT run_id FROM (SELECT (SELECT run_id FROM entries WHERE run_id > ?1 AND run_id < ?2 ORDER BY run_id LIMIT 1) AS run_id
		UNION ALL SELECT (SELECT run_id FROM attempt_logs WHERE run_id > ?1 AND run_id < ?2 ORDER BY run_id LIMIT 1)
		UNION ALL SELECT (SELECT run_id FROM live_logs WHERE run_id > ?1 AND run_id < ?2 ORDER BY run_id LIMIT 1)) WHERE run_id IS NOT NULL ORDER BY run_id LIMIT 1`
	dropEntries = `DELETE FROM entries WHERE (shard, seq) IN (SELECT shard, seq FROM entries WHERE run_id = ?1
		AND NOT EXISTS (SELECT 1 FROM runs WHERE id = ?1) LIMIT ?2)`
	dropLogs = `DELETE FROM attempt_logs WHERE rowid IN (SELECT rowid FROM attempt_logs WHERE run_id = ?1
		AND NOT EXISTS (SELECT 1 FROM runs WHERE id = ?1) LIMIT ?2)`
	dropLive = `DELETE FROM live_logs WHERE rowid IN (SELECT rowid FROM live_logs WHERE run_id = ?1
		AND NOT EXISTS (SELECT 1 FROM runs WHERE id = ?1) LIMIT ?2)`

	dropPlans = `DELETE FROM plans WHERE rowid IN (SELECT p.rowid FROM plans p WHERE p.created_at < ?
		AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.tenant = p.tenant AND r.plan_hash = p.hash)
		AND NOT EXISTS (SELECT 1 FROM schedule_fires f WHERE f.tenant = p.tenant AND f.plan_hash = p.hash) ORDER BY p.created_at LIMIT ?)`
	dropKeys = `DELETE FROM idempotency WHERE (tenant, by, action, key) IN (SELECT tenant, by, action, key FROM idempotency WHERE at < ? ORDER BY at LIMIT ?)`

	// A host comes back above the epochs of those that are removed.
	goneHosts = ` FROM hosts WHERE state IN ('stopped', 'lost') AND heartbeat < ` + clock + ` - ?
		AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.host_id = hosts.id) AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.host_id = hosts.id)
		AND NOT EXISTS (SELECT 1 FROM shards s WHERE s.leader = hosts.id)`
	keepEpochs = `UPDATE removed_hosts SET epoch = max(epoch, (SELECT coalesce(max(epoch), 0)` + goneHosts + `))`
	dropHosts  = `DELETE` + goneHosts
)

// Sweep removes what is over, in slices.
func (db *DB) Sweep(ctx context.Context, s store.Sweep) (done store.Swept, err error) {
	if !s.Before.IsZero() {
		if err := db.sweepRuns(ctx, automation.FirstID[string](store.DayOf(s.Before)), &done); err != nil {
			return done, err
		}
		if done.Plans, err = db.slices(ctx, dropPlans, micros(s.Before)); err != nil {
			return done, err
		}
	}
	if !s.Keys.IsZero() {
		if done.Keys, err = db.slices(ctx, dropKeys, micros(s.Keys)); err != nil {
			return done, err
		}
	}
	if s.Gone > 0 {
		done.Hosts, err = db.sweepHosts(ctx, s.Gone)
	}
	return done, err
}

// sweepRuns removes the runs below an identifier that have ended, and then what is
// stored of runs that are not there, be it of this sweep or of one that was broken off.
func (db *DB) sweepRuns(ctx context.Context, bound string, done *store.Swept) error {
	for {
		ids, err := list(ctx, db, scanText, oldRuns, bound, sliceRows)
		if err != nil {
			return err
		}
		n, err := db.slice(ctx, func(ctx context.Context, w *writer) (sum int64, err error) {
			for _, id := range ids { // approvals go with the run's row
				if err := w.exec(ctx, dropCommand, id); err != nil {
					return 0, err
				}
				n, err := w.changed(ctx, dropRun, id)
				if err != nil {
					return 0, err
				}
				sum += n
			}
			return sum, nil
		})
		if err != nil {
			return err
		}
		if done.Runs += n; len(ids) < sliceRows {
			break
		}
	}
	pinned, err := one(ctx, db, scanInt, "run", countPinned, bound)
	if err != nil {
		return err
	}
	done.Pinned = pinned
	return db.sweepOrphans(ctx, bound)
}

func (db *DB) sweepOrphans(ctx context.Context, bound string) error {
	for after := ""; ; {
		next, err := list(ctx, db, scanText, nextOrphan, after, bound)
		if err != nil || len(next) == 0 {
			return err
		}
		after = next[0]
		for _, query := range []string{dropEntries, dropLogs, dropLive} {
			if _, err := db.slices(ctx, query, after); err != nil {
				return err
			}
		}
	}
}

func scanText(row scanner) (s string, err error) { return s, row.Scan(&s) }

// slices runs a statement that removes sliceRows rows at most until it finds fewer.
func (db *DB) slices(ctx context.Context, query string, arg any) (sum int64, err error) {
	for {
		n, err := db.slice(ctx, func(ctx context.Context, w *writer) (int64, error) {
			return w.changed(ctx, query, arg, sliceRows)
		})
		if err != nil {
			return sum, err
		}
		if sum += n; n < sliceRows {
			return sum, nil
		}
	}
}

// slice runs one short write, and leaves the writer to the others for as long as
// it took.
func (db *DB) slice(ctx context.Context, fn func(ctx context.Context, w *writer) (int64, error)) (n int64, err error) {
	began := time.Now()
	err = db.write(ctx, nil, func(ctx context.Context, w *writer) (err error) {
		n, err = fn(ctx, w)
		return err
	})
	rest := time.NewTimer(time.Since(began))
	defer rest.Stop()
	select {
	case <-ctx.Done():
	case <-rest.C:
	}
	return n, err
}

// sweepHosts removes the rows of hosts that have been gone for longer.
func (db *DB) sweepHosts(ctx context.Context, gone time.Duration) (n int64, err error) {
	err = db.write(ctx, nil, func(ctx context.Context, w *writer) error {
		if err := w.exec(ctx, keepEpochs, gone.Microseconds()); err != nil {
			return err
		}
		n, err = w.changed(ctx, dropHosts, gone.Microseconds())
		return err
	})
	return n, err
}
