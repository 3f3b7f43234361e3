package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/schemas"
)

// Section is the name of the custom section that holds the manifest.
const Section = "opsconductor.plugin"

const maxTimeout = 24 * time.Hour

// ReadManifest returns the manifest that a module carries, checked against its
// schema and its own rules, but not against the module. Errors are those of
// Inspect.
func ReadManifest(wasm []byte) (automation.Manifest, error) {
	f, err := wasmfile.Parse(wasm, wasmfile.DefaultLimits())
	if err != nil {
		return automation.Manifest{}, err
	}
	s, err := manifestSchema()
	if err != nil {
		return automation.Manifest{}, err
	}
	a, errs := readManifest(f, wasm, s, wasmfile.DefaultLimits())
	return a.manifest, errs.OrNil()
}

// Embed returns a copy of a module that carries a manifest, in place of the one
// it may have. The manifest is checked as ReadManifest does.
func Embed(wasm, manifest []byte) ([]byte, error) {
	f, err := wasmfile.Parse(wasm, wasmfile.DefaultLimits())
	if err != nil {
		return nil, err
	}
	s, err := manifestSchema()
	if err != nil {
		return nil, err
	}
	if _, errs := decodeManifest(manifest, s, wasmfile.DefaultLimits().CustomBytes); len(errs) > 0 {
		return nil, errs
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, manifest); err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	return f.SetCustom(wasm, Section, compact.Bytes()), nil
}

func manifestSchema() (*schema.Schema, error) {
	raw, err := schemas.Files.ReadFile("plugin.schema.json")
	if err != nil {
		return nil, fmt.Errorf("read the manifest's schema: %w", err)
	}
	s, err := schema.Compile(raw)
	if err != nil {
		return nil, fmt.Errorf("compile the manifest's schema: %w", err)
	}
	return s, nil
}

// checked is a manifest with what its checks made of it.
type checked struct {
	manifest automation.Manifest
	actions  map[string]*Action
}

func readManifest(f *wasmfile.File, wasm []byte, s *schema.Schema, l wasmfile.Limits) (checked, automation.Errors) {
	found := f.Custom(wasm, Section)
	if len(found) != 1 {
		err := automation.Errorf(automation.CodeBadPlugin, "the module has %d custom sections %q, it needs exactly one", len(found), Section)
		err.Suggestion = "put the manifest in with opsconductor plugin build"
		return checked{}, automation.Errors{err}
	}
	return decodeManifest(found[0], s, l.CustomBytes)
}

// decodeManifest reads a manifest of at most so many bytes.
func decodeManifest(raw []byte, s *schema.Schema, limit int) (checked, automation.Errors) {
	if len(raw) > limit {
		return checked{}, automation.Errors{automation.Errorf(automation.CodeBadPlugin, "the manifest has %d bytes, more than the limit of %d", len(raw), limit)}
	}
	if errs := s.ValidateJSON(raw, ""); len(errs) > 0 {
		return checked{}, errs
	}
	var doc struct {
		Schema string `json:"$schema"`
		automation.Manifest
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return checked{}, automation.Errors{automation.Errorf(automation.CodeSyntax, "the manifest is not JSON as it should be: %w", err)}
	}
	c := checked{manifest: doc.Manifest, actions: map[string]*Action{}}
	return c, c.check()
}

// check holds a manifest against the rules that a schema can't state.
func (c *checked) check() automation.Errors {
	var errs automation.Errors
	put := func(at, suggestion, format string, args ...any) {
		err := automation.Errorf(automation.CodeInvalid, format, args...)
		err.Pointer, err.Suggestion = at, suggestion
		errs = append(errs, err)
	}
	if c.manifest.Name == automation.WorkflowPlugin {
		put("/name", "give it another name", "the name is taken: in a step's uses it means a stored workflow")
	}
	seen := map[string]bool{}
	for i, f := range c.manifest.HostFunctions {
		if seen[f.Name] {
			put(fmt.Sprintf("/host_functions/%d/name", i), "list it once", "the host function is listed twice")
		}
		seen[f.Name] = true
	}
	for i, a := range c.manifest.Actions {
		at := fmt.Sprintf("/actions/%d", i)
		if c.actions[a.Name] != nil {
			put(at+"/name", "give it another name", "an action before has the same name")
			continue
		}
		if a.Scheduler && c.manifest.Name != "core" {
			put(at+"/scheduler", "leave it out", "only the plugin core has actions that the scheduler carries out")
		}
		compiled := &Action{Action: a}
		if a.Timeout != "" {
			d, err := time.ParseDuration(a.Timeout)
			if err != nil || d <= 0 || d > maxTimeout {
				put(at+"/timeout", "use a duration like 30s, at most 24h", "the timeout is not a duration that can be used")
			}
			compiled.Timeout = d
		}
		compiled.Input = compileSchema(&errs, at+"/input", a.Input)
		compiled.Output = compileSchema(&errs, at+"/output", a.Output)
		c.actions[a.Name] = compiled
	}
	return errs
}

func compileSchema(errs *automation.Errors, at string, raw json.RawMessage) *schema.Schema {
	s, err := schema.Compile(raw)
	if err != nil {
		e := *automation.AsError(err)
		e.Pointer = at + e.Pointer
		*errs = append(*errs, &e)
	}
	return s
}
