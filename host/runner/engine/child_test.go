package engine_test

import (
	"os"
	"testing"

	"opsconductor.dev/host/runner/engine"
)

// TestMain lets this program be the sandbox processes of its own tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == engine.ChildCommand {
		os.Exit(engine.ServeChild(os.Args[2:]))
	}
	if len(os.Args) > 1 && beChild(os.Args[1], os.Args[2:]) {
		return
	}
	os.Exit(m.Run())
}
