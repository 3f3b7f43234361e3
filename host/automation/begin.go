package automation

// Begin is what a run begins with beside its plan.
type Begin struct {
	// Kept are the items whose outcomes a rerun takes over from the run before, by
	// step and item.
	Kept []KeptItem `json:"kept,omitempty"`
}

// KeptItem is an item that succeeded in the run before and is not run again.
type KeptItem struct {
	Step    int      `json:"s"`
	Item    int      `json:"i"`
	Attempt int      `json:"n"` // the number of the attempt that succeeded
	Outcome *Outcome `json:"o"`
}
