// Package registry reads, checks and loads plugins.
//
// # Model
//
// A plugin is one WebAssembly module whose custom section opsconductor.plugin
// holds its manifest. Inspect is the gate: nothing that has not passed it is
// stored, and Load puts an artifact through the same checks again, because what
// comes out of a database is input too. Checks happen before anything of the
// module is instantiated: its shape and bounds (wasmfile), the manifest by its
// schema, imports that the host serves and the manifest names, an export for
// every action, schemas that compile; and at upload that the module compiles.
//
// # Failures
//
// All faults of a plugin are reported at once, with code bad_plugin for the
// module and invalid, missing and so on, with a JSON Pointer, for the manifest.
package registry
