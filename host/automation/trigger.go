package automation

import (
	"encoding/json"
	"time"
)

// TriggerID names a trigger.
type TriggerID string

// SignatureScheme says how a webhook's sender signs.
type SignatureScheme string

// The signature schemes.
const (
	// SignatureStandard is that of the Standard Webhooks specification: HMAC-SHA256
	// over identifier, timestamp and body.
	SignatureStandard SignatureScheme = "standard"
	// SignatureGitHub is GitHub's: HMAC-SHA256 over the body alone.
	SignatureGitHub SignatureScheme = "github"
)

// SignatureSchemes lists the signature schemes.
func SignatureSchemes() []SignatureScheme {
	return []SignatureScheme{SignatureStandard, SignatureGitHub}
}

// Trigger submits a run of a definition for each webhook that it receives.
type Trigger struct {
	ID         TriggerID `json:"id"`
	Tenant     TenantID  `json:"tenant"`
	Name       string    `json:"name"`       // unique in the tenant
	Definition string    `json:"definition"` // of the workflow: YAML or JSON, as it was given
	// Inputs is a JSON object that makes the run's inputs of the event: its texts may
	// have expressions, ${{ … }}, over event and headers.
	Inputs json.RawMessage `json:"inputs,omitempty"`
	// If is an expression over event and headers: no run where it is false; "": always one.
	If      string          `json:"if,omitempty"`
	Scheme  SignatureScheme `json:"scheme"`
	Enabled bool            `json:"enabled"`

	// KeyID names the vault's key that sealed the secrets; Sealed is never served.
	KeyID  string `json:"key_id"`
	Sealed []byte `json:"-"`
	// SecretVersion counts the secrets, from 1. The one before the current is valid
	// until PreviousUntil; zero: it is not.
	SecretVersion int64     `json:"secret_version"`
	PreviousUntil time.Time `json:"previous_until,omitzero"`

	// Last is when the last delivery was taken, or failed; LastRun the last run that
	// was submitted; LastError why the last delivery failed.
	Last      time.Time `json:"last_at,omitzero"`
	LastRun   RunID     `json:"last_run_id,omitempty"`
	LastError *Error    `json:"last_error,omitempty"`
	Created   time.Time `json:"created_at"`
	Updated   time.Time `json:"updated_at"`
	// Version counts the changes that people make, from 1: the ETag. Deliveries do
	// not raise it.
	Version int64 `json:"version"`
}

// Webhook is a webhook that a trigger took. All that its run is made of is in it,
// so that whoever delivers it again gets the same run.
type Webhook struct {
	Trigger TriggerID
	Tenant  TenantID
	ID      string // the sender's identifier
	Body    Digest // SHA-256 of the body
	At      time.Time
	// Run, PlanHash and Workflow are those of its run, By who submits it; Run is ""
	// where the trigger's If was false.
	Run      RunID
	PlanHash Digest
	Workflow string
	By       string
}
