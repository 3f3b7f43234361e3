package sqlite

import (
	"context"
	"database/sql"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectLimit = `SELECT id, tenant, kind, match, max_running, rate_count, rate_per, rate_burst, created_at, updated_at, version FROM limits`
	limitByID   = selectLimit + ` WHERE id = ? AND tenant = ?`
	limitFor    = selectLimit + ` WHERE tenant = ? AND kind = ? AND match = ?`
	listLimits  = selectLimit + ` WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`
	allLimits   = selectLimit + ` WHERE tenant = ? ORDER BY id`
	insertLimit = `INSERT INTO limits (max_running, rate_count, rate_per, rate_burst, updated_at, id, tenant, kind, match, created_at, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`
	updateLimit = `UPDATE limits SET max_running = ?, rate_count = ?, rate_per = ?, rate_burst = ?, updated_at = ?, version = version + 1 WHERE id = ? AND tenant = ? AND version = ?`
	deleteLimit = `DELETE FROM limits WHERE id = ? AND tenant = ?`

	selectBuckets = `SELECT key, tat FROM buckets WHERE shard = ? ORDER BY key`
	deleteBucket  = `DELETE FROM buckets WHERE shard = ? AND key = ?`
	insertBuckets = `INSERT INTO buckets (shard, key, tat)`
	replaceBucket = ` ON CONFLICT (shard, key) DO UPDATE SET tat = excluded.tat`
)

// CreateLimit stores a limit in version 1.
func (db *DB) CreateLimit(ctx context.Context, l automation.Limit, act automation.Act) (automation.Limit, bool, error) {
	args := append(limitArgs(l), string(l.Kind), l.Match, micros(l.Created))
	return create(ctx, db, act, l.Tenant, string(l.ID), scanLimit, limitByID, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, insertLimit, args...)
	})
}

// UpdateLimit replaces Max and Rate of a limit whose Version is still l.Version.
func (db *DB) UpdateLimit(ctx context.Context, l automation.Limit, act automation.Act) (automation.Limit, error) {
	args := append(limitArgs(l), l.Version)
	return update(ctx, db, act, l.Tenant, string(l.ID), scanLimit, limitByID, func(ctx context.Context, w *writer) (int64, error) {
		return w.changed(ctx, updateLimit, args...)
	})
}

// limitArgs are the values that insertLimit and updateLimit begin with.
func limitArgs(l automation.Limit) []any {
	args := []any{l.Max, nil, nil, nil}
	if r := l.Rate; r != nil {
		args = []any{l.Max, r.Count, int64(r.Per), max(r.Burst, 1)}
	}
	return append(args, micros(l.Updated), string(l.ID), string(l.Tenant))
}

// DeleteLimit removes a limit.
func (db *DB) DeleteLimit(ctx context.Context, tenant automation.TenantID, id automation.LimitID, act automation.Act) error {
	return remove(ctx, db, act, tenant, string(id), "limit", deleteLimit)
}

// Limit returns the limit with an identifier.
func (db *DB) Limit(ctx context.Context, tenant automation.TenantID, id automation.LimitID) (automation.Limit, error) {
	return one(ctx, db, scanLimit, "limit", limitByID, string(id), string(tenant))
}

// LimitFor returns the limit of a kind and match.
func (db *DB) LimitFor(ctx context.Context, tenant automation.TenantID, kind automation.LimitKind, match string) (automation.Limit, error) {
	return one(ctx, db, scanLimit, "limit", limitFor, string(tenant), string(kind), match)
}

// ListLimits returns limits by identifier.
func (db *DB) ListLimits(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Limit, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	return list(ctx, db, scanLimit, listLimits, string(tenant), page.After, page.Limit)
}

// AllLimits returns the deployment's limits.
func (db *DB) AllLimits(ctx context.Context) ([]automation.Limit, error) {
	return list(ctx, db, scanLimit, allLimits, string(automation.DefaultTenant))
}

func scanLimit(row scanner) (automation.Limit, error) {
	var l automation.Limit
	var count, per, burst sql.NullInt64
	err := row.Scan(&l.ID, &l.Tenant, &l.Kind, &l.Match, &l.Max, &count, &per, &burst, stamp{&l.Created}, stamp{&l.Updated}, &l.Version)
	if count.Valid {
		l.Rate = &automation.Rate{Count: int(count.Int64), Per: time.Duration(per.Int64), Burst: int(burst.Int64)}
	}
	return l, err
}

// Buckets returns what the rates of a shard have left.
func (db *DB) Buckets(ctx context.Context, shard int) ([]automation.Bucket, error) {
	return list(ctx, db, scanBucket, selectBuckets, shard)
}

func scanBucket(row scanner) (automation.Bucket, error) {
	var b automation.Bucket
	err := row.Scan(&b.Key, &b.Tat)
	return b, err
}

// buckets writes what has changed of the rates' buckets.
func (w *writer) buckets(ctx context.Context, b *store.Batch) error {
	args := make([]any, 0, 3*len(b.Buckets))
	for _, k := range b.Buckets {
		if k.Tat != 0 {
			args = append(args, b.Shard, k.Key, k.Tat)
		} else if err := w.exec(ctx, deleteBucket, b.Shard, k.Key); err != nil {
			return err
		}
	}
	return w.insert(ctx, insertBuckets, replaceBucket, 3, args)
}
