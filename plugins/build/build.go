package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"opsconductor.dev/sdk/artifact"
)

// List returns the names of the plugins in a folder, sorted: the folders in it
// that hold a plugin.json.
func List(root string) ([]string, error) {
	manifests, err := filepath.Glob(filepath.Join(root, "*", "plugin.json"))
	if err != nil {
		return nil, err
	}
	if len(manifests) == 0 {
		return nil, fmt.Errorf("%s has no folder with a plugin.json; run it from the root of the repository", root)
	}
	names := make([]string, len(manifests))
	for i, m := range manifests {
		names[i] = filepath.Base(filepath.Dir(m))
	}
	slices.Sort(names)
	return names, nil
}

// All builds plugins, at most parallel at a time, to out/NAME.wasm. The error
// has every plugin's fault.
func All(ctx context.Context, root, out string, names []string, parallel int) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	faults := make([]error, len(names))
	slots := make(chan struct{}, max(1, parallel))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := one(ctx, filepath.Join(root, name), filepath.Join(out, name+".wasm")); err != nil {
				faults[i] = fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(faults...)
}

// one builds the plugin in a folder and writes its artifact, if it changed.
func one(ctx context.Context, folder, file string) error {
	manifest, err := os.ReadFile(filepath.Join(folder, "plugin.json"))
	if err != nil {
		return err
	}
	wasm, err := compile(ctx, folder)
	if err != nil {
		return err
	}
	if err := Agree(wasm, manifest); err != nil {
		return err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, manifest); err != nil {
		return fmt.Errorf("plugin.json: %w", err)
	}
	b, err := artifact.Embed(wasm, compact.Bytes())
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, b) {
		return nil
	}
	return replace(file, b)
}

// replace writes a file whole or not at all.
func replace(file string, b []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), ".building-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(b)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

// compile runs the Go toolchain. What would make two builds of one source differ
// is left out: paths, the state of the repository, the caller's GOFLAGS (an empty
// one would let those of go env -w through).
func compile(ctx context.Context, folder string) ([]byte, error) {
	scratch, err := os.MkdirTemp("", "opsconductor-plugin-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	file := filepath.Join(scratch, "plugin.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w -buildid=", "-o", file, ".")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWASM=", "GOEXPERIMENT=")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, output)
	}
	return os.ReadFile(file)
}

// Agree holds a module to its manifest: the actions are exported, and the host
// functions listed are exactly those that it calls.
func Agree(wasm, manifest []byte) error {
	var m struct {
		HostFunctions []struct {
			Name string `json:"name"`
		} `json:"host_functions"`
		Actions []struct {
			Name      string `json:"name"`
			Scheduler bool   `json:"scheduler"`
		} `json:"actions"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fmt.Errorf("plugin.json: %w", err)
	}
	module, err := artifact.Describe(wasm)
	if err != nil {
		return err
	}
	var faults []error
	for _, a := range m.Actions {
		if !a.Scheduler && !slices.Contains(module.Functions, a.Name) {
			faults = append(faults, fmt.Errorf("plugin.json has the action %q and the module exports no such function; add //go:wasmexport %s", a.Name, a.Name))
		}
	}
	listed := make([]string, len(m.HostFunctions))
	for i, f := range m.HostFunctions {
		listed[i] = f.Name
	}
	slices.Sort(listed)
	if !slices.Equal(listed, module.HostFunctions) {
		faults = append(faults, fmt.Errorf("plugin.json wants the host functions [%s] and the module calls [%s]; list exactly those",
			strings.Join(listed, " "), strings.Join(module.HostFunctions, " ")))
	}
	return errors.Join(faults...)
}
