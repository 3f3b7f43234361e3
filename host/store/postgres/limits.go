package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectLimit = `SELECT id, tenant, kind, match, max_running, rate_count, rate_per, rate_burst, created_at, updated_at, version FROM limits`
	limitByID   = selectLimit + ` WHERE id = $1 AND tenant = $2`
	limitFor    = selectLimit + ` WHERE tenant = $1 AND kind = $2 AND match = $3`
	listLimits  = selectLimit + ` WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`
	allLimits   = selectLimit + ` WHERE tenant = $1 ORDER BY id`
	insertLimit = `INSERT INTO limits (max_running, rate_count, rate_per, rate_burst, updated_at, id, tenant, kind, match, created_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1)`
	updateLimit = `UPDATE limits SET max_running = $1, rate_count = $2, rate_per = $3, rate_burst = $4, updated_at = $5, version = version + 1 WHERE id = $6 AND tenant = $7 AND version = $8`
	deleteLimit = `DELETE FROM limits WHERE id = $1 AND tenant = $2`

	selectBuckets = `SELECT key, tat FROM buckets WHERE shard = $1 ORDER BY key`
	deleteBuckets = `DELETE FROM buckets WHERE shard = $1 AND key = ANY ($2::text[])`
	putBuckets    = `INSERT INTO buckets (shard, key, tat) SELECT $1, * FROM unnest($2::text[], $3::bigint[])
		ON CONFLICT (shard, key) DO UPDATE SET tat = excluded.tat`
)

// CreateLimit stores a limit in version 1.
func (db *DB) CreateLimit(ctx context.Context, l automation.Limit, act automation.Act) (automation.Limit, bool, error) {
	args := append(limitArgs(l), string(l.Kind), l.Match, moment(l.Created))
	return create(ctx, db, act, l.Tenant, string(l.ID), scanLimit, limitByID, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertLimit, args...)
		return err
	})
}

// UpdateLimit replaces Max and Rate of a limit whose Version is still l.Version.
func (db *DB) UpdateLimit(ctx context.Context, l automation.Limit, act automation.Act) (automation.Limit, error) {
	args := append(limitArgs(l), l.Version)
	return update(ctx, db, act, l.Tenant, string(l.ID), scanLimit, limitByID, func(ctx context.Context, tx pgx.Tx) (int64, error) {
		return changed(ctx, tx, updateLimit, args...)
	})
}

// limitArgs are the values that insertLimit and updateLimit begin with.
func limitArgs(l automation.Limit) []any {
	args := []any{l.Max, nil, nil, nil}
	if r := l.Rate; r != nil {
		args = []any{l.Max, r.Count, int64(r.Per), max(r.Burst, 1)}
	}
	return append(args, moment(l.Updated), string(l.ID), string(l.Tenant))
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

func scanLimit(row pgx.Row) (automation.Limit, error) {
	var l automation.Limit
	var count, per, burst *int64
	err := row.Scan(&l.ID, &l.Tenant, &l.Kind, &l.Match, &l.Max, &count, &per, &burst, stamp{&l.Created}, stamp{&l.Updated}, &l.Version)
	if count != nil && per != nil && burst != nil {
		l.Rate = &automation.Rate{Count: int(*count), Per: time.Duration(*per), Burst: int(*burst)}
	}
	return l, err
}

// Buckets returns what the rates of a shard have left.
func (db *DB) Buckets(ctx context.Context, shard int) ([]automation.Bucket, error) {
	return list(ctx, db, scanBucket, selectBuckets, shard)
}

func scanBucket(row pgx.Row) (automation.Bucket, error) {
	var b automation.Bucket
	err := row.Scan(&b.Key, &b.Tat)
	return b, err
}

// queueBuckets adds what has changed of the rates' buckets.
func queueBuckets(p *pgx.Batch, b store.Batch) {
	var keys, gone []string
	var tats []int64
	for _, k := range b.Buckets {
		if k.Tat == 0 {
			gone = append(gone, k.Key)
			continue
		}
		keys, tats = append(keys, k.Key), append(tats, k.Tat)
	}
	if len(gone) > 0 {
		p.Queue(deleteBuckets, b.Shard, gone)
	}
	if len(keys) > 0 {
		p.Queue(putBuckets, b.Shard, keys, tats)
	}
}
