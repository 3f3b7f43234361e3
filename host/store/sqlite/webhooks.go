package sqlite

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	insertWebhook = `INSERT INTO webhooks (trigger_id, delivery, tenant, body, body_key, at, run_id, plan_hash, workflow, by)
		SELECT id, ?, tenant, ?, ?, ?, ?, ?, ?, ? FROM triggers WHERE id = ? AND tenant = ? ON CONFLICT DO NOTHING`
	selectWebhook = `SELECT trigger_id, tenant, delivery, body, at, run_id, plan_hash, workflow, by FROM webhooks
		WHERE trigger_id = ?1 AND tenant = ?2 AND (delivery = ?3 OR body_key = ?4) ORDER BY delivery = ?3 DESC LIMIT 1`
	expireWebhooks = `DELETE FROM webhooks WHERE trigger_id = ?1 AND delivery IN
		(SELECT delivery FROM webhooks WHERE trigger_id = ?1 AND at < ?2 ORDER BY at LIMIT ?3)`
	takeWebhook = `UPDATE triggers SET last_at = ?1, last_error = NULL, last_run = CASE WHEN ?2 = '' THEN last_run ELSE ?2 END WHERE id = ?3 AND tenant = ?4`
	failTrigger = `UPDATE triggers SET last_at = ?, last_error = ? WHERE id = ? AND tenant = ?`
)

// PutWebhook records a webhook as the trigger's last.
func (db *DB) PutWebhook(ctx context.Context, d automation.Webhook, o store.PutWebhook) (automation.Webhook, bool, error) {
	var key any
	if o.ByBody {
		key = string(d.Body)
	}
	out, made := d, true
	err := db.write(ctx, nil, func(ctx context.Context, w *writer) error {
		if err := w.exec(ctx, expireWebhooks, string(d.Trigger), micros(o.KeptFrom), store.MaxExpired); err != nil {
			return err
		}
		n, err := w.changed(ctx, insertWebhook, d.ID, string(d.Body), key, micros(d.At), string(d.Run), string(d.PlanHash), d.Workflow, d.By,
			string(d.Trigger), string(d.Tenant))
		if err != nil {
			return err
		}
		if made = n > 0; !made {
			out, err = scanWebhook(w.row(ctx, selectWebhook, string(d.Trigger), string(d.Tenant), d.ID, key))
			return gone(err, "trigger")
		}
		return w.exec(ctx, takeWebhook, micros(d.At), string(d.Run), string(d.Trigger), string(d.Tenant))
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
	var key any
	if body != "" {
		key = string(body)
	}
	return one(ctx, db, scanWebhook, "webhook", selectWebhook, string(trigger), string(tenant), id, key)
}

func scanWebhook(row scanner) (automation.Webhook, error) {
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
	return db.write(ctx, nil, func(ctx context.Context, w *writer) error {
		return w.exec(ctx, failTrigger, micros(at), text, string(id), string(tenant))
	})
}
