package schema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
)

const disk = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"required": ["path"],
	"additionalProperties": false,
	"properties": {
		"path": {"type": "string", "minLength": 1},
		"mode": {"enum": ["fast", "full"]},
		"limit": {"type": "integer", "minimum": 1, "maximum": 100},
		"wait": {"type": "string", "pattern": "^[0-9]+s$", "description": "seconds, like 30s"},
		"tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "uniqueItems": true},
		"who": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}]}
	}
}`

func compile(t *testing.T, raw string) *schema.Schema {
	t.Helper()
	s, err := schema.Compile([]byte(raw))
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	return s
}

func TestValidate(t *testing.T) {
	t.Parallel()
	s := compile(t, disk)
	tests := map[string]struct {
		doc  string
		want automation.Errors
	}{
		"valid": {`{"path": "/var", "limit": 3, "tags": ["a"], "who": {"name": "x"}}`, nil},
		"unknown field": {`{"path": "/var", "limti": 3}`, automation.Errors{{
			Code: "unknown_field", Pointer: "/with/limti", Message: `unknown field "limti"`,
			Allowed: "limit, mode, path, tags, wait, who", Suggestion: `did you mean "limit"?`,
		}}},
		"missing":     {`{}`, automation.Errors{{Code: "missing", Pointer: "/with/path", Message: "path is missing", Suggestion: "add path"}}},
		"wrong type":  {`{"path": 1}`, automation.Errors{{Code: "wrong_type", Pointer: "/with/path", Message: "a value of type number", Allowed: "string"}}},
		"enumeration": {`{"path": "/", "mode": "fats"}`, automation.Errors{{Code: "invalid", Pointer: "/with/mode", Message: "not one of the allowed values", Allowed: "fast, full", Suggestion: `did you mean "fast"?`}}},
		"pattern":     {`{"path": "/", "wait": "s3cret"}`, automation.Errors{{Code: "invalid", Pointer: "/with/wait", Message: "not of the form that the schema asks for", Allowed: "seconds, like 30s"}}},
		"range":       {`{"path": "/", "limit": 101}`, automation.Errors{{Code: "invalid", Pointer: "/with/limit", Message: "too large a number", Allowed: "at most 100"}}},
		"no form fits": {`{"path": "/", "who": 3}`, automation.Errors{{
			Code: "wrong_type", Pointer: "/with/who", Message: "a value of type number", Allowed: "object or string",
		}}},
		"the form of its type": {`{"path": "/", "who": {}}`, automation.Errors{{Code: "missing", Pointer: "/with/who/name", Message: "name is missing", Suggestion: "add name"}}},
		"all at once": {`{"mode": "x", "tags": [1, "a", "a"]}`, automation.Errors{
			{Code: "invalid", Pointer: "/with/mode", Message: "not one of the allowed values", Allowed: "fast, full"},
			{Code: "missing", Pointer: "/with/path", Message: "path is missing", Suggestion: "add path"},
			{Code: "invalid", Pointer: "/with/tags", Message: "an element that is there twice"},
			{Code: "invalid", Pointer: "/with/tags", Message: "more than 2 elements"},
			{Code: "wrong_type", Pointer: "/with/tags/0", Message: "a value of type number", Allowed: "string"},
		}},
		"not JSON":                              {`{`, automation.Errors{{Code: "syntax", Pointer: "/with", Message: "not a JSON document"}}},
		"a number that cannot be computed with": {`{"path": "/", "limit": 1e999999999}`, automation.Errors{{Code: "limit", Pointer: "/with", Message: "a number of more than 400 digits"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.ValidateJSON([]byte(tt.doc), "/with")
			for _, e := range got {
				e.Err = nil
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsNeverHoldTheValue(t *testing.T) {
	t.Parallel()
	s := compile(t, disk)
	for _, doc := range []string{
		`"hunter2"`, `["hunter2"]`, `{"path": ["hunter2"]}`, `{"path": "/", "mode": "hunter2"}`,
		`{"path": "/", "wait": "hunter2"}`, `{"path": "/", "tags": ["hunter2", "hunter2"]}`, `{"path": "/", "who": ["hunter2"]}`,
	} {
		got := s.ValidateJSON([]byte(doc), "")
		if len(got) == 0 || strings.Contains(got.Error(), "hunter2") {
			t.Errorf("errors of %s: got %q, want some without the value", doc, got)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	bomb := `{"$defs": {"d0": {"type": "string"}`
	for _, d := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"} {
		bomb += `, "d` + d + `": {"allOf": [{"$ref": "#/$defs/d` + prev(d) + `"}, {"$ref": "#/$defs/d` + prev(d) + `"}]}`
	}
	bomb += `}, "$ref": "#/$defs/d15"}`
	tests := map[string]struct {
		raw  string
		code automation.Code
	}{
		"not JSON":          {`{`, automation.CodeSyntax},
		"two documents":     {`{} {}`, automation.CodeSyntax},
		"not a schema":      {`{"type": "strng"}`, automation.CodeInvalid},
		"a file":            {`{"$ref": "file:///etc/passwd"}`, automation.CodeInvalid},
		"a relative file":   {`{"$ref": "other.json"}`, automation.CodeInvalid},
		"an address":        {`{"$ref": "http://192.0.2.1/s.json"}`, automation.CodeInvalid},
		"another draft":     {`{"$schema": "http://json-schema.org/draft-07/schema#"}`, automation.CodeInvalid},
		"a huge number":     {`{"minimum": 1e999999999}`, automation.CodeLimit},
		"a bomb":            {bomb, automation.CodeLimit},
		"too many bytes":    {`{"description": "` + strings.Repeat("x", schema.MaxBytes) + `"}`, automation.CodeLimit},
		"a pattern unknown": {`{"pattern": "("}`, automation.CodeInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.Compile([]byte(tt.raw))
			if got := automation.CodeOf(err); got != tt.code {
				t.Errorf("code: got %q (%v), want %q", got, err, tt.code)
			}
		})
	}
}

// TestNoFileIsRead: a reference to a file that is a schema is refused all the same.
func TestNoFileIsRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "s.json")
	if err := os.WriteFile(file, []byte(`{"type": "string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := schema.Compile([]byte(`{"$ref": "file://` + file + `"}`))
	if got := automation.CodeOf(err); got != automation.CodeInvalid {
		t.Errorf("code: got %q (%v), want invalid", got, err)
	}
}

func prev(d string) string {
	if d == "10" {
		return "9"
	}
	return d[:len(d)-1] + string(d[len(d)-1]-1)
}

func TestValidateExcept(t *testing.T) {
	t.Parallel()
	s := compile(t, disk)
	doc, err := schema.Decode([]byte(`{"path": "?", "limit": "?", "mode": "?", "who": {"name": ["?"]}, "tags": ["?", 3], "x": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	unknown := map[string]bool{"/path": true, "/limit": true, "/mode": true, "/tags/0": true, "/who/name/0": true}
	var got []string
	for _, e := range s.ValidateExcept(doc, "", func(p string) bool { return unknown[p] }) {
		got = append(got, string(e.Code)+" "+e.Pointer)
	}
	want := []string{"wrong_type /tags/1", "unknown_field /x"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}
