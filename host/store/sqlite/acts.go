package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// create stores an object with its act and returns it as it is stored; for a
// repeated key, the object of the key and false. byID reads an object by its
// identifier and its tenant.
func create[T any](ctx context.Context, db *DB, act automation.Act, tenant automation.TenantID, id string,
	scan func(scanner) (T, error), byID string, insert func(context.Context, *writer) error,
) (T, bool, error) {
	var out, none T
	created := true
	if err := store.CheckAct(act, tenant); err != nil {
		return none, false, err
	}
	err := db.write(ctx, store.TopicsOf(act), func(ctx context.Context, w *writer) error {
		earlier, repeated, err := w.act(ctx, act, id)
		if err != nil {
			return err
		}
		if repeated {
			id, created = earlier, false
		} else if err := insert(ctx, w); err != nil {
			return err
		}
		out, err = scan(w.row(ctx, byID, id, string(tenant)))
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
	scan func(scanner) (T, error), byID string, change func(context.Context, *writer) (int64, error),
) (T, error) {
	var out, none T
	if err := store.CheckAct(act, tenant); err != nil {
		return none, err
	}
	err := db.write(ctx, store.TopicsOf(act), func(ctx context.Context, w *writer) error {
		_, repeated, err := w.act(ctx, act, id)
		if err != nil {
			return err
		}
		changed := int64(1)
		if !repeated {
			if changed, err = change(ctx, w); err != nil {
				return err
			}
		}
		out, err = scan(w.row(ctx, byID, id, string(tenant)))
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
	return db.write(ctx, store.TopicsOf(act), func(ctx context.Context, w *writer) error {
		_, repeated, err := w.act(ctx, act, id)
		if err != nil || repeated {
			return err
		}
		n, err := w.changed(ctx, query, id, string(tenant))
		if err == nil && n == 0 {
			return store.NotFound(what)
		}
		return err
	})
}
