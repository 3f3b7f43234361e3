package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	build "opsconductor.dev/plugins/build"
	"opsconductor.dev/sdk/artifact"
)

func TestList(t *testing.T) {
	t.Parallel()
	got, err := build.List("..")
	if want := []string{"core", "files", "linux", "net", "network"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := build.List(t.TempDir()); err == nil {
		t.Error("a folder without plugins was accepted")
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSameSourceSameBytes builds a plugin here, and a copy of the sources in
// another folder, in another environment and outside version control.
func TestSameSourceSameBytes(t *testing.T) {
	first, second, copied := t.TempDir(), t.TempDir(), t.TempDir()
	if err := build.All(t.Context(), "..", first, []string{"core"}, 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum", "sdk", "plugins/core"} {
		target := filepath.Join(copied, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "cp", "-r", filepath.Join("..", "..", name), target).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	t.Setenv("GOFLAGS", "-tags=other")
	if err := build.All(t.Context(), filepath.Join(copied, "plugins"), second, []string{"core"}, 1); err != nil {
		t.Fatal(err)
	}
	a, b := read(t, filepath.Join(first, "core.wasm")), read(t, filepath.Join(second, "core.wasm"))
	if !bytes.Equal(a, b) {
		t.Errorf("two builds of one source differ: %d and %d bytes", len(a), len(b))
	}
	manifest, err := artifact.Read(a)
	if err != nil || !json.Valid(manifest) {
		t.Errorf("its manifest: %s, %v", manifest, err)
	}
}

// TestManifestsThatDoNotFit builds plugins whose plugin.json and code differ.
func TestManifestsThatDoNotFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ manifest, want string }{
		"not JSON":              {`{`, "plugin.json"},
		"an action too many":    {`{"actions":[{"name":"noop"},{"name":"gone"}]}`, `the action "gone"`},
		"a host function extra": {`{"actions":[{"name":"noop"}],"host_functions":[{"name":"log"}]}`, "wants the host functions [log] and the module calls []"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := build.Agree(read(t, core(t)), []byte(c.manifest))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func core(t *testing.T) string {
	t.Helper()
	out := t.TempDir()
	if err := build.All(t.Context(), "..", out, []string{"core"}, 1); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(out, "core.wasm")
}

func TestFaultsOfAllPluginsAreReported(t *testing.T) {
	t.Parallel()
	err := build.All(t.Context(), "..", t.TempDir(), []string{"missing", "absent"}, 2)
	if err == nil || !strings.Contains(err.Error(), "missing:") || !strings.Contains(err.Error(), "absent:") {
		t.Errorf("got %v, want both plugins' faults", err)
	}
}

func TestBuildErrorsShowTheCompiler(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	folder := filepath.Join(root, "bad")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"plugin.json": `{}`, "go.mod": "module bad\n", "main.go": "package main\nfunc main() { nothing() }\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := build.All(t.Context(), root, t.TempDir(), []string{"bad"}, 1)
	if err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("got %v, want the compiler's message", err)
	}
}
