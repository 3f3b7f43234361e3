package bench

import (
	"context"

	"opsconductor.dev/host/store/postgres/privatepg"
)

// cost is what steps cost beside time, each for one of them.
type cost struct {
	Allocs  float64 `json:"allocs"`
	Bytes   float64 `json:"alloc_bytes"`
	Commits float64 `json:"commits"`             // of the leader
	WAL     float64 `json:"wal_bytes,omitempty"` // of PostgreSQL
}

// metered measures n steps and what they cost.
func (b *rig) metered(ctx context.Context, n int, measure func(context.Context, int) (Result, error)) (Result, error) {
	before, err := b.wal(ctx)
	if err != nil {
		return Result{}, err
	}
	turns := b.turns.Load()
	count, size := allocated()
	r, err := measure(ctx, n)
	if err != nil {
		return r, err
	}
	countAfter, sizeAfter := allocated()
	after, err := b.wal(ctx)
	if err != nil {
		return r, err
	}
	of := float64(n)
	r.Cost = &cost{
		Allocs: float64(countAfter-count) / of, Bytes: float64(sizeAfter-size) / of,
		Commits: float64(b.turns.Load()-turns) / of, WAL: float64(after-before) / of,
	}
	return r, nil
}

// version is the name and version of the deployment's database.
func (d *deployment) version(ctx context.Context) (string, error) {
	if d.options.Store == "sqlite" {
		return sqliteVersion(), nil
	}
	u, err := privatepg.Look(ctx, d.database)
	return "PostgreSQL " + u.Version, err
}

// wal is the end of PostgreSQL's log; 0 on SQLite.
func (b *rig) wal(ctx context.Context) (int64, error) {
	if b.url == "" {
		return 0, nil
	}
	u, err := privatepg.Look(ctx, b.url)
	return u.WAL, err
}
