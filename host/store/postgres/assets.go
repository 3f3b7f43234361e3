package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectAsset = `SELECT id, tenant, name, address, port, protocol, os, tags, vars, host_keys, coalesce(credential_id, ''), queue, ssh,
		created_at, updated_at, version FROM assets`
	assetByID   = selectAsset + ` WHERE id = $1 AND tenant = $2`
	assetByName = selectAsset + ` WHERE name = $1 AND tenant = $2`
	listAssets  = selectAsset + ` WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3`
	insertAsset = `INSERT INTO assets (name, address, port, protocol, os, tags, vars, host_keys, credential_id, queue, ssh, updated_at, id, tenant, created_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9, ''), $10, $11, $12, $13, $14, $15, 1)`
	updateAsset = `UPDATE assets SET name = $1, address = $2, port = $3, protocol = $4, os = $5, tags = $6, vars = $7, host_keys = $8,
		credential_id = nullif($9, ''), queue = $10, ssh = $11, updated_at = $12, version = version + 1 WHERE id = $13 AND tenant = $14 AND version = $15`
	deleteAsset = `DELETE FROM assets WHERE id = $1 AND tenant = $2`
)

// CreateAsset stores an asset in version 1.
func (db *DB) CreateAsset(ctx context.Context, a automation.Asset, act automation.Act) (automation.Asset, bool, error) {
	args, err := assetArgs(a)
	if err != nil {
		return automation.Asset{}, false, err
	}
	args = append(args, moment(a.Created))
	return create(ctx, db, act, a.Tenant, string(a.ID), scanAsset, assetByID, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertAsset, args...)
		return err
	})
}

// UpdateAsset replaces an asset whose Version is still a.Version and raises it.
func (db *DB) UpdateAsset(ctx context.Context, a automation.Asset, act automation.Act) (automation.Asset, error) {
	args, err := assetArgs(a)
	if err != nil {
		return automation.Asset{}, err
	}
	args = append(args, a.Version)
	return update(ctx, db, act, a.Tenant, string(a.ID), scanAsset, assetByID, func(ctx context.Context, tx pgx.Tx) (int64, error) {
		return changed(ctx, tx, updateAsset, args...)
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
		string(a.Credential), a.Queue, ssh, moment(a.Updated), string(a.ID), string(a.Tenant),
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

func scanAsset(row pgx.Row) (automation.Asset, error) {
	var a automation.Asset
	err := row.Scan(&a.ID, &a.Tenant, &a.Name, &a.Address, &a.Port, &a.Protocol, &a.OS, &a.Tags, &a.Vars,
		&a.HostKeys, &a.Credential, &a.Queue, &a.SSH, stamp{&a.Created}, stamp{&a.Updated}, &a.Version)
	a.Tags, a.HostKeys, a.Vars = store.NilIfEmpty(a.Tags), store.NilIfEmpty(a.HostKeys), store.NilIfNone(a.Vars)
	return a, err
}
