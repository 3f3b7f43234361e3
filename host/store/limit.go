package store

import (
	"context"

	"opsconductor.dev/host/automation"
)

// Limits is the operator's limits. They are the deployment's: those of the default
// tenant count, for the attempts of all tenants.
type Limits interface {
	// CreateLimit stores a limit in version 1; conflict when there is one of that
	// kind and match. For a repeated act.Key it returns the limit of that time and false.
	CreateLimit(ctx context.Context, l automation.Limit, act automation.Act) (automation.Limit, bool, error)
	// UpdateLimit replaces Max and Rate of a limit whose Version is still l.Version
	// and raises it; the rest stays.
	UpdateLimit(ctx context.Context, l automation.Limit, act automation.Act) (automation.Limit, error)
	DeleteLimit(ctx context.Context, tenant automation.TenantID, id automation.LimitID, act automation.Act) error
	Limit(ctx context.Context, tenant automation.TenantID, id automation.LimitID) (automation.Limit, error)
	// LimitFor returns the limit of a kind and match; not_found without one.
	LimitFor(ctx context.Context, tenant automation.TenantID, kind automation.LimitKind, match string) (automation.Limit, error)
	// ListLimits returns limits by identifier (Page.After is one).
	ListLimits(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Limit, error)
}

// Bounds is what a leader reads of limits. It is told of changes by TopicSettings.
type Bounds interface {
	// AllLimits returns the limits that count, by identifier.
	AllLimits(ctx context.Context) ([]automation.Limit, error)
	// Buckets returns what the rates of a shard have left, as the last Append left it.
	Buckets(ctx context.Context, shard int) ([]automation.Bucket, error)
}
