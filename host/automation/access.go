package automation

import (
	"encoding/json"
	"time"
)

// Role says what a token may do.
type Role string

// The roles.
const (
	RoleAdmin     Role = "admin"     // everything
	RoleSubmitter Role = "submitter" // plans, submits, reads and cancels runs; reads plugins and assets
)

// Token is an API token as it is stored and listed: never its secret.
type Token struct {
	ID      TokenID   `json:"id"`
	Tenant  TenantID  `json:"tenant"`
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Hash    []byte    `json:"-"` // SHA-256 of the secret
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at,omitzero"`
	Revoked time.Time `json:"revoked_at,omitzero"`
}

// Principal is who asks: made from a token by the edge, checked in service/.
type Principal struct {
	Tenant TenantID
	Name   string
	Role   Role
	Token  TokenID
}

// Act is the record of a change that goes into the same commit as the change:
// the audit entry, and the answer to a repeated request.
type Act struct {
	Tenant TenantID
	By     string          // the principal's name
	Action string          // "asset.create"
	Object string          // the object's identifier
	Detail json.RawMessage // what changed, without secrets; nil: nothing to add
	At     time.Time
	// Key is the request's Idempotency-Key, "" without one; Request is the digest
	// of the request that it stands for.
	Key     string
	Request Digest
}

// AuditEntry is an act in the audit log. Hash is SHA-256 over Previous and the
// other fields, so that a row changed, removed or moved is found.
type AuditEntry struct {
	Seq      int64           `json:"seq"`
	Tenant   TenantID        `json:"tenant"`
	At       time.Time       `json:"at"`
	By       string          `json:"by"`
	Action   string          `json:"action"`
	Object   string          `json:"object"`
	Detail   json.RawMessage `json:"detail,omitempty"`
	Previous []byte          `json:"previous"`
	Hash     []byte          `json:"hash"`
}

// Page asks for part of a list, in the list's own order.
type Page struct {
	After string // the last identifier of the page before; "" from the start
	Limit int    // 1 to 1000
}
