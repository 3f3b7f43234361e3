package client

import (
	"context"
	"time"
)

// BackfillRequest asks for the runs of a schedule's times from From (included) to
// To (not included).
type BackfillRequest struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Max    int       `json:"max,omitempty"` // 0: 1000
	DryRun bool      `json:"dry_run,omitempty"`
	Again  bool      `json:"again,omitempty"`
}

// BackfillTime is one time of a backfill. Outcome is submitted, fired (it had a
// run), or due (a dry run: it would get one).
type BackfillTime struct {
	At      time.Time `json:"at"`
	Run     RunID     `json:"run_id,omitempty"`
	Outcome string    `json:"outcome"`
}

// Backfill submits the runs of a schedule's times that are over. key is the
// Idempotency-Key, which r.Again needs; "": one is made.
func (c *Client) Backfill(ctx context.Context, ref string, r BackfillRequest, key string) ([]BackfillTime, error) {
	var out struct {
		Items []BackfillTime `json:"items"`
	}
	err := c.send(ctx, post(key, "v1", "schedules", segment(ref), "backfill").json(r), &out)
	return out.Items, err
}
