package client

import (
	"context"
	"time"
)

// Reason is what a number of items of a step wait for.
type Reason struct {
	Kind   string       `json:"kind"`
	Step   string       `json:"step"`
	Text   string       `json:"text"` // in a sentence
	Limit  *ReasonLimit `json:"limit,omitempty"`
	Window string       `json:"window,omitempty"`
	Queue  string       `json:"queue,omitempty"`
	Needs  []string     `json:"needs,omitempty"`
	Until  time.Time    `json:"until,omitzero"`
	Count  int          `json:"count"`
	Items  []int        `json:"items,omitempty"` // indexes of the first of them
}

// ReasonLimit is a limit that has no room.
type ReasonLimit struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
	Used  int    `json:"used"`
	Max   int    `json:"max"`
}

// Why says what the items of a run that have not ended wait for.
func (c *Client) Why(ctx context.Context, id RunID) ([]Reason, error) {
	var out struct {
		Items []Reason `json:"items"`
	}
	err := c.send(ctx, get("v1", "runs", segment(string(id)), "why"), &out)
	return out.Items, err
}
