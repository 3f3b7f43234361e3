package engine_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// allGuests is set where a missing toolchain is a failure and not a reason to
// skip: in `make test`, which has installed them.
const allGuests = "OPSCONDUCTOR_ALL_GUESTS"

const root = "../../.."

// The guests in other languages than Go, each built once.
var (
	builtC    = compileOnce("testdata/c/guest.c")
	builtRust = compileOnce("testdata/rust/guest.rs")
	builtAS   = compileOnce("testdata/assemblyscript/guest.ts")
)

func compileOnce(source string) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) { return wasmtest.Compile(context.Background(), root, source) })
}

// languages are the guests that do the same in different languages.
func languages() []string { return []string{"go", "c", "rust", "assemblyscript"} }

// guestIn returns the guest in a language.
func guestIn(tb testing.TB, language string) []byte {
	tb.Helper()
	var b []byte
	var err error
	switch language {
	case "go":
		b, err = built()
	case "c":
		b, err = builtC()
	case "rust":
		b, err = builtRust()
	case "assemblyscript":
		b, err = builtAS()
	}
	if errors.Is(err, wasmtest.ErrNoToolchain) && os.Getenv(allGuests) == "" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// publicGuests are the modules that go-sdk is tested with, by name: written by
// others, in Go, TinyGo, Rust, C and Haskell.
func publicGuests(tb testing.TB) map[string][]byte {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/extism/go-sdk").Output()
	if err != nil {
		tb.Fatalf("find go-sdk: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "wasm", "*.wasm"))
	if err != nil || len(files) < 20 {
		tb.Fatalf("go-sdk's guests: %d, %v", len(files), err)
	}
	guests := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		guests[filepath.Base(f)] = b
	}
	return guests
}
