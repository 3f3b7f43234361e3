package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectPlugin   = `SELECT id, tenant, name, version, digest, size, state, manifest, grants, created_at, updated_at, row_version FROM plugins`
	pluginByID     = selectPlugin + ` WHERE id = $1 AND tenant = $2`
	pluginByDigest = selectPlugin + ` WHERE digest = $1 AND tenant = $2`
	listPlugins    = selectPlugin + ` WHERE tenant = $1 ORDER BY name, created_at, id`
	insertPlugin   = `INSERT INTO plugins (id, tenant, name, version, digest, size, state, manifest, grants, created_at, updated_at, row_version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1)`
	updatePlugin = `UPDATE plugins SET state = $1, grants = $2, updated_at = $3, row_version = row_version + 1
		WHERE id = $4 AND tenant = $5 AND row_version = $6`
	insertArtifact = `INSERT INTO artifacts (tenant, digest, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	selectArtifact = `SELECT body FROM artifacts WHERE digest = $1 AND tenant = $2`
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
	out, created, err := create(ctx, db, act, p.Tenant, string(p.ID), scanPlugin, pluginByID, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insertArtifact, string(p.Tenant), string(p.Digest), wasm); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertPlugin, string(p.ID), string(p.Tenant), p.Name, p.Version, string(p.Digest), p.Size,
			string(p.State), manifest, grants, moment(p.Created), moment(p.Updated))
		return err
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
	return update(ctx, db, act, p.Tenant, string(p.ID), scanPlugin, pluginByID, func(ctx context.Context, tx pgx.Tx) (int64, error) {
		return changed(ctx, tx, updatePlugin, string(p.State), grants, moment(p.Updated), string(p.ID), string(p.Tenant), p.RowNumber)
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

func scanPlugin(row pgx.Row) (automation.Plugin, error) {
	var p automation.Plugin
	err := row.Scan(&p.ID, &p.Tenant, &p.Name, &p.Version, &p.Digest, &p.Size, &p.State, &p.Manifest, &p.Grants,
		stamp{&p.Created}, stamp{&p.Updated}, &p.RowNumber)
	p.Grants = store.NilIfEmpty(p.Grants)
	return p, err
}
