package app

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/config"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/telemetry"
)

// OpenStore opens the store that a DSN names: one line a backend. direct is for
// notifications, past a pooler; "": none.
func OpenStore(ctx context.Context, dsn, direct config.DSN) (store.Store, error) {
	if dsn.Postgres() {
		return postgres.Open(ctx, postgres.Config{URL: string(dsn), ListenURL: string(direct)})
	}
	return sqlite.Open(ctx, sqlite.Config{Path: dsn.Path()})
}

// measured measures the calls that runs wait for.
type measured struct {
	store.Store
	metrics *telemetry.Metrics
}

// Append measures the leader's commit.
func (m measured) Append(ctx context.Context, b store.Batch) error {
	began := time.Now()
	err := m.Store.Append(ctx, b)
	m.metrics.Store("append", time.Since(began), err)
	return err
}

// Accept measures the acceptance of a run.
func (m measured) Accept(ctx context.Context, run automation.Run, act automation.Act) (automation.Run, bool, error) {
	began := time.Now()
	out, created, err := m.Store.Accept(ctx, run, act)
	m.metrics.Store("accept", time.Since(began), err)
	return out, created, err
}
