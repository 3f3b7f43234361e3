package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectWindow = `SELECT id, tenant, name, spec, created_at, updated_at, version FROM windows`
	windowByID   = selectWindow + ` WHERE id = $1 AND tenant = $2`
	windowByName = selectWindow + ` WHERE name = $1 AND tenant = $2`
	listWindows  = selectWindow + ` WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3`
	allWindows   = selectWindow + ` ORDER BY tenant, name`
	insertWindow = `INSERT INTO windows (name, spec, updated_at, id, tenant, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, 1)`
	updateWindow = `UPDATE windows SET name = $1, spec = $2, updated_at = $3, version = version + 1 WHERE id = $4 AND tenant = $5 AND version = $6`
	deleteWindow = `DELETE FROM windows WHERE id = $1 AND tenant = $2`
)

// CreateWindow stores a window in version 1.
func (db *DB) CreateWindow(ctx context.Context, w automation.Window, act automation.Act) (automation.Window, bool, error) {
	args := append(windowArgs(w), moment(w.Created))
	return create(ctx, db, act, w.Tenant, string(w.ID), scanWindow, windowByID, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertWindow, args...)
		return err
	})
}

// UpdateWindow replaces a window whose Version is still w.Version and raises it.
func (db *DB) UpdateWindow(ctx context.Context, w automation.Window, act automation.Act) (automation.Window, error) {
	args := append(windowArgs(w), w.Version)
	return update(ctx, db, act, w.Tenant, string(w.ID), scanWindow, windowByID, func(ctx context.Context, tx pgx.Tx) (int64, error) {
		return changed(ctx, tx, updateWindow, args...)
	})
}

// windowArgs are the values that insertWindow and updateWindow begin with.
func windowArgs(w automation.Window) []any {
	return []any{w.Name, w.WindowSpec, moment(w.Updated), string(w.ID), string(w.Tenant)}
}

// DeleteWindow removes a window.
func (db *DB) DeleteWindow(ctx context.Context, tenant automation.TenantID, id automation.WindowID, act automation.Act) error {
	return remove(ctx, db, act, tenant, string(id), "window", deleteWindow)
}

// Window returns the window with an identifier.
func (db *DB) Window(ctx context.Context, tenant automation.TenantID, id automation.WindowID) (automation.Window, error) {
	return one(ctx, db, scanWindow, "window", windowByID, string(id), string(tenant))
}

// WindowByName returns the window with a name.
func (db *DB) WindowByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Window, error) {
	return one(ctx, db, scanWindow, "window", windowByName, name, string(tenant))
}

// ListWindows returns windows by name.
func (db *DB) ListWindows(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Window, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	return list(ctx, db, scanWindow, listWindows, string(tenant), page.After, page.Limit)
}

// AllWindows returns the windows of all tenants.
func (db *DB) AllWindows(ctx context.Context) ([]automation.Window, error) {
	return list(ctx, db, scanWindow, allWindows)
}

func scanWindow(row pgx.Row) (automation.Window, error) {
	var w automation.Window
	err := row.Scan(&w.ID, &w.Tenant, &w.Name, &w.WindowSpec, stamp{&w.Created}, stamp{&w.Updated}, &w.Version)
	return w, err
}
