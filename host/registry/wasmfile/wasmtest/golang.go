package wasmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BuildGo builds the Go package in a folder for wasip1 as a c-shared module and
// returns it. Go's build cache makes the second build of a source fast.
func BuildGo(tb testing.TB, folder string) []byte {
	tb.Helper()
	b, err := CompileGo(tb.Context(), folder)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// CompileGo is BuildGo for where there is no test to fail, a sync.OnceValues say.
func CompileGo(ctx context.Context, folder string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "wasmtest")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the guest: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the Go guest in %s: %w\n%s", folder, err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("read the Go guest: %w", err)
	}
	return b, nil
}
