package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"opsconductor.dev/host/automation"
)

// LimitKind says by what a limit counts.
type LimitKind = automation.LimitKind

// Limit bounds the attempts that run at the same time, how often they start, or both.
type Limit struct {
	ID      automation.LimitID `json:"id"`
	Kind    LimitKind          `json:"kind"`
	Match   string             `json:"match"` // "": each value that has no limit of its own
	Max     int                `json:"max,omitempty"`
	Rate    *Rate              `json:"rate,omitempty"`
	Created time.Time          `json:"created_at"`
	Updated time.Time          `json:"updated_at"`
	Version int64              `json:"version"`
}

// Rate is how often attempts start.
type Rate struct {
	Count int    `json:"count"`
	Per   string `json:"per"` // a duration like 1m
	Burst int    `json:"burst,omitempty"`
}

// LimitRequest is what is said of a limit; an update says all of it.
type LimitRequest struct {
	Kind  LimitKind `json:"kind"`
	Match string    `json:"match,omitempty"` // of a credential: its name or its identifier
	Max   int       `json:"max,omitempty"`
	Rate  *Rate     `json:"rate,omitempty"`
}

// Limits lists limits, the oldest first.
func (c *Client) Limits(ctx context.Context, page Page) (List[Limit], error) {
	var out List[Limit]
	err := c.send(ctx, get("v1", "limits").page(page), &out)
	return out, err
}

// LimitFor returns the limit of a kind and match; false when there is none.
func (c *Client) LimitFor(ctx context.Context, kind LimitKind, match string) (Limit, bool, error) {
	var out List[Limit]
	r := get("v1", "limits")
	r.query = url.Values{"kind": {string(kind)}, "match": {match}}
	if err := c.send(ctx, r, &out); err != nil || len(out.Items) == 0 {
		return Limit{}, false, err
	}
	return out.Items[0], true, nil
}

// CreateLimit creates a limit. key is the Idempotency-Key; "": one is made.
func (c *Client) CreateLimit(ctx context.Context, r LimitRequest, key string) (Limit, error) {
	var out Limit
	err := c.send(ctx, post(key, "v1", "limits").json(r), &out)
	return out, err
}

// UpdateLimit replaces the bounds of a limit; version is as for UpdateAsset.
func (c *Client) UpdateLimit(ctx context.Context, id automation.LimitID, r LimitRequest, version int64) (Limit, error) {
	var out Limit
	err := c.send(ctx, match(http.MethodPut, version, "v1", "limits", segment(string(id))).json(r), &out)
	return out, err
}

// DeleteLimit deletes a limit; version is as for UpdateAsset.
func (c *Client) DeleteLimit(ctx context.Context, id automation.LimitID, version int64) error {
	return c.send(ctx, match(http.MethodDelete, version, "v1", "limits", segment(string(id))), nil)
}
