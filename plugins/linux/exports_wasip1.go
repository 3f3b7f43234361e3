package main

import "opsconductor.dev/sdk/go/step"

//go:wasmexport command
func exportCommand() int32 { return step.Run(Command) }

//go:wasmexport script
func exportScript() int32 { return step.Run(Script) }

//go:wasmexport facts
func exportFacts() int32 { return step.Run(Facts) }
