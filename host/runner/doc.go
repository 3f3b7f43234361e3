// Package runner executes attempts: it loads the plugin that a plan pinned,
// checks what it may do, calls its action in a sandbox and turns what happened
// into an outcome.
//
// # Model
//
// A Runner is the worker's executor. For each attempt it makes a session (for
// whom host functions are called) with a broker of its own, which holds the
// plugin's grants as they were when the attempt began, and an instance of the
// plugin, which nobody used before and nobody uses after. What a plugin may do is
// what its manifest wants, its module imports and an operator has granted.
//
// # Outcomes
//
// The host's own record of the attempt decides, not the guest. When a host
// function that acts was cut off after the remote side may have acted, an attempt
// whose effect is once or guarded is unknown, whatever the guest says. An attempt
// that has acted under such an effect is never retryable. Every failure, a panic
// of the host too, is an outcome.
package runner
