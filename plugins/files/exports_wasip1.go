package main

import "opsconductor.dev/sdk/go/step"

//go:wasmexport put
func exportPut() int32 { return step.Run(Put) }

//go:wasmexport get
func exportGet() int32 { return step.Run(Get) }

//go:wasmexport stat
func exportStat() int32 { return step.Run(Stat) }

//go:wasmexport list
func exportList() int32 { return step.Run(List) }

//go:wasmexport folder
func exportFolder() int32 { return step.Run(Folder) }

//go:wasmexport remove
func exportRemove() int32 { return step.Run(Remove) }

//go:wasmexport mode
func exportMode() int32 { return step.Run(Mode) }
