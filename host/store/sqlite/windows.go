package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectWindow = `SELECT id, tenant, name, spec, created_at, updated_at, version FROM windows`
	windowByID   = selectWindow + ` WHERE id = ? AND tenant = ?`
	windowByName = selectWindow + ` WHERE name = ? AND tenant = ?`
	listWindows  = selectWindow + ` WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?`
	allWindows   = selectWindow + ` ORDER BY tenant, name`
	insertWindow = `INSERT INTO windows (name, spec, updated_at, id, tenant, created_at, version) VALUES (?, ?, ?, ?, ?, ?, 1)`
	updateWindow = `UPDATE windows SET name = ?, spec = ?, updated_at = ?, version = version + 1 WHERE id = ? AND tenant = ? AND version = ?`
	deleteWindow = `DELETE FROM windows WHERE id = ? AND tenant = ?`
)

// CreateWindow stores a window in version 1.
func (db *DB) CreateWindow(ctx context.Context, w automation.Window, act automation.Act) (automation.Window, bool, error) {
	args, err := windowArgs(w)
	if err != nil {
		return automation.Window{}, false, err
	}
	args = append(args, micros(w.Created))
	return create(ctx, db, act, w.Tenant, string(w.ID), scanWindow, windowByID, func(ctx context.Context, tx *writer) error {
		return tx.exec(ctx, insertWindow, args...)
	})
}

// UpdateWindow replaces a window whose Version is still w.Version and raises it.
func (db *DB) UpdateWindow(ctx context.Context, w automation.Window, act automation.Act) (automation.Window, error) {
	args, err := windowArgs(w)
	if err != nil {
		return automation.Window{}, err
	}
	args = append(args, w.Version)
	return update(ctx, db, act, w.Tenant, string(w.ID), scanWindow, windowByID, func(ctx context.Context, tx *writer) (int64, error) {
		return tx.changed(ctx, updateWindow, args...)
	})
}

// windowArgs are the values that insertWindow and updateWindow begin with.
func windowArgs(w automation.Window) ([]any, error) {
	spec, err := encoded(w.WindowSpec)
	return []any{w.Name, spec, micros(w.Updated), string(w.ID), string(w.Tenant)}, err
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

func scanWindow(row scanner) (automation.Window, error) {
	var w automation.Window
	err := row.Scan(&w.ID, &w.Tenant, &w.Name, document{&w.WindowSpec}, stamp{&w.Created}, stamp{&w.Updated}, &w.Version)
	return w, err
}
