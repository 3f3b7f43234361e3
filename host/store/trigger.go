package store

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
)

// Triggers is the stored triggers.
type Triggers interface {
	// CreateTrigger stores a trigger in version 1; conflict when the name is taken.
	// For a repeated act.Key it returns the trigger of that time and false.
	CreateTrigger(ctx context.Context, t automation.Trigger, act automation.Act) (automation.Trigger, bool, error)
	// UpdateTrigger replaces what people say of a trigger whose Version is still
	// t.Version, with its seal, and raises it. ID, Tenant, Scheme, Created and all that
	// webhooks record stay.
	UpdateTrigger(ctx context.Context, t automation.Trigger, act automation.Act) (automation.Trigger, error)
	// DeleteTrigger removes a trigger, and its webhooks with it.
	DeleteTrigger(ctx context.Context, tenant automation.TenantID, id automation.TriggerID, act automation.Act) error
	Trigger(ctx context.Context, tenant automation.TenantID, id automation.TriggerID) (automation.Trigger, error)
	// TriggerByName returns the trigger with a name; not_found without one.
	TriggerByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Trigger, error)
	// TriggerByID returns the trigger with an identifier, of any tenant.
	TriggerByID(ctx context.Context, id automation.TriggerID) (automation.Trigger, error)
	// ListTriggers returns triggers by name (Page.After is a name), with Sealed.
	ListTriggers(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Trigger, error)
}

// Webhooks is the webhooks that triggers took.
type Webhooks interface {
	// PutWebhook records a webhook as the trigger's last, and removes some of the
	// trigger's that are older than keptFrom. When the trigger has one of that
	// identifier, or (with ByBody) of that body, nothing is recorded, and it returns
	// that one and false. not_found when the tenant has no such trigger.
	PutWebhook(ctx context.Context, d automation.Webhook, o PutWebhook) (automation.Webhook, bool, error)
	// Webhook returns the trigger's webhook with an identifier, or else (where body
	// is not "") one that was recorded ByBody with that body.
	Webhook(ctx context.Context, tenant automation.TenantID, trigger automation.TriggerID, id string, body automation.Digest) (automation.Webhook, error)
	// FailTrigger records why a webhook failed, as the trigger's last error.
	FailTrigger(ctx context.Context, tenant automation.TenantID, id automation.TriggerID, at time.Time, problem *automation.Error) error
}

// PutWebhook is how a webhook is recorded.
type PutWebhook struct {
	// ByBody: another one of the same body is the same webhook.
	ByBody bool
	// KeptFrom: older ones may go.
	KeptFrom time.Time
}

// MaxExpired is how many old webhooks PutWebhook removes at the most.
const MaxExpired = 100
