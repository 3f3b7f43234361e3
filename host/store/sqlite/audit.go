package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	selectKey  = `SELECT request, object FROM idempotency WHERE tenant = ? AND by = ? AND action = ? AND key = ?`
	insertKey  = `INSERT INTO idempotency (tenant, by, action, key, request, object, at) VALUES (?, ?, ?, ?, ?, ?, ?)`
	selectHead = `SELECT seq, hash FROM audit_heads WHERE tenant = ?`
	upsertHead = `INSERT INTO audit_heads (tenant, seq, hash) VALUES (?, ?, ?)
		ON CONFLICT (tenant) DO UPDATE SET seq = excluded.seq, hash = excluded.hash`
	insertAudit = `INSERT INTO audit (tenant, seq, at, by, action, object, detail, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	selectAudit = `SELECT seq, tenant, at, by, action, object, detail, previous, hash FROM audit
		WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?`
)

// act records what a change does: its key and its audit entry. When the key was
// used before for the same request, it returns the object of that time and true,
// and nothing is recorded.
func (w *writer) act(ctx context.Context, act automation.Act, object string) (earlier string, repeated bool, err error) {
	if act.Object == "" {
		act.Object = object
	}
	if act.Key != "" {
		earlier, repeated, err = w.claim(ctx, act, object)
		if err != nil || repeated {
			return earlier, repeated, err
		}
	}
	head, err := scanHead(w.row(ctx, selectHead, string(act.Tenant)))
	if err != nil {
		return "", false, err
	}
	e := store.NextAudit(act, head.Seq, head.Hash)
	var detail any
	if len(e.Detail) > 0 {
		detail = string(e.Detail)
	}
	err = w.exec(ctx, insertAudit, string(e.Tenant), e.Seq, micros(e.At), e.By, e.Action, e.Object, detail, e.Previous, e.Hash)
	if err != nil {
		return "", false, err
	}
	return "", false, w.exec(ctx, upsertHead, string(e.Tenant), e.Seq, e.Hash)
}

// claim takes an idempotency key, or finds what it stands for.
func (w *writer) claim(ctx context.Context, act automation.Act, object string) (earlier string, repeated bool, err error) {
	var request automation.Digest
	err = w.row(ctx, selectKey, string(act.Tenant), act.By, act.Action, act.Key).Scan(&request, &earlier)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, w.exec(ctx, insertKey, string(act.Tenant), act.By, act.Action, act.Key, string(act.Request), object, micros(act.At))
	case err != nil:
		return "", false, err
	case request != act.Request:
		return "", false, store.KeyReused()
	}
	return earlier, true, nil
}

// scanHead reads the newest entry's number and hash; zero without one.
func scanHead(row scanner) (automation.AuditEntry, error) {
	var e automation.AuditEntry
	err := row.Scan(&e.Seq, &e.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		return e, nil
	}
	return e, err
}

// AuditHead returns the number and the hash of the tenant's newest audit entry.
func (db *DB) AuditHead(ctx context.Context, tenant automation.TenantID) (automation.AuditEntry, error) {
	return one(ctx, db, scanHead, "audit head", selectHead, string(tenant))
}

// Audit returns audit entries after a sequence number, the oldest first.
func (db *DB) Audit(ctx context.Context, tenant automation.TenantID, after int64, limit int) ([]automation.AuditEntry, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	return list(ctx, db, scanAudit, selectAudit, string(tenant), after, limit)
}

func scanAudit(row scanner) (automation.AuditEntry, error) {
	var e automation.AuditEntry
	var detail sql.NullString
	err := row.Scan(&e.Seq, &e.Tenant, stamp{&e.At}, &e.By, &e.Action, &e.Object, &detail, &e.Previous, &e.Hash)
	if detail.Valid {
		e.Detail = []byte(detail.String)
	}
	return e, err
}
