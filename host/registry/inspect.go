package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/runner/engine"
)

// Findings is what an operator should know of an artifact before activating it.
type Findings = automation.PluginFindings

// Inspect checks an artifact before anything of it is stored or instantiated and
// returns its manifest. Errors are *automation.Error or automation.Errors: all
// faults at once.
func (r *Registry) Inspect(ctx context.Context, wasm []byte) (automation.Manifest, error) {
	m, _, err := r.Examine(ctx, wasm)
	return m, err
}

// Examine is Inspect with findings for operators.
func (r *Registry) Examine(ctx context.Context, wasm []byte) (automation.Manifest, Findings, error) {
	began := time.Now()
	f, c, err := r.verify(wasm)
	if err != nil {
		return automation.Manifest{}, Findings{}, err
	}
	found := find(f, c.manifest, wasm)
	if err := r.Compile(ctx, wasm); err != nil {
		return automation.Manifest{}, Findings{}, err
	}
	found.VetMillis = time.Since(began).Milliseconds()
	return c.manifest, found, nil
}

// Manifest carries out every check that needs no compiler, and returns the manifest.
func (r *Registry) Manifest(wasm []byte) (automation.Manifest, error) {
	_, c, err := r.verify(wasm)
	return c.manifest, err
}

// Compile compiles an artifact, so that its code is in the cache on disk before an
// attempt asks for it. An attempt that comes meanwhile waits for the same compile.
func (r *Registry) Compile(ctx context.Context, wasm []byte) error {
	m, err := r.engine.Load(ctx, digestOf(wasm), func(context.Context) ([]byte, error) { return wasm, nil })
	if err != nil {
		return fmt.Errorf("compile the plugin: %w", err)
	}
	m.Release()
	return nil
}

// Find carries out every check that needs no compiler, and says what was found.
func (r *Registry) Find(wasm []byte) (Findings, error) {
	began := time.Now()
	f, c, err := r.verify(wasm)
	if err != nil {
		return Findings{}, err
	}
	found := find(f, c.manifest, wasm)
	found.VetMillis = time.Since(began).Milliseconds()
	return found, nil
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

func find(f *wasmfile.File, m automation.Manifest, wasm []byte) Findings {
	out := Findings{
		Digest: digestOf(wasm), Size: len(wasm), HostFunctions: imported(f), Imports: []string{}, Actions: []string{},
		Sections: f.Sections(), Functions: f.Functions, CodeBytes: f.CodeBytes, DataBytes: f.DataBytes, LargestBody: f.LargestBody,
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
	out.Warnings = warnings(f, out)
	return out
}

// warnings are what a module may have and seldom means to.
func warnings(f *wasmfile.File, found Findings) []string {
	var out []string
	if len(found.Unused) > 0 {
		out = append(out, "the manifest wants host functions that the module never calls: "+strings.Join(found.Unused, ", "))
	}
	if f.Lasting {
		out = append(out, "the module changes its tables, so that each attempt needs a sandbox made afresh, which is slower")
	}
	if len(f.Memories) == 0 {
		out = append(out, "the module has no memory")
	}
	return out
}

func digestOf(wasm []byte) automation.Digest {
	sum := sha256.Sum256(wasm)
	return automation.Digest(hex.EncodeToString(sum[:]))
}
