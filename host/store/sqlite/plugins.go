package sqlite

import (
	"context"
	"errors"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectPlugin   = `SELECT id, tenant, name, version, digest, size, state, manifest, grants, created_at, updated_at, row_version FROM plugins`
	pluginByID     = selectPlugin + ` WHERE id = ? AND tenant = ?`
	pluginByDigest = selectPlugin + ` WHERE digest = ? AND tenant = ?`
	listPlugins    = selectPlugin + ` WHERE tenant = ? ORDER BY name, created_at, id`
	insertPlugin   = `INSERT INTO plugins (id, tenant, name, version, digest, size, state, manifest, grants, created_at, updated_at, row_version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`
	updatePlugin = `UPDATE plugins SET state = ?, grants = ?, updated_at = ?, row_version = row_version + 1
		WHERE id = ? AND tenant = ? AND row_version = ?`
	insertArtifact = `INSERT INTO artifacts (tenant, digest, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	selectArtifact = `SELECT body FROM artifacts WHERE digest = ? AND tenant = ?`
)

// CreatePlugin stores a plugin version with its artifact; the same digest again
// returns the stored one and false, and records nothing.
func (db *DB) CreatePlugin(ctx context.Context, p automation.Plugin, wasm []byte, act automation.Act) (automation.Plugin, bool, error) {
	manifest, err := encoded(p.Manifest)
	if err != nil {
		return automation.Plugin{}, false, err
	}
	grants, err := encoded(store.NotNil(p.Grants))
	if err != nil {
		return automation.Plugin{}, false, err
	}
	stored, err := db.Plugin(ctx, p.Tenant, p.Digest)
	if err == nil || automation.CodeOf(err) != automation.CodeNotFound {
		return stored, false, err
	}
	out, created, err := create(ctx, db, act, p.Tenant, string(p.ID), scanPlugin, pluginByID, func(ctx context.Context, w *writer) error {
		if err := w.exec(ctx, insertArtifact, string(p.Tenant), string(p.Digest), wasm); err != nil {
			return err
		}
		return w.exec(ctx, insertPlugin, string(p.ID), string(p.Tenant), p.Name, p.Version, string(p.Digest), p.Size,
			string(p.State), manifest, grants, micros(p.Created), micros(p.Updated))
	})
	if automation.CodeOf(err) == automation.CodeConflict && !errors.Is(err, store.ErrKeyReused) {
		if stored, lookErr := db.Plugin(ctx, p.Tenant, p.Digest); lookErr == nil { // another caller was faster
			return stored, false, nil
		}
	}
	return out, created, err
}

// UpdatePlugin changes State and Grants of a version whose RowNumber is still p.RowNumber.
func (db *DB) UpdatePlugin(ctx context.Context, p automation.Plugin, act automation.Act) (automation.Plugin, error) {
	grants, err := encoded(store.NotNil(p.Grants))
	if err != nil {
		return automation.Plugin{}, err
	}
	return update(ctx, db, act, p.Tenant, string(p.ID), scanPlugin, pluginByID, func(ctx context.Context, w *writer) (int64, error) {
		return w.changed(ctx, updatePlugin, string(p.State), grants, micros(p.Updated), string(p.ID), string(p.Tenant), p.RowNumber)
	})
}

// Plugin returns the version with a digest.
func (db *DB) Plugin(ctx context.Context, tenant automation.TenantID, digest automation.Digest) (automation.Plugin, error) {
	return one(ctx, db, scanPlugin, "plugin", pluginByDigest, string(digest), string(tenant))
}

// ListPlugins returns all plugin versions by name and creation.
func (db *DB) ListPlugins(ctx context.Context, tenant automation.TenantID) ([]automation.Plugin, error) {
	return list(ctx, db, scanPlugin, listPlugins, string(tenant))
}

// Artifact returns the bytes of a digest.
func (db *DB) Artifact(ctx context.Context, tenant automation.TenantID, digest automation.Digest) ([]byte, error) {
	return one(ctx, db, scanBytes, "artifact", selectArtifact, string(digest), string(tenant))
}

func scanPlugin(row scanner) (automation.Plugin, error) {
	var p automation.Plugin
	err := row.Scan(&p.ID, &p.Tenant, &p.Name, &p.Version, &p.Digest, &p.Size, &p.State, document{&p.Manifest}, document{&p.Grants},
		stamp{&p.Created}, stamp{&p.Updated}, &p.RowNumber)
	p.Grants = store.NilIfEmpty(p.Grants)
	return p, err
}
