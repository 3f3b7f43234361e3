package automation

import "time"

// LimitID names a limit.
type LimitID string

// LimitKind says by what a limit counts.
type LimitKind string

// The kinds of limits. Each value of a kind has a counter of its own.
const (
	LimitGlobal      LimitKind = "global"          // every attempt
	LimitTenant      LimitKind = "tenant"          // the attempts of a tenant
	LimitQueue       LimitKind = "queue"           // those of a task queue
	LimitPlugin      LimitKind = "plugin"          // those of a plugin, in any version
	LimitAction      LimitKind = "action"          // those of an action: plugin.action
	LimitCredential  LimitKind = "credential"      // those on targets with a credential
	LimitAsset       LimitKind = "asset"           // those on an asset
	LimitConcurrency LimitKind = "concurrency_key" // those of steps with the same concurrency_key, in a tenant
)

// LimitKinds lists the kinds of limits.
func LimitKinds() []LimitKind {
	return []LimitKind{
		LimitGlobal, LimitTenant, LimitQueue, LimitPlugin, LimitAction, LimitCredential, LimitAsset, LimitConcurrency,
	}
}

// Rate bounds how often something starts: Count per Per, evenly spaced, but up to
// Burst at once after a time of rest.
type Rate struct {
	Count int           `json:"count"`
	Per   time.Duration `json:"per_ns"`
	Burst int           `json:"burst"` // 0 is 1
}

// Limit bounds the attempts that run at the same time, how often they start, or
// both, over all hosts.
type Limit struct {
	ID     LimitID   `json:"id"`
	Tenant TenantID  `json:"tenant"`
	Kind   LimitKind `json:"kind"`
	// Match is the value that the limit is for, or "": each value for itself that
	// has no limit of its own. The credential's is its identifier.
	Match string `json:"match"`
	// Max is how many run at the same time; 0: as many as the kind's limit without a
	// match says, or any number.
	Max int `json:"max,omitempty"`
	// Rate is how often they start; nil: as for Max.
	Rate    *Rate     `json:"rate,omitempty"`
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
	Version int64     `json:"version"` // 1, 2, 3 …; the ETag
}

// Bucket is what is left of a rate's bucket: its key, and the time up to which it
// has given leave (the theoretical arrival time of GCRA, ITU-T I.371), in
// nanoseconds since 1970. 0: it is full, and need not be kept.
type Bucket struct {
	Key string
	Tat int64
}
