// Package step is what a plugin in Go is written with. An action is a function
// from a typed input to a typed output or an error, and one export:
//
//	//go:wasmexport greet
//	func exportGreet() int32 { return step.Run(Greet) }
//
//	func Greet(c *step.Context, in GreetInput) (GreetOutput, error) { … }
//
// The exports stand in a file whose name ends in _wasip1.go, so that the plugin
// also builds natively, where package steptest runs its actions against fake
// host functions. docs/plugins.md goes through it from an empty folder.
//
// Host functions are methods of Context: SSHExec, ProbeTCP and so on. Only those
// that a plugin calls become imports of its module, and the manifest has to list
// exactly these.
//
// The package keeps clear of fmt, os, time and encoding/json, which would add
// more than a megabyte to every module; a plugin may import them all the same.
//
// A module runs one action at a time; nothing here is for concurrent use.
package step
