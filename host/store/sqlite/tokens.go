package sqlite

import (
	"context"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectToken = `SELECT id, tenant, name, role, hash, created_at, expires_at, revoked_at FROM tokens`
	tokenByID   = selectToken + ` WHERE id = ? AND tenant = ?`
	tokenByHash = selectToken + ` WHERE hash = ?`
	listTokens  = selectToken + ` WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`
	insertToken = `INSERT INTO tokens (id, tenant, name, role, hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	revokeToken = `UPDATE tokens SET revoked_at = ? WHERE id = ? AND tenant = ? AND revoked_at IS NULL`
)

// CreateToken stores a token.
func (db *DB) CreateToken(ctx context.Context, t automation.Token, act automation.Act) (automation.Token, bool, error) {
	return create(ctx, db, act, t.Tenant, string(t.ID), scanToken, tokenByID, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, insertToken, string(t.ID), string(t.Tenant), t.Name, string(t.Role), t.Hash, micros(t.Created), micros(t.Expires))
	})
}

// TokenByHash returns the token whose secret has this SHA-256, of any tenant.
func (db *DB) TokenByHash(ctx context.Context, hash []byte) (automation.Token, error) {
	return one(ctx, db, scanToken, "token", tokenByHash, hash)
}

// RevokeToken revokes a token for good; conflict when it is revoked already.
func (db *DB) RevokeToken(ctx context.Context, tenant automation.TenantID, id automation.TokenID, act automation.Act) error {
	_, err := update(ctx, db, act, tenant, string(id), scanToken, tokenByID, func(ctx context.Context, w *writer) (int64, error) {
		return w.changed(ctx, revokeToken, micros(act.At), string(id), string(tenant))
	})
	return err
}

// ListTokens returns tokens by identifier, with the revoked ones.
func (db *DB) ListTokens(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Token, error) {
	if err := store.CheckPage(page); err != nil {
		return nil, err
	}
	return list(ctx, db, scanToken, listTokens, string(tenant), page.After, page.Limit)
}

func scanToken(row scanner) (automation.Token, error) {
	var t automation.Token
	err := row.Scan(&t.ID, &t.Tenant, &t.Name, &t.Role, &t.Hash, stamp{&t.Created}, stamp{&t.Expires}, stamp{&t.Revoked})
	return t, err
}
