package client

import (
	"context"
	"encoding/json"
	"net/http"

	"opsconductor.dev/host/automation"
)

// Trigger submits a run of a definition for each webhook that it receives.
type Trigger = automation.Trigger

// TriggerFields is what an update says of a trigger: all of it.
type TriggerFields struct {
	Name       string          `json:"name"`
	Definition string          `json:"definition"` // YAML or JSON
	Inputs     json.RawMessage `json:"inputs,omitempty"`
	If         string          `json:"if,omitempty"`
}

// TriggerRequest is a new trigger. Secret is what the sender signs with; empty:
// the host makes one.
type TriggerRequest struct {
	TriggerFields
	Scheme   automation.SignatureScheme
	Disabled bool
	Secret   Secret
}

// TriggerSecret is a trigger with the path that its sender posts to, and the
// secret that the host made; empty when the request gave it.
type TriggerSecret struct {
	Trigger Trigger
	Address string
	Secret  Secret
}

// UnmarshalJSON reads what the server shows once.
func (t *TriggerSecret) UnmarshalJSON(raw []byte) error {
	var v struct {
		Trigger Trigger `json:"trigger"`
		Address string  `json:"address"`
		Secret  string  `json:"secret"`
	}
	err := json.Unmarshal(raw, &v)
	*t = TriggerSecret{Trigger: v.Trigger, Address: v.Address, Secret: NewSecret([]byte(v.Secret))}
	return err
}

// Triggers lists triggers by name.
func (c *Client) Triggers(ctx context.Context, page Page) (List[Trigger], error) {
	var out List[Trigger]
	err := c.send(ctx, get("v1", "triggers").page(page), &out)
	return out, err
}

// Trigger returns the trigger that ref names: an identifier or a name.
func (c *Client) Trigger(ctx context.Context, ref string) (Trigger, error) {
	var out Trigger
	err := c.send(ctx, get("v1", "triggers", segment(ref)), &out)
	return out, err
}

// CreateTrigger creates a trigger. It is sent once: an answer that was lost had the
// only copy of the secret.
func (c *Client) CreateTrigger(ctx context.Context, r TriggerRequest) (TriggerSecret, error) {
	body := struct {
		TriggerFields
		Scheme  automation.SignatureScheme `json:"scheme,omitempty"`
		Enabled bool                       `json:"enabled"`
		Secret  string                     `json:"secret,omitempty"`
	}{r.TriggerFields, r.Scheme, !r.Disabled, string(r.Secret.Reveal())}
	var out TriggerSecret
	err := c.send(ctx, request{method: http.MethodPost, path: []string{"v1", "triggers"}}.json(body), &out)
	return out, err
}

// UpdateTrigger replaces what is known of a trigger; version is as for UpdateAsset.
func (c *Client) UpdateTrigger(ctx context.Context, ref string, r TriggerFields, version int64) (Trigger, error) {
	var out Trigger
	err := c.send(ctx, match(http.MethodPut, version, "v1", "triggers", segment(ref)).json(r), &out)
	return out, err
}

// DeleteTrigger deletes a trigger; version is as for UpdateAsset.
func (c *Client) DeleteTrigger(ctx context.Context, ref string, version int64) error {
	return c.send(ctx, match(http.MethodDelete, version, "v1", "triggers", segment(ref)), nil)
}

// EnableTrigger lets a trigger submit runs; version is as for UpdateAsset.
func (c *Client) EnableTrigger(ctx context.Context, ref string, version int64) (Trigger, error) {
	var out Trigger
	err := c.send(ctx, match(http.MethodPost, version, "v1", "triggers", segment(ref), "enable"), &out)
	return out, err
}

// DisableTrigger stops a trigger from submitting runs; version is as for UpdateAsset.
func (c *Client) DisableTrigger(ctx context.Context, ref string, version int64) (Trigger, error) {
	var out Trigger
	err := c.send(ctx, match(http.MethodPost, version, "v1", "triggers", segment(ref), "disable"), &out)
	return out, err
}

// RotateTrigger gives a trigger a new secret: that one, or (empty) one that the
// host makes. The old one stays valid for keep, like 24h; "": the server's default.
func (c *Client) RotateTrigger(ctx context.Context, ref string, secret Secret, keep string, version int64) (TriggerSecret, error) {
	body := struct {
		Secret string `json:"secret,omitempty"`
		Keep   string `json:"keep,omitempty"`
	}{string(secret.Reveal()), keep}
	var out TriggerSecret
	err := c.send(ctx, match(http.MethodPost, version, "v1", "triggers", segment(ref), "rotate").json(body), &out)
	return out, err
}
