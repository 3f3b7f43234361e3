package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertKey = `INSERT INTO idempotency (tenant, by, action, key, request, object, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT DO NOTHING`
	selectKey  = `SELECT request, object FROM idempotency WHERE tenant = $1 AND by = $2 AND action = $3 AND key = $4`
	lockHead   = `SELECT newest, newest_hash FROM lock_heads(ARRAY[$1::text])`
	selectHead = `SELECT seq, hash FROM audit_tops WHERE tenant = $1 ORDER BY seq DESC LIMIT 1`

	insertAudit = `INSERT INTO audit (tenant, seq, at, by, action, object, detail, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	selectAudit = `SELECT seq, tenant, at, by, action, object, detail, previous, hash FROM audit
		WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3`
)

// act runs a change in one transaction with its record: the key and the audit
// entry. When the key was used before for the same request, change does not run,
// nothing is recorded, and last gets the object of that time.
func (db *DB) act(ctx context.Context, act automation.Act, object string, topics store.Topics, change func(context.Context, pgx.Tx) error, last func(ctx context.Context, tx pgx.Tx, object string, repeated bool) error) error {
	if act.Object == "" {
		act.Object = object
	}
	return db.write(ctx, topics, func(ctx context.Context) error {
		tx, err := db.pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		earlier, repeated, err := claim(ctx, tx, act, object)
		if err != nil {
			return err
		}
		if repeated {
			object = earlier
		} else if err := record(ctx, tx, act, change); err != nil {
			return err
		}
		if last != nil {
			if err := last(ctx, tx, object, repeated); err != nil {
				return err
			}
		}
		return tx.Commit(ctx)
	})
}

// record locks the tenant's audit head, makes the change, and chains the act.
func record(ctx context.Context, tx pgx.Tx, act automation.Act, change func(context.Context, pgx.Tx) error) error {
	head, err := scanHead(tx.QueryRow(ctx, lockHead, string(act.Tenant)))
	if err != nil {
		return err
	}
	if err := change(ctx, tx); err != nil {
		return err
	}
	e := store.NextAudit(act, head.Seq, head.Hash)
	_, err = tx.Exec(ctx, insertAudit, string(e.Tenant), e.Seq, e.At, e.By, e.Action, e.Object, detail(e), e.Previous, e.Hash)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, moveHeads, []string{string(e.Tenant)}, []int64{head.Seq}, []int64{e.Seq}, [][]byte{e.Hash})
	return err
}

// detail is what the JSON column keeps, byte for byte; NULL for nothing.
func detail(e automation.AuditEntry) *string {
	if len(e.Detail) == 0 {
		return nil
	}
	s := string(e.Detail)
	return &s
}

// claim takes an idempotency key, or finds what it stands for. A transaction
// that has just taken the same key is waited for.
func claim(ctx context.Context, tx pgx.Tx, act automation.Act, object string) (earlier string, repeated bool, err error) {
	if act.Key == "" {
		return "", false, nil
	}
	tag, err := tx.Exec(ctx, insertKey, string(act.Tenant), act.By, act.Action, act.Key, string(act.Request), object, moment(act.At))
	if err != nil || tag.RowsAffected() == 1 {
		return "", false, err
	}
	return used(ctx, tx, act)
}

// used returns the object that a key stands for.
func used(ctx context.Context, q querier, act automation.Act) (earlier string, repeated bool, err error) {
	var request automation.Digest
	err = q.QueryRow(ctx, selectKey, string(act.Tenant), act.By, act.Action, act.Key).Scan(&request, &earlier)
	if err != nil {
		return "", false, err
	}
	if request != act.Request {
		return "", false, store.KeyReused()
	}
	return earlier, true, nil
}

// scanHead reads the newest entry's number and hash; zero without one.
func scanHead(row pgx.Row) (automation.AuditEntry, error) {
	var e automation.AuditEntry
	err := row.Scan(&e.Seq, &e.Hash)
	if errors.Is(err, pgx.ErrNoRows) {
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

func scanAudit(row pgx.Row) (automation.AuditEntry, error) {
	var e automation.AuditEntry
	var detail *string
	err := row.Scan(&e.Seq, &e.Tenant, stamp{&e.At}, &e.By, &e.Action, &e.Object, &detail, &e.Previous, &e.Hash)
	if detail != nil {
		e.Detail = []byte(*detail)
	}
	return e, err
}
