package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectAsset = `SELECT id, tenant, name, address, port, protocol, os, tags, vars, host_keys, coalesce(credential_id, ''), queue, ssh,
		created_at, updated_at, version FROM assets`
	assetByID   = selectAsset + ` WHERE id = ? AND tenant = ?`
	assetByName = selectAsset + ` WHERE name = ? AND tenant = ?`
	listAssets  = selectAsset + ` WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?`
	insertAsset = `INSERT INTO assets (name, address, port, protocol, os, tags, vars, host_keys, credential_id, queue, ssh, updated_at, id, tenant, created_at, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?, 1)`
	updateAsset = `UPDATE assets SET name = ?, address = ?, port = ?, protocol = ?, os = ?, tags = ?, vars = ?, host_keys = ?,
		credential_id = nullif(?, ''), queue = ?, ssh = ?, updated_at = ?, version = version + 1 WHERE id = ? AND tenant = ? AND version = ?`
	deleteAsset = `DELETE FROM assets WHERE id = ? AND tenant = ?`
)

// CreateAsset stores an asset in version 1.
func (db *DB) CreateAsset(ctx context.Context, a automation.Asset, act automation.Act) (automation.Asset, bool, error) {
	args, err := assetArgs(a)
	if err != nil {
		return automation.Asset{}, false, err
	}
	args = append(args, micros(a.Created))
	return create(ctx, db, act, a.Tenant, string(a.ID), scanAsset, assetByID, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, insertAsset, args...)
	})
}

// UpdateAsset replaces an asset whose Version is still a.Version and raises it.
func (db *DB) UpdateAsset(ctx context.Context, a automation.Asset, act automation.Act) (automation.Asset, error) {
	args, err := assetArgs(a)
	if err != nil {
		return automation.Asset{}, err
	}
	args = append(args, a.Version)
	return update(ctx, db, act, a.Tenant, string(a.ID), scanAsset, assetByID, func(ctx context.Context, w *writer) (int64, error) {
		return w.changed(ctx, updateAsset, args...)
	})
}

// assetArgs are the values that insertAsset and updateAsset begin with.
func assetArgs(a automation.Asset) ([]any, error) {
	tags, err := encoded(store.NotNil(a.Tags))
	if err != nil {
		return nil, err
	}
	vars, err := encoded(store.Object(a.Vars))
	if err != nil {
		return nil, err
	}
	keys, err := encoded(store.NotNil(a.HostKeys))
	if err != nil {
		return nil, err
	}
	ssh, err := encoded(a.SSH)
	if err != nil {
		return nil, err
	}
	return []any{
		a.Name, a.Address, a.Port, string(a.Protocol), a.OS, tags, vars, keys,
		string(a.Credential), a.Queue, ssh, micros(a.Updated), string(a.ID), string(a.Tenant),
	}, nil
}

// DeleteAsset removes an asset.
func (db *DB) DeleteAsset(ctx context.Context, tenant automation.TenantID, id automation.AssetID, act automation.Act) error {
	return remove(ctx, db, act, tenant, string(id), "asset", deleteAsset)
}

// Asset returns the asset with an identifier.
func (db *DB) Asset(ctx context.Context, tenant automation.TenantID, id automation.AssetID) (automation.Asset, error) {
	return one(ctx, db, scanAsset, "asset", assetByID, string(id), string(tenant))
}

// AssetByName returns the asset with a name.
func (db *DB) AssetByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Asset, error) {
	return one(ctx, db, scanAsset, "asset", assetByName, name, string(tenant))
}

// ListAssets returns assets by name.
func (db *DB) ListAssets(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Asset, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	return list(ctx, db, scanAsset, listAssets, string(tenant), page.After, page.Limit)
}

func scanAsset(row scanner) (automation.Asset, error) {
	var a automation.Asset
	err := row.Scan(&a.ID, &a.Tenant, &a.Name, &a.Address, &a.Port, &a.Protocol, &a.OS, document{&a.Tags}, document{&a.Vars},
		document{&a.HostKeys}, &a.Credential, &a.Queue, document{&a.SSH}, stamp{&a.Created}, stamp{&a.Updated}, &a.Version)
	a.Tags, a.HostKeys, a.Vars = store.NilIfEmpty(a.Tags), store.NilIfEmpty(a.HostKeys), store.NilIfNone(a.Vars)
	return a, err
}
