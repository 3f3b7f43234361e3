package client

import (
	"context"
	"encoding/json"
	"strconv"
)

// ItemRef names an item of a run.
type ItemRef struct {
	Run  RunID
	Step string
	Item int
}

func (r ItemRef) path(what string) []string {
	return []string{"v1", "runs", segment(string(r.Run)), "steps", segment(r.Step), "items", strconv.Itoa(r.Item), what}
}

// Outcome is how an item that ran ended: State succeeded with an Output or
// without, or failed with a Message.
type Outcome struct {
	State   ItemState       `json:"state"`
	Output  json.RawMessage `json:"output,omitempty"`
	Message string          `json:"message,omitempty"`
}

// EventReceipt says what became of an event: it was delivered to items, is kept
// for the first that will wait for it, or is pending.
type EventReceipt struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Items int    `json:"items"`
}

// Approvals lists the decisions that runs have asked for, those of the newest run
// first, of one state or ("") of all.
func (c *Client) Approvals(ctx context.Context, state ApprovalState, page Page) (List[Approval], error) {
	var out List[Approval]
	err := c.send(ctx, get("v1", "approvals").page(page).with("state", string(state)), &out)
	return out, err
}

// Decide approves or rejects what an item asks for, and returns the item as it is
// then: look at its state.
func (c *Client) Decide(ctx context.Context, ref ItemRef, d Decision, reason string) (Item, error) {
	body := struct {
		Decision Decision `json:"decision"`
		Reason   string   `json:"reason,omitempty"`
	}{d, reason}
	var out Item
	err := c.send(ctx, post("", ref.path("decision")...).json(body), &out)
	return out, err
}

// Resolve says what became of an unknown item, and returns the item as it is then:
// look at its state. outcome is of one that ran.
func (c *Client) Resolve(ctx context.Context, ref ItemRef, r Resolution, outcome *Outcome, reason string) (Item, error) {
	if outcome != nil {
		if err := check(nil, outcome.Output); err != nil {
			return Item{}, err
		}
	}
	body := struct {
		Resolution Resolution `json:"resolution"`
		Outcome    *Outcome   `json:"outcome,omitempty"`
		Reason     string     `json:"reason,omitempty"`
	}{r, outcome, reason}
	var out Item
	err := c.send(ctx, post("", ref.path("resolution")...).json(body), &out)
	return out, err
}

// SendEvent sends an event to a run. payload is a JSON object, nil for an empty
// one; key is the Idempotency-Key, "" for one of the call's own.
func (c *Client) SendEvent(ctx context.Context, id RunID, name string, payload json.RawMessage, key string) (EventReceipt, error) {
	if err := check(nil, payload); err != nil {
		return EventReceipt{}, err
	}
	body := struct {
		Name    string          `json:"name"`
		Payload json.RawMessage `json:"payload,omitempty"`
	}{name, payload}
	var out EventReceipt
	err := c.send(ctx, post(key, "v1", "runs", segment(string(id)), "events").json(body), &out)
	return out, err
}
