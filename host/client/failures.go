package client

import "encoding/json"

// Failures is why items of a run failed, the largest group first.
type Failures struct {
	Items []Failure `json:"items"`
	// Total is the number of items that failed, those of groups that were left out
	// (behind the first 100) too.
	Total int   `json:"total"`
	Seq   int64 `json:"seq"`
}

// Failure is items of a step that failed for the same cause.
type Failure struct {
	Step      string       `json:"step"`
	Code      Code         `json:"code"`
	Signature string       `json:"signature"` // what the messages of all have in common
	Count     int          `json:"count"`
	Error     *Error       `json:"error"` // the first item's
	Items     []FailedItem `json:"items"` // the first five
}

// FailedItem names an item that failed.
type FailedItem struct {
	Index   int             `json:"index"`
	Target  string          `json:"target,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`
	State   ItemState       `json:"state"`
	Attempt int             `json:"attempt"`
}
