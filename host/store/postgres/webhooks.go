package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertWebhook = `INSERT INTO webhooks (trigger_id, delivery, tenant, body, body_key, at, run_id, plan_hash, workflow, by)
		SELECT id, $1, tenant, $2, $3, $4, $5, $6, $7, $8 FROM triggers WHERE id = $9 AND tenant = $10 ON CONFLICT DO NOTHING`
	selectWebhook = `SELECT trigger_id, tenant, delivery, body, at, run_id, plan_hash, workflow, by FROM webhooks
		WHERE trigger_id = $1 AND tenant = $2 AND (delivery = $3 OR body_key = $4) ORDER BY delivery = $3 DESC LIMIT 1`
	expireWebhooks = `DELETE FROM webhooks WHERE trigger_id = $1 AND delivery IN
		(SELECT delivery FROM webhooks WHERE trigger_id = $1 AND at < $2 ORDER BY at LIMIT $3)`
	takeWebhook = `UPDATE triggers SET last_at = $1, last_error = NULL, last_run = CASE WHEN $2::text = '' THEN last_run ELSE $2 END WHERE id = $3 AND tenant = $4`
	failTrigger = `UPDATE triggers SET last_at = $1, last_error = $2 WHERE id = $3 AND tenant = $4`
)

// PutWebhook records a webhook as the trigger's last.
func (db *DB) PutWebhook(ctx context.Context, d automation.Webhook, o store.PutWebhook) (automation.Webhook, bool, error) {
	var key *string
	if o.ByBody {
		text := string(d.Body)
		key = &text
	}
	out, made := d, true
	err := db.write(ctx, nil, func(ctx context.Context) error {
		tx, err := db.pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		if _, err := tx.Exec(ctx, expireWebhooks, string(d.Trigger), moment(o.KeptFrom), store.MaxExpired); err != nil {
			return err
		}
		n, err := changed(ctx, tx, insertWebhook, d.ID, string(d.Body), key, moment(d.At), string(d.Run), string(d.PlanHash), d.Workflow, d.By,
			string(d.Trigger), string(d.Tenant))
		if err != nil {
			return err
		}
		if made = n > 0; !made {
			out, err = scanWebhook(tx.QueryRow(ctx, selectWebhook, string(d.Trigger), string(d.Tenant), d.ID, key))
			return gone(err, "trigger")
		}
		if _, err := tx.Exec(ctx, takeWebhook, moment(d.At), string(d.Run), string(d.Trigger), string(d.Tenant)); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
	if err != nil {
		return automation.Webhook{}, false, err
	}
	return out, made, nil
}

// Webhook returns the trigger's webhook with an identifier, or else with a body.
func (db *DB) Webhook(
	ctx context.Context, tenant automation.TenantID, trigger automation.TriggerID, id string, body automation.Digest,
) (automation.Webhook, error) {
	var key *string
	if body != "" {
		text := string(body)
		key = &text
	}
	return one(ctx, db, scanWebhook, "webhook", selectWebhook, string(trigger), string(tenant), id, key)
}

func scanWebhook(row pgx.Row) (automation.Webhook, error) {
	var d automation.Webhook
	err := row.Scan(&d.Trigger, &d.Tenant, &d.ID, &d.Body, stamp{&d.At}, &d.Run, &d.PlanHash, &d.Workflow, &d.By)
	return d, err
}

// FailTrigger records why a webhook failed, as the trigger's last error.
func (db *DB) FailTrigger(ctx context.Context, tenant automation.TenantID, id automation.TriggerID, at time.Time, problem *automation.Error) error {
	text, err := encoded(problem)
	if err != nil {
		return err
	}
	return db.write(ctx, nil, func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, failTrigger, moment(at), text, string(id), string(tenant))
		return err
	})
}
