package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectTrigger = `SELECT id, tenant, name, definition, inputs, condition, scheme, enabled, key_id, sealed, secret_version, previous_until,
		last_at, last_run, last_error, created_at, updated_at, version FROM triggers`
	triggerByID   = selectTrigger + ` WHERE id = ? AND tenant = ?`
	triggerByName = selectTrigger + ` WHERE name = ? AND tenant = ?`
	triggerOfAll  = selectTrigger + ` WHERE id = ?`
	listTriggers  = selectTrigger + ` WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?`
	insertTrigger = `INSERT INTO triggers (name, definition, inputs, condition, enabled, key_id, sealed, secret_version, previous_until,
		updated_at, id, tenant, scheme, created_at, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`
	updateTrigger = `UPDATE triggers SET name = ?, definition = ?, inputs = ?, condition = ?, enabled = ?, key_id = ?, sealed = ?, secret_version = ?,
		previous_until = ?, updated_at = ?, version = version + 1 WHERE id = ? AND tenant = ? AND version = ?`
	deleteTrigger = `DELETE FROM triggers WHERE id = ? AND tenant = ?`
)

// CreateTrigger stores a trigger in version 1.
func (db *DB) CreateTrigger(ctx context.Context, t automation.Trigger, act automation.Act) (automation.Trigger, bool, error) {
	args := append(triggerArgs(t), string(t.Scheme), micros(t.Created))
	return create(ctx, db, act, t.Tenant, string(t.ID), scanTrigger, triggerByID, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, insertTrigger, args...)
	})
}

// UpdateTrigger replaces what people say of a trigger whose Version is still t.Version.
func (db *DB) UpdateTrigger(ctx context.Context, t automation.Trigger, act automation.Act) (automation.Trigger, error) {
	args := append(triggerArgs(t), t.Version)
	return update(ctx, db, act, t.Tenant, string(t.ID), scanTrigger, triggerByID, func(ctx context.Context, w *writer) (int64, error) {
		return w.changed(ctx, updateTrigger, args...)
	})
}

// triggerArgs are the values that insertTrigger and updateTrigger begin with.
func triggerArgs(t automation.Trigger) []any {
	return []any{
		t.Name, t.Definition, text(t.Inputs), t.If, t.Enabled, t.KeyID, t.Sealed, t.SecretVersion, micros(t.PreviousUntil),
		micros(t.Updated), string(t.ID), string(t.Tenant),
	}
}

// DeleteTrigger removes a trigger, and its webhooks with it.
func (db *DB) DeleteTrigger(ctx context.Context, tenant automation.TenantID, id automation.TriggerID, act automation.Act) error {
	return remove(ctx, db, act, tenant, string(id), "trigger", deleteTrigger)
}

// Trigger returns the trigger with an identifier.
func (db *DB) Trigger(ctx context.Context, tenant automation.TenantID, id automation.TriggerID) (automation.Trigger, error) {
	return one(ctx, db, scanTrigger, "trigger", triggerByID, string(id), string(tenant))
}

// TriggerByName returns the trigger with a name.
func (db *DB) TriggerByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Trigger, error) {
	return one(ctx, db, scanTrigger, "trigger", triggerByName, name, string(tenant))
}

// TriggerByID returns the trigger with an identifier, of any tenant.
func (db *DB) TriggerByID(ctx context.Context, id automation.TriggerID) (automation.Trigger, error) {
	return one(ctx, db, scanTrigger, "trigger", triggerOfAll, string(id))
}

// ListTriggers returns triggers by name.
func (db *DB) ListTriggers(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Trigger, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	return list(ctx, db, scanTrigger, listTriggers, string(tenant), page.After, page.Limit)
}

func scanTrigger(row scanner) (automation.Trigger, error) {
	var t automation.Trigger
	err := row.Scan(&t.ID, &t.Tenant, &t.Name, &t.Definition, document{&t.Inputs}, &t.If, &t.Scheme, &t.Enabled, &t.KeyID, &t.Sealed, &t.SecretVersion,
		stamp{&t.PreviousUntil}, stamp{&t.Last}, &t.LastRun, document{&t.LastError}, stamp{&t.Created}, stamp{&t.Updated}, &t.Version)
	return t, err
}
