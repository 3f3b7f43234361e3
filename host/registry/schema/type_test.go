package schema_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/registry/schema"
)

func TestType(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`true`:                            `{"kind":"any"}`,
		`{"type": "integer"}`:             `{"kind":"integer"}`,
		`{"type": ["integer", "number"]}`: `{"kind":"number"}`,
		`{"type": ["string", "null"]}`:    `{"kind":"any"}`,
		`{"enum": ["a", "b"]}`:            `{"kind":"string"}`,
		`{"enum": ["a", 1]}`:              `{"kind":"any"}`,
		`{"const": 1.5}`:                  `{"kind":"number"}`,
		`{"type": "array"}`:               `{"kind":"list"}`,
		`{"type": "array", "items": {"type": "string"}}`:                            `{"kind":"list","elem":{"kind":"string"}}`,
		`{"type": "object"}`:                                                        `{"kind":"map"}`,
		`{"type": "object", "additionalProperties": {"type": "string"}}`:            `{"kind":"map","elem":{"kind":"string"}}`,
		`{"type": "object", "properties": {"a": {"type": "string"}}}`:               `{"kind":"object","fields":{"a":{"kind":"string"}}}`,
		`{"properties": {"a": {}}, "additionalProperties": false}`:                  `{"kind":"object","fields":{"a":{"kind":"any"}}}`,
		`{"type": "object", "properties": {"a": {}}, "additionalProperties": true}`: `{"kind":"map"}`,
		`{"$ref": "#/$defs/x", "$defs": {"x": {"type": "boolean"}}}`:                `{"kind":"boolean"}`,
		`{"allOf": [{"type": "null"}]}`:                                             `{"kind":"null"}`,
		`{"anyOf": [{"type": "null"}, {"type": "string"}]}`:                         `{"kind":"any"}`,
	}
	for raw, want := range tests {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(compile(t, raw).Type())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("type (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTypeOfRecursion: a schema that refers to itself has a type with an end.
func TestTypeOfRecursion(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"type": "object", "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}, "v": {"type": "string"}}}`)
	raw, err := json.Marshal(s.Type())
	if err != nil || len(raw) > 1<<20 {
		t.Errorf("type: got %d bytes (%v), want at most a megabyte", len(raw), err)
	}
	if k := s.Type().At("/l/r/l/v").KindOf(); k != schema.KindString {
		t.Errorf("kind: got %s, want string", k)
	}
}

func TestAccepts(t *testing.T) {
	t.Parallel()
	typ := func(k schema.Kind) *schema.Type { return &schema.Type{Kind: k} }
	tests := []struct {
		want, got *schema.Type
		ok        bool
	}{
		{nil, typ("string"), true},
		{typ("string"), nil, true},
		{typ("string"), typ("integer"), false},
		{typ("number"), typ("integer"), true},
		{typ("integer"), typ("number"), true},
		{typ("map"), typ("object"), true},
		{typ("list"), typ("object"), false},
		{&schema.Type{Kind: "list", Elem: typ("string")}, &schema.Type{Kind: "list", Elem: typ("integer")}, false},
		{&schema.Type{Kind: "list", Elem: typ("string")}, typ("list"), true},
	}
	for i, tt := range tests {
		if got := tt.want.Accepts(tt.got); got != tt.ok {
			t.Errorf("row %d: got %t, want %t", i, got, tt.ok)
		}
	}
}
