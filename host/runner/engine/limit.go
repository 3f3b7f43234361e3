package engine

// limitDepth is the limit of nested calls, Settings.StackBytes.
const limitDepth = "depth"

// limitNames are the limits that end a call, as Error.Limit has them.
func limitNames() []string {
	return []string{"memory_bytes", "input_bytes", "output_bytes", "host_calls", "fuel", "host_call_bytes", "remote_bytes", limitDepth}
}
