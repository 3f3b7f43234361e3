package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	workflowColumns = `SELECT id, tenant, name, version, digest, description, definition, includes, state, stored_by, created_at, retired_at FROM workflows`
	workflowByID    = workflowColumns + ` WHERE id = $1 AND tenant = $2`
	workflowByRef   = workflowColumns + ` WHERE tenant = $1 AND name = $2 AND version = $3`
	newestWorkflow  = workflowColumns + ` WHERE tenant = $1 AND name = $2 AND state = 'active' ORDER BY version DESC LIMIT 1`
	listWorkflows   = `SELECT id, tenant, name, version, digest, description, '', includes, state, stored_by, created_at, retired_at FROM workflows
		WHERE tenant = $1 AND ($2::text = '' OR name = $2) AND (name > $3 OR name = $3 AND version < $4) ORDER BY name, version DESC LIMIT $5`
	// insertWorkflow inserts nothing unless the version is the next one.
	insertWorkflow = `INSERT INTO workflows (id, tenant, name, version, digest, description, definition, includes, state, stored_by, created_at)
		SELECT $1::text, $2::text, $3::text, $4::integer, $5::text, $6::text, $7::text, $8::json, 'active', $9::text, $10::timestamptz
		WHERE $4 = (SELECT coalesce(max(version), 0) + 1 FROM workflows WHERE tenant = $2 AND name = $3)`
	retireWorkflow = `UPDATE workflows w SET state = 'retired', retired_at = $1 WHERE id = $2 AND tenant = $3 AND state = 'active'
		AND NOT EXISTS (SELECT 1 FROM workflows o, json_array_elements_text(o.includes) AS i (value)
			WHERE o.tenant = w.tenant AND o.state = 'active' AND i.value = w.name || '@' || w.version)`
)

// CreateWorkflow stores the next version of a workflow.
func (db *DB) CreateWorkflow(ctx context.Context, v automation.Workflow, act automation.Act) (automation.Workflow, bool, error) {
	includes, err := encoded(store.NotNil(v.Includes))
	if err != nil {
		return automation.Workflow{}, false, err
	}
	return create(ctx, db, act, v.Tenant, string(v.ID), scanWorkflow, workflowByID, func(ctx context.Context, tx pgx.Tx) error {
		n, err := changed(ctx, tx, insertWorkflow, string(v.ID), string(v.Tenant), v.Name, v.Version, string(v.Digest), v.Description,
			v.Definition, includes, v.By, moment(v.Created))
		if err == nil && n == 0 {
			return store.Stale()
		}
		return err
	})
}

// RetireWorkflow makes a version retired.
func (db *DB) RetireWorkflow(ctx context.Context, tenant automation.TenantID, id automation.WorkflowID, act automation.Act) (automation.Workflow, error) {
	return update(ctx, db, act, tenant, string(id), scanWorkflow, workflowByID, func(ctx context.Context, tx pgx.Tx) (int64, error) {
		return changed(ctx, tx, retireWorkflow, moment(act.At), string(id), string(tenant))
	})
}

// Workflow returns a version of a name; version 0 is the newest that is active.
func (db *DB) Workflow(ctx context.Context, tenant automation.TenantID, name string, version int) (automation.Workflow, error) {
	if version == 0 {
		return one(ctx, db, scanWorkflow, "workflow", newestWorkflow, string(tenant), name)
	}
	return one(ctx, db, scanWorkflow, "workflow", workflowByRef, string(tenant), name, version)
}

// ListWorkflows returns versions by name, the newest first.
func (db *DB) ListWorkflows(ctx context.Context, tenant automation.TenantID, name string, page automation.Page) ([]automation.Workflow, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	after, version := store.AfterWorkflow(page)
	return list(ctx, db, scanWorkflow, listWorkflows, string(tenant), name, after, version, page.Limit)
}

func scanWorkflow(row pgx.Row) (automation.Workflow, error) {
	var w automation.Workflow
	err := row.Scan(&w.ID, &w.Tenant, &w.Name, &w.Version, &w.Digest, &w.Description, &w.Definition, &w.Includes, &w.State,
		&w.By, stamp{&w.Created}, stamp{&w.Retired})
	w.Includes = store.NilIfEmpty(w.Includes)
	return w, err
}
