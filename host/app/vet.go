package app

import (
	"context"
	"fmt"
	"os"

	"opsconductor.dev/host/registry"
)

// VettingCommand is the first argument of a program that is to vet a plugin; it then
// gives ServeVetting the arguments after it, before anything else.
const VettingCommand = "vet-plugin"

// ServeVetting is the process in which a host compiles an uploaded plugin for the
// first time, for the engine that the first argument names: it reads the module and
// writes its verdict. It opens nothing of the host's. It returns the exit code.
func ServeVetting(args []string) int {
	if len(args) == 0 {
		return 2
	}
	if err := registry.ServeVetting(context.Background(), args[0], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
