package main

import "opsconductor.dev/sdk/go/step"

//go:wasmexport seen
func exportSeen() int32 { return step.Run(Seen) }

//go:wasmexport end
func exportEnd() int32 { return step.Run(End) }

//go:wasmexport echo
func exportEcho() int32 { return step.Run(Echo) }
