package attack_test

import (
	"os"
	"testing"

	"opsconductor.dev/host/runner/engine"
)

// TestMain lets this program be the sandbox processes that it attacks.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == engine.ChildCommand {
		os.Exit(engine.ServeChild(os.Args[2:]))
	}
	os.Exit(m.Run())
}
