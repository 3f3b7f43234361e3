package engine_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// TestRewrittenIsKept: what a module was rewritten to is written once beside the
// compiled code, for each set of settings; a file that is not as it was written is
// made anew and never run.
func TestRewrittenIsKept(t *testing.T) {
	t.Parallel()
	var b wasmtest.Builder
	b.Memory(4)
	b.Data(0, bytes.Repeat([]byte("x"), 100<<10))
	b.Global(0x7e, wasmtest.I64(1))
	b.Action("run", wasmtest.I32(7)...)
	wasm, dir := b.Bytes(), t.TempDir()
	run := func(memory int64) (log string) {
		t.Helper()
		var said bytes.Buffer
		e := newEngine(t, engine.NameNative, func(s *engine.Settings) {
			s.CacheDir, s.MaxMemoryBytes, s.Log = dir, memory, slog.New(slog.NewTextHandler(&said, nil))
		})
		r, err := call(t.Context(), load(t, e, "kept", wasm), config(), "run", nil)
		if err != nil || r.RC != 7 {
			t.Fatalf("got %d, %v", r.RC, err)
		}
		return said.String()
	}
	files := func(n int) []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, "rewritten", "*"))
		if err != nil || len(found) != n {
			t.Fatalf("kept: got %v, %v, want %d files", found, err, n)
		}
		return found
	}
	const memory = 64 << 20
	run(memory)
	path := files(1)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if log := run(memory); log != "" {
		t.Errorf("the second load says %q", log)
	}
	for _, at := range []int{0, 33, 100, len(whole) / 2, len(whole) - 1} {
		spoilt := bytes.Clone(whole)
		spoilt[at] ^= 1
		checkSpoilt(t, path, whole, spoilt, func() string { return run(memory) })
	}
	for _, n := range []int{0, 20, 36, len(whole) - 1} {
		checkSpoilt(t, path, whole, whole[:n], func() string { return run(memory) })
	}
	run(2 * memory)
	files(2)
}

func checkSpoilt(t *testing.T, path string, whole, spoilt []byte, run func() string) {
	t.Helper()
	if err := os.WriteFile(path, spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	if log := run(); !strings.Contains(log, "spoilt") {
		t.Errorf("a spoilt file of %d bytes: the log has %q", len(spoilt), log)
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("a spoilt file of %d bytes was not made anew: %v", len(spoilt), err)
	}
}

// TestSmallModulesAreNotKept: they are rewritten in no time, and would be many files.
func TestSmallModulesAreNotKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := newEngine(t, engine.NameNative, func(s *engine.Settings) { s.CacheDir = dir })
	load(t, e, "small", hand(0x41, 0))
	if _, err := os.Stat(filepath.Join(dir, "rewritten")); !os.IsNotExist(err) {
		t.Errorf("a small module was kept: %v", err)
	}
}

// TestRewrittenIsBounded: what was used least recently goes when there is no room, and
// what somebody began to write long ago.
func TestRewrittenIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, "rewritten")
	keep := func(fill string) {
		t.Helper()
		var b wasmtest.Builder
		b.Memory(4)
		b.Data(0, bytes.Repeat([]byte(fill), 100<<10))
		b.Action("run", wasmtest.I32(7)...)
		e := newEngine(t, engine.NameNative, func(s *engine.Settings) { s.CacheDir, s.RewrittenBytes = dir, 250<<10 })
		load(t, e, fill, b.Bytes())
	}
	names := func() (out []string) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			out = append(out, entry.Name())
		}
		return out
	}
	age := func(name string, by time.Duration) {
		t.Helper()
		then := time.Now().Add(-by)
		if err := os.Chtimes(filepath.Join(folder, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	keep("a")
	first := names()[0]
	keep("b")
	two := names()
	second := two[0]
	if second == first {
		second = two[1]
	}
	age(first, 3*time.Hour)
	age(second, 2*time.Hour)
	keep("a") // is used again
	for name, old := range map[string]time.Duration{"new-1": 2 * time.Hour, "new-2": 0} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		age(name, old)
	}
	keep("c")
	got := names()
	if len(got) != 3 || !slices.Contains(got, first) || slices.Contains(got, second) || !slices.Contains(got, "new-2") {
		t.Errorf("got %v, want %s, a new one and new-2: %s was used least recently, new-1 is half written and old", got, first, second)
	}
}
