package app

import (
	"context"
	"io"

	"opsconductor.dev/host/registry"
)

// VetPlugin is the process in which a host compiles an uploaded plugin for the
// first time, for an engine: it reads the module and writes its verdict. It opens
// nothing of the host's.
func VetPlugin(ctx context.Context, engine string, in io.Reader, out io.Writer) error {
	return registry.ServeVetting(ctx, engine, in, out)
}
