package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectToken = `SELECT id, tenant, name, role, hash, created_at, expires_at, revoked_at FROM tokens`
	tokenByID   = selectToken + ` WHERE id = $1 AND tenant = $2`
	tokenByHash = selectToken + ` WHERE hash = $1`
	listTokens  = selectToken + ` WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`
	insertToken = `INSERT INTO tokens (id, tenant, name, role, hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	revokeToken = `UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND tenant = $3 AND revoked_at IS NULL`
)

// CreateToken stores a token.
func (db *DB) CreateToken(ctx context.Context, t automation.Token, act automation.Act) (automation.Token, bool, error) {
	return create(ctx, db, act, t.Tenant, string(t.ID), scanToken, tokenByID, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertToken, string(t.ID), string(t.Tenant), t.Name, string(t.Role), t.Hash, moment(t.Created), moment(t.Expires))
		return err
	})
}

// TokenByHash returns the token whose secret has this SHA-256, of any tenant.
func (db *DB) TokenByHash(ctx context.Context, hash []byte) (automation.Token, error) {
	return one(ctx, db, scanToken, "token", tokenByHash, hash)
}

// RevokeToken revokes a token for good; conflict when it is revoked already.
func (db *DB) RevokeToken(ctx context.Context, tenant automation.TenantID, id automation.TokenID, act automation.Act) error {
	_, err := update(ctx, db, act, tenant, string(id), scanToken, tokenByID, func(ctx context.Context, tx pgx.Tx) (int64, error) {
		return changed(ctx, tx, revokeToken, moment(act.At), string(id), string(tenant))
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

func scanToken(row pgx.Row) (automation.Token, error) {
	var t automation.Token
	err := row.Scan(&t.ID, &t.Tenant, &t.Name, &t.Role, &t.Hash, stamp{&t.Created}, stamp{&t.Expires}, stamp{&t.Revoked})
	return t, err
}
