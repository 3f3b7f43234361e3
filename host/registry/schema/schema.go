package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"opsconductor.dev/host/automation"
)

// The bounds of schemas and of the documents that are validated.
const (
	// MaxBytes is the largest schema that Compile takes.
	MaxBytes = 1 << 20
	// maxPaths bounds how often a schema's parts may be applied to one value.
	maxPaths = 10_000
	// maxNumber bounds the characters of a number, and maxExponent its exponent:
	// numbers are compared exactly, so a huge exponent would cost memory.
	maxNumber   = 400
	maxExponent = 400
)

const (
	draft    = "https://json-schema.org/draft/2020-12/schema"
	resource = "opsconductor:///schema.json"
)

// Schema is a compiled JSON Schema. It is immutable and safe for concurrent use.
type Schema struct {
	root *jsonschema.Schema
	// at finds a part of the schema by its absolute location.
	at map[string]*jsonschema.Schema
}

// Compile compiles a schema of draft 2020-12. nil stands for the schema that
// allows everything. Formats are checked, references outside the schema refused.
// The error is an *automation.Error with code invalid or syntax.
func Compile(raw json.RawMessage) (*Schema, error) {
	if len(raw) == 0 {
		raw = json.RawMessage("true")
	}
	if len(raw) > MaxBytes {
		return nil, automation.Errorf(automation.CodeLimit, "a JSON Schema of more than %d bytes", MaxBytes)
	}
	doc, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	if err := checkDialect(doc); err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(refuse{})
	if err := c.AddResource(resource, doc); err != nil {
		return nil, compileError(err)
	}
	root, err := c.Compile(resource)
	if err != nil {
		return nil, compileError(err)
	}
	s := &Schema{root: root, at: map[string]*jsonschema.Schema{}}
	s.index(root)
	if paths(root, map[*jsonschema.Schema]int{}) > maxPaths {
		return nil, automation.Errorf(automation.CodeLimit, "a JSON Schema whose parts apply more than %d times to one value", maxPaths)
	}
	return s, nil
}

// Decode decodes one JSON document for Validate: numbers stay exact
// (json.Number), and numbers too large to compute with are refused. The error is
// an *automation.Error with code syntax or limit.
func Decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return nil, &automation.Error{Code: automation.CodeSyntax, Message: "not a JSON document", Err: err}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &automation.Error{Code: automation.CodeSyntax, Message: "more than one JSON document"}
	}
	if err := checkNumbers(doc); err != nil {
		return nil, err
	}
	return doc, nil
}

// refuse is the loader of references that leave the schema.
type refuse struct{}

func (refuse) Load(string) (any, error) {
	return nil, errors.New("a schema may refer to its own parts alone")
}

func checkDialect(doc any) error {
	m, ok := doc.(map[string]any)
	if !ok {
		return nil
	}
	switch v := m["$schema"].(type) {
	case nil:
		return nil
	case string:
		if strings.TrimSuffix(v, "#") == draft {
			return nil
		}
	}
	return &automation.Error{
		Code: automation.CodeInvalid, Message: "a JSON Schema of another draft",
		Pointer: "/$schema", Allowed: draft,
	}
}

func compileError(err error) error {
	e := &automation.Error{Code: automation.CodeInvalid, Message: "not a JSON Schema that this host can use", Err: err}
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		var v *jsonschema.ValidationError
		if errors.As(invalid.Err, &v) {
			leaf := deepest(v)
			e.Pointer = pointer("", leaf.InstanceLocation)
		}
	}
	var loading *jsonschema.LoadURLError
	if errors.As(err, &loading) {
		e.Message = "a JSON Schema with a reference that leaves it"
		e.Allowed = "references to its own parts, like #/$defs/name"
	}
	return e
}

func deepest(v *jsonschema.ValidationError) *jsonschema.ValidationError {
	best := v
	for _, c := range v.Causes {
		if d := deepest(c); len(d.InstanceLocation) > len(best.InstanceLocation) {
			best = d
		}
	}
	return best
}

// checkNumbers refuses numbers that are too long, or whose exponent is too large
// to compute with exactly.
func checkNumbers(doc any) error {
	switch v := doc.(type) {
	case json.Number:
		if !boundedNumber(string(v)) {
			return automation.Errorf(automation.CodeLimit, "a number of more than %d digits", maxNumber)
		}
	case []any:
		for _, e := range v {
			if err := checkNumbers(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, e := range v {
			if err := checkNumbers(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func boundedNumber(n string) bool {
	if len(n) > maxNumber {
		return false
	}
	i := strings.IndexAny(n, "eE")
	if i < 0 {
		return true
	}
	exp := 0
	if _, err := fmt.Sscanf(n[i+1:], "%d", &exp); err != nil {
		return false
	}
	return exp <= maxExponent && exp >= -maxExponent
}

// Validate validates a decoded document (see Decode) and returns all its
// faults, each with its JSON Pointer after the prefix at. An empty result means
// that the document is valid.
func (s *Schema) Validate(doc any, at string) automation.Errors {
	return s.ValidateExcept(doc, at, nil)
}

// ValidateJSON decodes and validates a document.
func (s *Schema) ValidateJSON(raw []byte, at string) automation.Errors {
	doc, err := Decode(raw)
	if err != nil {
		e := automation.AsError(err)
		e.Pointer = at
		return automation.Errors{e}
	}
	return s.Validate(doc, at)
}

// ValidateExcept is Validate for a document with values that are not known yet:
// faults at a pointer for which unknown says true, and those that such a value
// below them may have caused, are left out.
func (s *Schema) ValidateExcept(doc any, at string, unknown func(pointer string) bool) automation.Errors {
	err := s.root.Validate(doc)
	if err == nil {
		return nil
	}
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return automation.Errors{{Code: automation.CodeInvalid, Message: "the document cannot be validated", Pointer: at, Err: err}}
	}
	r := report{schema: s, at: at, unknown: unknown, doc: doc}
	r.add(v)
	return r.sorted()
}
