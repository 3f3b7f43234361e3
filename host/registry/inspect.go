package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/runner/engine"
)

// Findings is what an operator should know of an artifact before activating it.
type Findings struct {
	Digest automation.Digest `json:"digest"`
	Size   int               `json:"size"`
	// HostFunctions that the module imports, and those that the manifest wants but
	// the module never calls.
	HostFunctions []string `json:"host_functions"`
	Unused        []string `json:"unused_host_functions,omitempty"`
	// Imports lists all imports as MODULE NAME.
	Imports        []string `json:"imports"`
	Actions        []string `json:"actions"`
	Functions      int      `json:"functions"`
	CodeBytes      int      `json:"code_bytes"`
	DataBytes      int      `json:"data_bytes"`
	LargestBody    int      `json:"largest_function_bytes"`
	DeepestNesting int      `json:"deepest_nesting"`
	CompileCost    int64    `json:"compile_cost"`
	MemoryBytes    int64    `json:"memory_bytes"` // at the start
	// Compile is how long the compile took; little when it was known already.
	Compile time.Duration `json:"compile_ns"`
}

// Inspect checks an artifact before anything of it is stored or instantiated and
// returns its manifest. Errors are *automation.Error or automation.Errors: all
// faults at once.
func (r *Registry) Inspect(ctx context.Context, wasm []byte) (automation.Manifest, error) {
	m, _, err := r.Examine(ctx, wasm)
	return m, err
}

// Examine is Inspect with findings for operators.
func (r *Registry) Examine(ctx context.Context, wasm []byte) (automation.Manifest, Findings, error) {
	f, c, err := r.verify(wasm)
	if err != nil {
		return automation.Manifest{}, Findings{}, err
	}
	found := r.find(f, c.manifest, wasm)
	began := time.Now()
	m, err := r.engine.Load(ctx, found.Digest, func(context.Context) ([]byte, error) { return wasm, nil })
	if err != nil {
		return automation.Manifest{}, Findings{}, fmt.Errorf("compile the plugin: %w", err)
	}
	m.Release()
	found.Compile = time.Since(began)
	return c.manifest, found, nil
}

// verify carries out every check that needs no compiler.
func (r *Registry) verify(wasm []byte) (*wasmfile.File, checked, error) {
	f, err := wasmfile.Parse(wasm, r.limits)
	if err != nil {
		return nil, checked{}, err
	}
	c, errs := readManifest(f, wasm, r.manifest, r.limits)
	if f.HasStart {
		err := automation.Errorf(automation.CodeBadPlugin, "the module has a start function, which would run before any limit of an action")
		err.Suggestion = "build it as a reactor: Go -buildmode=c-shared, C -mexec-model=reactor, Rust crate-type cdylib"
		errs = append(errs, err)
	}
	errs = append(errs, engine.CheckImports(f)...)
	errs = append(errs, r.checkHostFunctions(f, c)...)
	errs = append(errs, checkExports(f, c)...)
	return f, c, errs.OrNil()
}

// checkHostFunctions holds imported ⊆ wanted ⊆ known.
func (r *Registry) checkHostFunctions(f *wasmfile.File, c checked) automation.Errors {
	var errs automation.Errors
	for i, w := range c.manifest.HostFunctions {
		if !slices.Contains(r.hostFunctions, w.Name) {
			err := automation.Errorf(automation.CodeUnknownName, "this host has no such host function%s", automation.DidYouMean(w.Name, r.hostFunctions))
			err.Pointer = fmt.Sprintf("/host_functions/%d/name", i)
			errs = append(errs, err)
		}
	}
	if c.actions == nil { // no manifest to compare with
		return errs
	}
	for _, name := range imported(f) {
		if !slices.ContainsFunc(c.manifest.HostFunctions, func(w automation.HostFunction) bool { return w.Name == name }) {
			err := automation.Errorf(automation.CodeBadPlugin, "the module imports the host function %q, which its manifest does not list", name)
			err.Pointer = "/host_functions"
			err.Suggestion = "add it to host_functions in the manifest, with the reason why"
			errs = append(errs, err)
		}
	}
	return errs
}

func checkExports(f *wasmfile.File, c checked) automation.Errors {
	var errs automation.Errors
	for i, a := range c.manifest.Actions {
		if a.Scheduler {
			continue
		}
		e, ok := f.Export(a.Name)
		if ok && e.Kind == wasmfile.Func && e.Type.Equal(engine.ActionType()) {
			continue
		}
		what := "the module exports no function with this name"
		if ok {
			what = "the export with this name is not a function that takes nothing and returns an i32"
		}
		err := automation.Errorf(automation.CodeBadPlugin, "%s", what)
		err.Pointer = fmt.Sprintf("/actions/%d/name", i)
		err.Suggestion = "export it, for Go by a comment //go:wasmexport, or take the action out of the manifest"
		errs = append(errs, err)
	}
	return errs
}

// imported returns the host functions that a module imports, by name.
func imported(f *wasmfile.File) []string {
	out := []string{}
	for _, im := range f.Imports {
		if im.Module == engine.UserModule {
			out = append(out, im.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *Registry) find(f *wasmfile.File, m automation.Manifest, wasm []byte) Findings {
	out := Findings{
		Digest: digestOf(wasm), Size: len(wasm), HostFunctions: imported(f), Imports: []string{}, Actions: []string{},
		Functions: f.Functions, CodeBytes: f.CodeBytes, DataBytes: f.DataBytes, LargestBody: f.LargestBody,
		DeepestNesting: f.DeepestNesting, CompileCost: f.CompileCost,
	}
	for _, im := range f.Imports {
		out.Imports = append(out.Imports, im.Module+" "+im.Name)
	}
	for _, w := range m.HostFunctions {
		if !slices.Contains(out.HostFunctions, w.Name) {
			out.Unused = append(out.Unused, w.Name)
		}
	}
	for _, a := range m.Actions {
		out.Actions = append(out.Actions, a.Name)
	}
	for _, mem := range f.Memories {
		out.MemoryBytes += int64(mem.Min) << 16
	}
	return out
}

func digestOf(wasm []byte) automation.Digest {
	sum := sha256.Sum256(wasm)
	return automation.Digest(hex.EncodeToString(sum[:]))
}
