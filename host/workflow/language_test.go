package workflow_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow"
	"opsconductor.dev/schemas"
)

// full uses every field of the language.
const full = `{
	"schema": "opsconductor/v1", "name": "full", "description": "d",
	"inputs": {"x": {"type": "integer", "default": 1, "required": false, "enum": [1, 2], "description": "d"}},
	"targets": {"select": "true"},
	"limits": {"max_targets": 10, "timeout": "1h", "stop_if_failed": "10%"},
	"steps": [
		{"id": "z", "uses": "core.noop"},
		{"id": "a", "name": "n", "uses": "linux.disk@1", "with": {"path": "/"}, "needs": ["z"], "needs_policy": "any", "if": "true",
			"on_failure": "continue", "for_each": {"in": "targets", "max_parallel": 2, "batches": [1, "10%", "100%"]},
			"retry": {"max_attempts": 2, "if": "attempt < 2", "backoff": {"initial": "1s", "factor": 2, "max": "1m", "jitter": "full"}},
			"timeout": "1m", "item_timeout": "2m", "step_timeout": "3m", "effect": "pure"}
	]
}`

// languageSchema is the published schema, apart from Build.
func languageSchema(t *testing.T) *schema.Schema {
	t.Helper()
	raw, err := schemas.Files.ReadFile("workflow.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Compile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemaAndBuildAgree(t *testing.T) {
	t.Parallel()
	s := languageSchema(t)
	if errs := s.ValidateJSON([]byte(full), ""); errs != nil {
		t.Errorf("schema: got %v, want no errors", errs)
	}
	build(t, full)
	// In each object of the definition that has a form, a field too many and,
	// where the schema needs it, a field too few.
	for _, path := range [][]any{
		{},
		{"inputs", "x"},
		{"targets"},
		{"limits"},
		{"steps", 1},
		{"steps", 1, "for_each"},
		{"steps", 1, "retry"},
		{"steps", 1, "retry", "backoff"},
	} {
		object := at(t, full, path)
		for _, name := range append(slices.Sorted(maps.Keys(object)), "") {
			changed, pointer := change(t, path, name)
			inSchema := codes(s.ValidateJSON(changed, ""))
			_, err := workflow.Build(request(string(changed)))
			errs, _ := err.(automation.Errors) //nolint:errorlint // Build returns it as it is
			inBuild := codes(errs)
			for e := range inSchema {
				if !inBuild[e] {
					t.Errorf("change at %s: schema says %s, build %v", pointer, e, inBuild)
				}
			}
			if name == "" && !inSchema["unknown_field "+pointer] {
				t.Errorf("unknown field at %s: schema says %v", pointer, inSchema)
			}
		}
	}
}

func codes(errs automation.Errors) map[string]bool {
	out := map[string]bool{}
	for _, e := range errs {
		out[string(e.Code)+" "+e.Pointer] = true
	}
	return out
}

func at(t *testing.T, doc string, path []any) map[string]any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		t.Fatal(err)
	}
	object, ok := walk(v, path).(map[string]any)
	if !ok {
		t.Fatalf("no object at %v", path)
	}
	return object
}

func walk(v any, path []any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

// change returns the full definition without a field, or, for "", with one too many.
func change(t *testing.T, path []any, name string) ([]byte, string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(full), &v); err != nil {
		t.Fatal(err)
	}
	object, _ := walk(v, path).(map[string]any)
	pointer := ""
	for _, p := range path {
		pointer += fmt.Sprintf("/%v", p)
	}
	if name == "" {
		object["colour"] = 1
		pointer += "/colour"
	} else {
		delete(object, name)
		pointer += "/" + name
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw, pointer
}

func TestExamplesFitTheSchema(t *testing.T) {
	t.Parallel()
	s := languageSchema(t)
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".plan.json") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if errs := s.ValidateJSON(raw, ""); errs != nil {
			t.Errorf("%s: got %v, want no errors", file, errs)
		}
	}
}

// TestYAMLAndJSON builds the same plan from both forms.
func TestYAMLAndJSON(t *testing.T) {
	t.Parallel()
	yaml := `
schema: opsconductor/v1
name: full
description: d
inputs: {x: {type: integer, default: 0x1, required: false, enum: [1, 2], description: d}}
targets: &t {select: "true"}
limits:
  max_targets: 10
  timeout: 1h
  stop_if_failed: 10%
steps:
- id: z
  uses: core.noop
- id: a
  name: "n"
  uses: 'linux.disk@1'
  with: {path: /}
  needs: [z]
  needs_policy: any
  if: "true"
  on_failure: continue
  for_each: {in: targets, max_parallel: 2, batches: [1, 10%, 100%]}
  retry: {max_attempts: 2, if: attempt < 2, backoff: {initial: 1s, factor: 2, max: 1m, jitter: full}}
  timeout: 1m
  item_timeout: 2m
  step_timeout: 3m
  effect: pure
`
	if got, want := build(t, yaml).Hash(), build(t, full).Hash(); got != want {
		t.Errorf("hash: got %s, want %s", got, want)
	}
}
