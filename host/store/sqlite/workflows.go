package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	workflowColumns = `SELECT id, tenant, name, version, digest, description, definition, includes, state, stored_by, created_at, retired_at FROM workflows`
	workflowByID    = workflowColumns + ` WHERE id = ? AND tenant = ?`
	workflowByRef   = workflowColumns + ` WHERE tenant = ? AND name = ? AND version = ?`
	newestWorkflow  = workflowColumns + ` WHERE tenant = ? AND name = ? AND state = 'active' ORDER BY version DESC LIMIT 1`
	listWorkflows   = `SELECT id, tenant, name, version, digest, description, '', includes, state, stored_by, created_at, retired_at FROM workflows
		WHERE tenant = ?1 AND (?2 = '' OR name = ?2) AND (name > ?3 OR name = ?3 AND version < ?4) ORDER BY name, version DESC LIMIT ?5`
	// insertWorkflow inserts nothing unless the version is the next one.
	insertWorkflow = `INSERT INTO workflows (id, tenant, name, version, digest, description, definition, includes, state, stored_by, created_at)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'active', ?9, ?10
		WHERE ?4 = (SELECT coalesce(max(version), 0) + 1 FROM workflows WHERE tenant = ?2 AND name = ?3)`
	retireWorkflow = `UPDATE workflows SET state = 'retired', retired_at = ?1 WHERE id = ?2 AND tenant = ?3 AND state = 'active'
		AND NOT EXISTS (SELECT 1 FROM workflows o, json_each(o.includes) i
			WHERE o.tenant = workflows.tenant AND o.state = 'active' AND i.value = workflows.name || '@' || workflows.version)`
)

// CreateWorkflow stores the next version of a workflow.
func (db *DB) CreateWorkflow(ctx context.Context, v automation.Workflow, act automation.Act) (automation.Workflow, bool, error) {
	includes, err := encoded(store.NotNil(v.Includes))
	if err != nil {
		return automation.Workflow{}, false, err
	}
	return create(ctx, db, act, v.Tenant, string(v.ID), scanWorkflow, workflowByID, func(ctx context.Context, w *writer) error {
		n, err := w.changed(ctx, insertWorkflow, string(v.ID), string(v.Tenant), v.Name, v.Version, string(v.Digest), v.Description,
			v.Definition, includes, v.By, micros(v.Created))
		if err == nil && n == 0 {
			return store.Stale()
		}
		return err
	})
}

// RetireWorkflow makes a version retired.
func (db *DB) RetireWorkflow(ctx context.Context, tenant automation.TenantID, id automation.WorkflowID, act automation.Act) (automation.Workflow, error) {
	return update(ctx, db, act, tenant, string(id), scanWorkflow, workflowByID, func(ctx context.Context, w *writer) (int64, error) {
		return w.changed(ctx, retireWorkflow, micros(act.At), string(id), string(tenant))
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

func scanWorkflow(row scanner) (automation.Workflow, error) {
	var w automation.Workflow
	err := row.Scan(&w.ID, &w.Tenant, &w.Name, &w.Version, &w.Digest, &w.Description, &w.Definition, document{&w.Includes}, &w.State,
		&w.By, stamp{&w.Created}, stamp{&w.Retired})
	w.Includes = store.NilIfEmpty(w.Includes)
	return w, err
}
