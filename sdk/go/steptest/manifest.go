package steptest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/sdk/go/step"
)

// Actions maps an action's name to the function that the plugin exports under
// it: typed, as step.Run takes it, or raw, as step.RunRaw does.
type Actions map[string]any

type manifest struct {
	Actions []struct {
		Name      string          `json:"name"`
		Input     json.RawMessage `json:"input"`
		Output    json.RawMessage `json:"output"`
		Scheduler bool            `json:"scheduler"`
	} `json:"actions"`
}

// Manifest checks a plugin's folder: plugin.json has exactly the given actions,
// the _wasip1.go files export exactly these, and the Go types of each typed
// action agree with its input and output schemas: the same properties, all of
// them named, of the same types, and in the output required wherever the field
// is always written. A pointer in the output is left out when it is nil, or null
// where the schema allows that by "type": ["string", "null"]. Actions that the
// scheduler carries out have no function.
func Manifest(t testing.TB, folder string, actions Actions) {
	t.Helper()
	var m manifest
	b, err := os.ReadFile(filepath.Join(folder, "plugin.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("plugin.json: %v", err)
	}
	var listed []string
	for _, a := range m.Actions {
		if a.Scheduler {
			continue
		}
		listed = append(listed, a.Name)
		for _, fault := range checkAction(actions[a.Name], a.Input, a.Output) {
			t.Errorf("action %s: %s", a.Name, fault)
		}
	}
	var given []string
	for name := range actions {
		given = append(given, name)
	}
	same(t, "the test's actions", given, listed)
	same(t, "the exports", exports(t, folder), listed)
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s are %q, plugin.json has %q", what, got, want)
	}
}

func exports(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_wasip1.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^//go:wasmexport (\S+)$`).FindAllSubmatch(b, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names
}

func checkAction(function any, input, output json.RawMessage) []string {
	f := reflect.TypeOf(function)
	if f == nil {
		return []string{"no function for it in the test"}
	}
	if f.Kind() != reflect.Func || f.NumIn() != 2 || f.NumOut() != 2 {
		return []string{fmt.Sprintf("%s is no action", f)}
	}
	if f.In(1) == reflect.TypeFor[step.Raw]() {
		return nil
	}
	return append(check(f.In(1), input, "input", false), check(f.Out(0), output, "output", true)...)
}

type schema struct {
	Type                 any                        `json:"type"`
	Properties           map[string]json.RawMessage `json:"properties"`
	Required             []string                   `json:"required"`
	AdditionalProperties json.RawMessage            `json:"additionalProperties"`
	Items                json.RawMessage            `json:"items"`
}

// nullable returns the type beside null of a schema that allows null.
func (s schema) nullable() (base any, null bool) {
	types, _ := s.Type.([]any)
	if len(types) != 2 || types[1] != "null" {
		return s.Type, false
	}
	return types[0], true
}

func mayBeNull(property json.RawMessage) bool {
	var s schema
	err := json.Unmarshal(property, &s)
	_, null := s.nullable()
	return err == nil && null
}

// check compares a Go type with a schema and returns what differs.
func check(t reflect.Type, raw json.RawMessage, place string, output bool) []string {
	pointer := t.Kind() == reflect.Pointer
	if pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface || t == reflect.TypeFor[step.Raw]() {
		return nil
	}
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return []string{fmt.Sprintf("%s: no schema: %v", place, err)}
	}
	want := jsonType(t)
	if base, null := s.nullable(); pointer && null {
		s.Type = base
	}
	if s.Type != want {
		return []string{fmt.Sprintf("%s: the schema says type %v, the Go type %s is %s", place, s.Type, t, want)}
	}
	switch t.Kind() {
	case reflect.Struct:
		return checkStruct(t, s, place, output)
	case reflect.Slice:
		if want == "array" {
			return check(t.Elem(), s.Items, place+"[]", output)
		}
	case reflect.Map:
		return check(t.Elem(), s.AdditionalProperties, place+".*", output)
	default:
	}
	return nil
}

func jsonType(t reflect.Type) string {
	switch k := t.Kind(); {
	case k == reflect.Slice && t.Elem().Kind() == reflect.Uint8, k == reflect.String:
		return "string"
	case k == reflect.Slice:
		return "array"
	case k == reflect.Bool:
		return "boolean"
	case k >= reflect.Int && k <= reflect.Uint64:
		return "integer"
	case k == reflect.Float32, k == reflect.Float64:
		return "number"
	case k == reflect.Struct, k == reflect.Map:
		return "object"
	}
	return "not for JSON"
}

func checkStruct(t reflect.Type, s schema, place string, output bool) []string {
	var faults []string
	if string(s.AdditionalProperties) != "false" {
		faults = append(faults, place+": additionalProperties must be false")
	}
	fields := map[string]bool{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		fields[name] = true
		property, ok := s.Properties[name]
		if !ok {
			faults = append(faults, fmt.Sprintf("%s: the schema has no %q, which %s.%s is", place, name, t, f.Name))
			continue
		}
		faults = append(faults, check(f.Type, property, place+"."+name, output)...)
		always := options != "omitempty"
		if output && always != slices.Contains(s.Required, name) {
			faults = append(faults, fmt.Sprintf("%s.%s: always written is %v, required in the schema is %v", place, name, always, !always))
		}
		if output && always && f.Type.Kind() == reflect.Pointer && !mayBeNull(property) {
			faults = append(faults, fmt.Sprintf("%s.%s: a pointer that may be null needs omitempty, or a schema that allows null", place, name))
		}
	}
	for name := range s.Properties {
		if !fields[name] {
			faults = append(faults, fmt.Sprintf("%s: no field of %s is %q", place, t, name))
		}
	}
	return faults
}
