// Package engine runs plugins in a WebAssembly sandbox. It is the only room that
// imports extism and wazero.
//
// # Model
//
// An Engine keeps compiled modules by the digest of their artifact. A Module is a
// reference to one of them: while somebody holds it, it is not closed, whatever
// leaves the cache. An Instance is a sandbox of a module for one attempt, in which
// nothing is left of any other:
// memory of its own, no files, no environment, no arguments, no network, the
// system's clocks, crypto/rand, a sleep that the context ends, and the host
// functions that its Config carries. Limits bound it; each has a code of its own.
//
// # Two engines
//
// extism is extism/go-sdk as it is, with a fresh sandbox for every attempt: the
// reference. native serves the same guest ABI in Go (arena.go is Extism's memory,
// native_env.go its functions) and takes sandboxes from a pool. The first sandbox
// of a module is initialised as in the reference; if its initialisation had nothing
// to do with the attempt, what its memory and its mutable globals hold then is the
// snapshot. Attempts that begin meanwhile wait for it, for a second at the most. Every
// later sandbox begins there, and is put back there after its
// attempt: on Linux the memory is a private mapping of one sealed file, the kernel
// says which pages the attempt wrote, and these are dropped, or, where most attempts
// write to a page, overwritten with the file's bytes. A sandbox that trapped, was stopped, grew, or changed
// what lies outside memory and globals (a table, a file of WASI's) is thrown away; a
// module whose code can do such things to tables, or that has a start function, gets
// a fresh sandbox for every attempt. What an initialisation drew at random is the
// same in all sandboxes of a module until it leaves the host's memory; random
// numbers drawn later are not.
//
// The engines differ where a guest breaks Extism's rules: the kernel keeps its
// bookkeeping between the blocks, where a guest can read and spoil it; native shows
// zeros there.
//
// # Processes
//
// process is the native engine in child processes of this program (ServeChild), one
// for each module and owner, which have given up all rights but to compute and to
// use one socket before they read the first byte from it: capabilities, descriptors
// and, by Landlock, files and TCP (enclose), then by seccomp every system call that
// Go's runtime does not need to compute (seal). Host functions are carried out in the
// host, as with the other engines. What a process sends is not trusted: limits are
// held on both sides of the socket, and a frame that is out of order ends the process.
// A call that does not stop ends it, too. A process that ends takes the calls in it
// with it, with the code sandbox_crashed; the next call has a new one.
//
// # Failures
//
// A Call ends with its context: the engine asks the guest to stop, and when it
// does not (a chain of calls without a loop is never asked), the call is
// abandoned: the caller gets its error, the goroutine stays until the guest
// returns, its instance is not closed before, and the module takes no new
// instance meanwhile. Stats counts these.
//
// A guest of the native engine counts fuel and the depth of its calls itself, in
// instructions that wasmfile.Instrument put in; it asks the engine for more fuel
// every ten microseconds or so, and that is where it is stopped.
//
// Errors are *automation.Error: timeout, cancelled, plugin_crashed, fuel_limit,
// depth_limit, memory_limit, input_limit, output_limit, host_call_limit, bad_plugin,
// unavailable, internal, sandbox_crashed.
package engine
