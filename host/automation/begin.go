package automation

import (
	"encoding/json"
	"time"
)

// Begin is what a run begins with beside its plan.
type Begin struct {
	// Kept are the items whose outcomes a rerun takes over from the run before, by
	// step and item.
	Kept []KeptItem `json:"kept,omitempty"`
	// Scheduled is the time of the schedule that the run was submitted for, without
	// jitter; zero: it is of no schedule.
	Scheduled time.Time `json:"scheduled_at,omitzero"`
	// Parent is the item that the run carries out, for the run of a sub-workflow; its
	// plan is a template then, and the fields below say the rest.
	Parent *Parent `json:"parent,omitempty"`
	// Inputs is a JSON object, defaults filled in; Target is the item's, for a
	// template that works on it; Timeout bounds the run from its acceptance.
	Inputs  json.RawMessage `json:"inputs,omitempty"`
	Target  *Target         `json:"target,omitempty"`
	Timeout time.Duration   `json:"timeout_ns,omitempty"`
}

// Parent names the item of a run that another run, its child, carries out.
type Parent struct {
	Run     RunID  `json:"run_id"`
	Step    string `json:"step"` // the step's id
	Item    int    `json:"item"`
	Attempt int    `json:"attempt"`
}

// KeptItem is an item that succeeded in the run before and is not run again.
type KeptItem struct {
	Step    int      `json:"s"`
	Item    int      `json:"i"`
	Attempt int      `json:"n"` // the number of the attempt that succeeded
	Outcome *Outcome `json:"o"`
}
