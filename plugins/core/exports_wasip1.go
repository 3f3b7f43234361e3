package main

import "opsconductor.dev/sdk/go/step"

//go:wasmexport noop
func exportNoop() int32 { return step.RunRaw(Noop) }

//go:wasmexport fail
func exportFail() int32 { return step.Run(Fail) }
