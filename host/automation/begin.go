package automation

import "time"

// Begin is what a run begins with beside its plan.
type Begin struct {
	// Kept are the items whose outcomes a rerun takes over from the run before, by
	// step and item.
	Kept []KeptItem `json:"kept,omitempty"`
	// Scheduled is the time of the schedule that the run was submitted for, without
	// jitter; zero: it is of no schedule.
	Scheduled time.Time `json:"scheduled_at,omitzero"`
}

// KeptItem is an item that succeeded in the run before and is not run again.
type KeptItem struct {
	Step    int      `json:"s"`
	Item    int      `json:"i"`
	Attempt int      `json:"n"` // the number of the attempt that succeeded
	Outcome *Outcome `json:"o"`
}
