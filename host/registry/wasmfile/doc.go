// Package wasmfile reads WebAssembly core binaries (WebAssembly Core
// Specification 2.0, section 5) without running or compiling them: what they
// import, export and declare, and how large their parts are. Everything that it
// reads is bounded by Limits, and nothing that it allocates is larger than a
// small multiple of the input.
//
// It checks shape, not validity: types are not checked, that is the engine's
// part. It also rewrites: custom sections, data segments, and, by Instrument, what
// a module needs so that its execution can be metered, stopped anywhere, and put
// back.
package wasmfile
