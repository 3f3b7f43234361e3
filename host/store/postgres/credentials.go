package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectCredential = `SELECT id, tenant, name, kind, username, scope, sealed, key_id, created_at, updated_at, version FROM credentials`
	credentialByID   = selectCredential + ` WHERE id = $1 AND tenant = $2`
	credentialByName = selectCredential + ` WHERE name = $1 AND tenant = $2`
	listCredentials  = selectCredential + ` WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3`
	insertCredential = `INSERT INTO credentials (name, kind, username, scope, sealed, key_id, updated_at, version, id, tenant, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	updateCredential = `UPDATE credentials SET name = $1, kind = $2, username = $3, scope = $4, sealed = $5, key_id = $6, updated_at = $7, version = $8
		WHERE id = $9 AND tenant = $10 AND version = $11`
	deleteCredential = `DELETE FROM credentials WHERE id = $1 AND tenant = $2`
)

// CreateCredential stores a sealed credential in the version that its seal binds.
func (db *DB) CreateCredential(ctx context.Context, c automation.Credential, act automation.Act) (automation.Credential, bool, error) {
	args, err := credentialArgs(c)
	if err != nil {
		return automation.Credential{}, false, err
	}
	args = append(args, moment(c.Created))
	return create(ctx, db, act, c.Tenant, string(c.ID), scanCredential, credentialByID, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertCredential, args...)
		return err
	})
}

// UpdateCredential replaces a credential whose Version is still c.Version - 1.
func (db *DB) UpdateCredential(ctx context.Context, c automation.Credential, act automation.Act) (automation.Credential, error) {
	args, err := credentialArgs(c)
	if err != nil {
		return automation.Credential{}, err
	}
	args = append(args, c.Version-1)
	return update(ctx, db, act, c.Tenant, string(c.ID), scanCredential, credentialByID, func(ctx context.Context, tx pgx.Tx) (int64, error) {
		return changed(ctx, tx, updateCredential, args...)
	})
}

// credentialArgs are the values that insertCredential and updateCredential begin with.
func credentialArgs(c automation.Credential) ([]any, error) {
	scope, err := encoded(c.Scope)
	if err != nil {
		return nil, err
	}
	return []any{c.Name, string(c.Kind), c.Username, scope, c.Sealed, c.KeyID, moment(c.Updated), c.Version, string(c.ID), string(c.Tenant)}, nil
}

// DeleteCredential removes a credential; conflict while an asset uses it.
func (db *DB) DeleteCredential(ctx context.Context, tenant automation.TenantID, id automation.CredentialID, act automation.Act) error {
	return remove(ctx, db, act, tenant, string(id), "credential", deleteCredential)
}

// Credential returns the credential with an identifier.
func (db *DB) Credential(ctx context.Context, tenant automation.TenantID, id automation.CredentialID) (automation.Credential, error) {
	return one(ctx, db, scanCredential, "credential", credentialByID, string(id), string(tenant))
}

// CredentialByName returns the credential with a name.
func (db *DB) CredentialByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Credential, error) {
	return one(ctx, db, scanCredential, "credential", credentialByName, name, string(tenant))
}

// ListCredentials returns credentials by name.
func (db *DB) ListCredentials(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Credential, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	return list(ctx, db, scanCredential, listCredentials, string(tenant), page.After, page.Limit)
}

func scanCredential(row pgx.Row) (automation.Credential, error) {
	var c automation.Credential
	err := row.Scan(&c.ID, &c.Tenant, &c.Name, &c.Kind, &c.Username, &c.Scope, &c.Sealed, &c.KeyID,
		stamp{&c.Created}, stamp{&c.Updated}, &c.Version)
	return c, err
}
