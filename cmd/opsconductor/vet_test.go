package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"opsconductor.dev/host/registry"
)

// TestUploadIsVetted: a plugin of Go's size is vetted in a process of its own, which
// is the program itself, and is active soon after.
func TestUploadIsVetted(t *testing.T) {
	t.Parallel()
	wasm, err := os.ReadFile("../../plugins/dist/net.wasm")
	if err != nil {
		t.Skip("the built-in plugins are not built")
	}
	m, err := registry.ReadManifest(wasm)
	if err != nil {
		t.Fatal(err)
	}
	m.Name = "vetted"
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if wasm, err = registry.Embed(wasm, text); err != nil {
		t.Fatal(err)
	}
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	began := time.Now()
	if got := host.call(t, "plugin", "upload", write(t, string(wasm))); got.code != 0 {
		t.Fatalf("upload: exit code %d:\n%s", got.code, got.err)
	}
	if got := host.call(t, "plugin", "activate", "vetted@"+m.Version); got.code != 0 {
		t.Fatalf("activate: exit code %d:\n%s", got.code, got.err)
	}
	took := time.Since(began)
	t.Logf("from upload to active: %s", took)
	if took > patience {
		t.Errorf("took %s", took)
	}
}
