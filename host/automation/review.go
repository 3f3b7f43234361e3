package automation

// PluginFindings is what an artifact is, found without running it.
type PluginFindings struct {
	Digest Digest `json:"digest"`
	Size   int    `json:"size"` // bytes
	// HostFunctions that the module imports, and those that the manifest wants but
	// the module never calls.
	HostFunctions []string `json:"host_functions"`
	Unused        []string `json:"unused_host_functions,omitempty"`
	// Imports lists all imports as MODULE NAME.
	Imports        []string `json:"imports"`
	Actions        []string `json:"actions"`
	Sections       int      `json:"sections"`
	Functions      int      `json:"functions"`
	CodeBytes      int      `json:"code_bytes"`
	DataBytes      int      `json:"data_bytes"`
	LargestBody    int      `json:"largest_function_bytes"`
	DeepestNesting int      `json:"deepest_nesting"`
	CompileCost    int64    `json:"compile_cost"`
	MemoryBytes    int64    `json:"memory_bytes"` // at the start
	// VetMillis is how long the checks took; at upload with the compile.
	VetMillis int64 `json:"vet_ms"`
	// Warnings are what is allowed and seldom meant.
	Warnings []string `json:"warnings,omitempty"`
}

// PluginChanges is how a plugin version differs from the one that is active.
type PluginChanges struct {
	// Against is the version that was active last; "" when there is none, and nothing to compare.
	Against string `json:"against,omitempty"`
	// AddedFunctions are host functions that the version wants and the active one
	// does not want, or was not granted; RemovedFunctions those that it wants no more.
	AddedFunctions   []string       `json:"added_host_functions,omitempty"`
	RemovedFunctions []string       `json:"removed_host_functions,omitempty"`
	AddedActions     []string       `json:"added_actions,omitempty"`
	RemovedActions   []string       `json:"removed_actions,omitempty"`
	ChangedActions   []ActionChange `json:"changed_actions,omitempty"`
	// NeedApproval: activating it takes an admin's explicit approval of the changes.
	NeedApproval bool `json:"need_approval"`
}

// ActionChange says what of an action is not as in the version that was active last.
type ActionChange struct {
	Action string   `json:"action"`
	What   []string `json:"what"` // effect, input, output, target or timeout, with the effects before and after
}

// PluginReview is what an operator looks at before a version is activated.
type PluginReview struct {
	Findings PluginFindings `json:"findings"`
	Changes  PluginChanges  `json:"changes"`
}
