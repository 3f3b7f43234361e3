// Package engine runs plugins in a WebAssembly sandbox. It is the only room that
// imports extism and wazero.
//
// # Model
//
// An Engine keeps compiled modules by the digest of their artifact. A Module is a
// reference to one of them: while somebody holds it, it is not closed, whatever
// leaves the cache. An Instance is a fresh sandbox of a module for one attempt:
// memory of its own, no files, no environment, no arguments, no network, the
// system's clocks, crypto/rand, a sleep that the context ends, and the host
// functions that its Config carries. Limits bound it; each has a code of its own.
//
// # Failures
//
// A Call ends with its context: the engine asks the guest to stop, and when it
// does not (a chain of calls without a loop is never asked), the call is
// abandoned: the caller gets its error, the goroutine stays until the guest
// returns, its instance is not closed before, and the module takes no new
// instance meanwhile. Stats counts these.
//
// Errors are *automation.Error: timeout, cancelled, plugin_crashed,
// memory_limit, input_limit, output_limit, host_call_limit, bad_plugin,
// unavailable, internal.
package engine
