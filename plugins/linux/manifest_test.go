package main_test

import (
	"testing"

	linux "opsconductor.dev/plugins/linux"
	"opsconductor.dev/sdk/go/steptest"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	steptest.Manifest(t, ".", steptest.Actions{"command": linux.Command, "script": linux.Script, "facts": linux.Facts})
}
