package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// create stores an object with its act and returns it as it is stored; for a
// repeated key, the object of the key and false. byID reads an object by its
// identifier and its tenant.
func create[T any](ctx context.Context, db *DB, act automation.Act, tenant automation.TenantID, id string,
	scan func(pgx.Row) (T, error), byID string, insert func(context.Context, pgx.Tx) error,
) (T, bool, error) {
	var out, none T
	created := true
	if err := store.CheckAct(act, tenant); err != nil {
		return none, false, err
	}
	err := db.act(ctx, act, id, store.TopicsOf(act), insert, func(ctx context.Context, tx pgx.Tx, object string, repeated bool) error {
		var err error
		created = !repeated
		out, err = scan(tx.QueryRow(ctx, byID, object, string(tenant)))
		return gone(err, "object: it was made with this idempotency key, and removed since")
	})
	if err != nil {
		return none, false, err
	}
	return out, created, nil
}

// update changes an object with its act and returns it as it is stored. When
// change finds no row, the object is gone or has another version.
func update[T any](ctx context.Context, db *DB, act automation.Act, tenant automation.TenantID, id string,
	scan func(pgx.Row) (T, error), byID string, change func(context.Context, pgx.Tx) (int64, error),
) (T, error) {
	var out, none T
	if err := store.CheckAct(act, tenant); err != nil {
		return none, err
	}
	changed := int64(1)
	err := db.act(ctx, act, id, store.TopicsOf(act), func(ctx context.Context, tx pgx.Tx) error {
		var err error
		changed, err = change(ctx, tx)
		return err
	}, func(ctx context.Context, tx pgx.Tx, _ string, _ bool) error {
		var err error
		out, err = scan(tx.QueryRow(ctx, byID, id, string(tenant)))
		if err == nil && changed == 0 {
			return store.Stale()
		}
		return gone(err, "object")
	})
	if err != nil {
		return none, err
	}
	return out, nil
}

// remove deletes an object with its act. query has the identifier and the tenant.
func remove(ctx context.Context, db *DB, act automation.Act, tenant automation.TenantID, id, what, query string) error {
	if err := store.CheckAct(act, tenant); err != nil {
		return err
	}
	return db.act(ctx, act, id, store.TopicsOf(act), func(ctx context.Context, tx pgx.Tx) error {
		n, err := changed(ctx, tx, query, id, string(tenant))
		if err == nil && n == 0 {
			return store.NotFound(what)
		}
		return err
	}, nil)
}

// changed runs a statement and returns how many rows it changed.
func changed(ctx context.Context, tx pgx.Tx, query string, args ...any) (int64, error) {
	tag, err := tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}
