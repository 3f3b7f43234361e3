package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectTrigger = `SELECT id, tenant, name, definition, inputs, condition, scheme, enabled, key_id, sealed, secret_version, previous_until,
		last_at, last_run, last_error, created_at, updated_at, version FROM triggers`
	triggerByID   = selectTrigger + ` WHERE id = $1 AND tenant = $2`
	triggerByName = selectTrigger + ` WHERE name = $1 AND tenant = $2`
	triggerOfAll  = selectTrigger + ` WHERE id = $1`
	listTriggers  = selectTrigger + ` WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3`
	insertTrigger = `INSERT INTO triggers (name, definition, inputs, condition, enabled, key_id, sealed, secret_version, previous_until,
		updated_at, id, tenant, scheme, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1)`
	updateTrigger = `UPDATE triggers SET name = $1, definition = $2, inputs = $3, condition = $4, enabled = $5, key_id = $6, sealed = $7, secret_version = $8,
		previous_until = $9, updated_at = $10, version = version + 1 WHERE id = $11 AND tenant = $12 AND version = $13`
	deleteTrigger = `DELETE FROM triggers WHERE id = $1 AND tenant = $2`
)

// CreateTrigger stores a trigger in version 1.
func (db *DB) CreateTrigger(ctx context.Context, t automation.Trigger, act automation.Act) (automation.Trigger, bool, error) {
	args := append(triggerArgs(t), string(t.Scheme), moment(t.Created))
	return create(ctx, db, act, t.Tenant, string(t.ID), scanTrigger, triggerByID, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertTrigger, args...)
		return err
	})
}

// UpdateTrigger replaces what people say of a trigger whose Version is still t.Version.
func (db *DB) UpdateTrigger(ctx context.Context, t automation.Trigger, act automation.Act) (automation.Trigger, error) {
	args := append(triggerArgs(t), t.Version)
	return update(ctx, db, act, t.Tenant, string(t.ID), scanTrigger, triggerByID, func(ctx context.Context, tx pgx.Tx) (int64, error) {
		return changed(ctx, tx, updateTrigger, args...)
	})
}

// triggerArgs are the values that insertTrigger and updateTrigger begin with.
func triggerArgs(t automation.Trigger) []any {
	return []any{
		t.Name, t.Definition, text(t.Inputs), t.If, t.Enabled, t.KeyID, t.Sealed, t.SecretVersion, moment(t.PreviousUntil),
		moment(t.Updated), string(t.ID), string(t.Tenant),
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

func scanTrigger(row pgx.Row) (automation.Trigger, error) {
	var t automation.Trigger
	err := row.Scan(&t.ID, &t.Tenant, &t.Name, &t.Definition, &t.Inputs, &t.If, &t.Scheme, &t.Enabled, &t.KeyID, &t.Sealed, &t.SecretVersion,
		stamp{&t.PreviousUntil}, stamp{&t.Last}, &t.LastRun, &t.LastError, stamp{&t.Created}, stamp{&t.Updated}, &t.Version)
	return t, err
}
