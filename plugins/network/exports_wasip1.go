package main

import "opsconductor.dev/sdk/go/step"

//go:wasmexport show
func exportShow() int32 { return step.Run(Show) }

//go:wasmexport configure
func exportConfigure() int32 { return step.Run(Configure) }

//go:wasmexport facts
func exportFacts() int32 { return step.Run(Facts) }
