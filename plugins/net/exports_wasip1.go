package main

import "opsconductor.dev/sdk/go/step"

//go:wasmexport tcp
func exportTCP() int32 { return step.Run(TCP) }

//go:wasmexport dns
func exportDNS() int32 { return step.Run(DNS) }
