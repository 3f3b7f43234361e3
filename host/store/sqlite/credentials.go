package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectCredential = `SELECT id, tenant, name, kind, username, scope, sealed, key_id, created_at, updated_at, version FROM credentials`
	credentialByID   = selectCredential + ` WHERE id = ? AND tenant = ?`
	credentialByName = selectCredential + ` WHERE name = ? AND tenant = ?`
	listCredentials  = selectCredential + ` WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?`
	insertCredential = `INSERT INTO credentials (name, kind, username, scope, sealed, key_id, updated_at, version, id, tenant, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateCredential = `UPDATE credentials SET name = ?, kind = ?, username = ?, scope = ?, sealed = ?, key_id = ?, updated_at = ?, version = ?
		WHERE id = ? AND tenant = ? AND version = ?`
	deleteCredential = `DELETE FROM credentials WHERE id = ? AND tenant = ?`
)

// CreateCredential stores a sealed credential in the version that its seal binds.
func (db *DB) CreateCredential(ctx context.Context, c automation.Credential, act automation.Act) (automation.Credential, bool, error) {
	args, err := credentialArgs(c)
	if err != nil {
		return automation.Credential{}, false, err
	}
	args = append(args, micros(c.Created))
	return create(ctx, db, act, c.Tenant, string(c.ID), scanCredential, credentialByID, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, insertCredential, args...)
	})
}

// UpdateCredential replaces a credential whose Version is still c.Version - 1.
func (db *DB) UpdateCredential(ctx context.Context, c automation.Credential, act automation.Act) (automation.Credential, error) {
	args, err := credentialArgs(c)
	if err != nil {
		return automation.Credential{}, err
	}
	args = append(args, c.Version-1)
	return update(ctx, db, act, c.Tenant, string(c.ID), scanCredential, credentialByID, func(ctx context.Context, w *writer) (int64, error) {
		return w.changed(ctx, updateCredential, args...)
	})
}

// credentialArgs are the values that insertCredential and updateCredential begin with.
func credentialArgs(c automation.Credential) ([]any, error) {
	scope, err := encoded(c.Scope)
	if err != nil {
		return nil, err
	}
	return []any{c.Name, string(c.Kind), c.Username, scope, c.Sealed, c.KeyID, micros(c.Updated), c.Version, string(c.ID), string(c.Tenant)}, nil
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

func scanCredential(row scanner) (automation.Credential, error) {
	var c automation.Credential
	err := row.Scan(&c.ID, &c.Tenant, &c.Name, &c.Kind, &c.Username, document{&c.Scope}, &c.Sealed, &c.KeyID,
		stamp{&c.Created}, stamp{&c.Updated}, &c.Version)
	return c, err
}
