package hostfunctest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/schemas"
)

// schema is as much of JSON Schema as the host functions' schemas use.
type schema struct {
	Ref         string            `json:"$ref"`
	Title       string            `json:"title"`
	Acts        *bool             `json:"x-acts"`
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Encoding    string            `json:"contentEncoding"`
	Properties  map[string]schema `json:"properties"`
	Required    []string          `json:"required"`
	Items       *schema           `json:"items"`
	Additional  json.RawMessage   `json:"additionalProperties"`
	Defs        map[string]schema `json:"$defs"`
}

// CheckSchema checks that a function's request and result types and its schema in
// schemas/hostfuncs have the same members, of the same types, required alike.
func CheckSchema(t *testing.T, f hostfuncs.Func) {
	t.Helper()
	b, err := schemas.Files.ReadFile("hostfuncs/" + f.Name + ".json")
	if err != nil {
		t.Errorf("%s has no schema: %v", f.Name, err)
		return
	}
	var doc schema
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Errorf("%s: %v", f.Name, err)
		return
	}
	if doc.Title != f.Name || doc.Acts == nil || *doc.Acts != f.Acts {
		t.Errorf("%s: the schema's title is %q and its x-acts not %t", f.Name, doc.Title, f.Acts)
	}
	request, result := f.Types()
	for _, fault := range slices.Concat(
		compare(doc, doc.Defs["request"], reflect.TypeOf(request), "request"),
		compare(doc, doc.Defs["result"], reflect.TypeOf(result), "result"),
	) {
		t.Errorf("%s: %s", f.Name, fault)
	}
}

// compare returns where a schema and a Go type differ.
func compare(doc, s schema, t reflect.Type, at string) []string {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		s = doc.Defs[name]
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if want := typeName(t); s.Type != want || (s.Encoding == "base64") != isBytes(t) {
		return []string{fmt.Sprintf("%s is %s %s in the schema and %s in Go", at, s.Type, s.Encoding, t)}
	}
	switch {
	case s.Type == "array":
		return compare(doc, *s.Items, t.Elem(), at+"[]")
	case t.Kind() == reflect.Struct:
		return compareStruct(doc, s, t, at)
	case t.Kind() == reflect.Map:
		var values schema
		if err := json.Unmarshal(s.Additional, &values); err != nil {
			return []string{at + ": additionalProperties is not the schema of the values"}
		}
		return compare(doc, values, t.Elem(), at+"{}")
	}
	return nil
}

func compareStruct(doc, s schema, t reflect.Type, at string) []string {
	var faults []string
	if string(s.Additional) != "false" {
		faults = append(faults, at+": additionalProperties is not false")
	}
	seen := map[string]bool{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		seen[name] = true
		prop, ok := s.Properties[name]
		if !ok {
			faults = append(faults, at+"."+name+" is not in the schema")
			continue
		}
		if prop.Ref == "" && prop.Description == "" {
			faults = append(faults, at+"."+name+" has no description")
		}
		if optional := strings.Contains(options, "omitempty"); optional == slices.Contains(s.Required, name) {
			faults = append(faults, fmt.Sprintf("%s.%s: optional in Go is %t, and required in the schema too", at, name, optional))
		}
		faults = append(faults, compare(doc, prop, field.Type, at+"."+name)...)
	}
	for name := range s.Properties {
		if !seen[name] {
			faults = append(faults, at+"."+name+" is not in the Go type")
		}
	}
	return faults
}

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

func typeName(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the rest has no place in a schema
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64, reflect.Uint32:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice:
		if isBytes(t) {
			return "string"
		}
		return "array"
	}
	return t.String()
}
