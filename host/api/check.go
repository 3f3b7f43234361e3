package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"opsconductor.dev/host/automation"
)

const (
	maxFaults = 100 // a body with more is broken as a whole
	maxDepth  = 32  // of a body's own structure; what stands in free-form values is not counted
)

// checker walks a JSON text beside a schema. It is written for the schemas that
// this package makes: objects with known fields, maps, arrays, strings with
// bounds, integers, booleans and free-form values.
type checker struct {
	schemas huma.Registry
	raw     []byte
	dec     *json.Decoder
	faults  automation.Errors
}

// checkJSON returns every fault of a JSON text against a schema: nil without one.
func checkJSON(schemas huma.Registry, schema *huma.Schema, raw []byte) error {
	c := &checker{schemas: schemas, raw: raw, dec: json.NewDecoder(bytes.NewReader(raw))}
	c.dec.UseNumber()
	if !utf8.Valid(raw) {
		return c.place(&automation.Error{Code: automation.CodeSyntax, Message: "the body is not UTF-8 from here on"}, invalidAt(raw))
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return c.place(&automation.Error{Code: automation.CodeSyntax, Message: "the body is empty", Allowed: "a JSON object"}, 0)
	}
	if err := c.value(schema, "", 0); err != nil {
		return c.syntax(err)
	}
	if rest := bytes.TrimSpace(raw[c.dec.InputOffset():]); len(rest) != 0 {
		return c.place(&automation.Error{Code: automation.CodeSyntax, Message: "there is text after the JSON value"}, c.next())
	}
	return c.faults.OrNil()
}

// value reads one value and reports its faults. Its error is one of syntax.
func (c *checker) value(schema *huma.Schema, at string, depth int) error {
	for schema.Ref != "" {
		schema = c.schemas.SchemaFromRef(schema.Ref)
	}
	start := c.next()
	kind := kindAt(c.raw, start)
	if s := alternative(schema, kind); s != nil {
		schema = s
	}
	switch {
	case depth > maxDepth:
		return fmt.Errorf("more than %d levels", maxDepth)
	case kind == "null" && schema.Nullable, schema.Type == "" && len(schema.OneOf) == 0:
		return c.skip()
	case !fits(schema, kind):
		c.fault(start, &automation.Error{Code: automation.CodeWrongType, Pointer: at, Message: "a " + kind + " stands here", Allowed: wanted(schema)})
		return c.skip()
	case kind == "object":
		return c.object(schema, at, depth)
	case kind == "array":
		return c.array(schema, at, depth)
	}
	return c.scalar(schema, at, start)
}

func (c *checker) object(schema *huma.Schema, at string, depth int) error {
	start := c.next()
	if _, err := c.dec.Token(); err != nil {
		return err //nolint:wrapcheck // syntax says where
	}
	seen := map[string]bool{}
	for c.dec.More() {
		place := c.next()
		token, err := c.dec.Token()
		if err != nil {
			return err //nolint:wrapcheck // syntax says where
		}
		name, ok := token.(string)
		if !ok {
			return fmt.Errorf("a field's name is a string")
		}
		pointer := at + "/" + escape(name)
		if seen[name] {
			c.fault(place, &automation.Error{Code: automation.CodeInvalid, Pointer: pointer, Message: "the field stands here twice"})
		}
		seen[name] = true
		if err := c.field(schema, name, pointer, place, depth); err != nil {
			return err
		}
	}
	for _, name := range schema.Required {
		if !seen[name] {
			c.fault(start, &automation.Error{Code: automation.CodeMissing, Pointer: at + "/" + escape(name), Message: "the field is required"})
		}
	}
	_, err := c.dec.Token()
	return err //nolint:wrapcheck // syntax says where
}

// field reads the value of a field: a known one, one of a map, or an unknown one.
func (c *checker) field(schema *huma.Schema, name, pointer string, place, depth int) error {
	if s, ok := schema.Properties[name]; ok {
		return c.value(s, pointer, depth+1)
	}
	switch extra := schema.AdditionalProperties.(type) {
	case *huma.Schema:
		return c.value(extra, pointer, depth+1)
	case bool:
		if extra {
			return c.skip()
		}
	}
	known := slices.Sorted(maps.Keys(schema.Properties))
	c.fault(place, &automation.Error{
		Code: automation.CodeUnknownField, Pointer: pointer, Message: "there is no such field",
		Allowed: strings.Join(known, ", "), Suggestion: automation.DidYouMean(name, known),
	})
	return c.skip()
}

func (c *checker) array(schema *huma.Schema, at string, depth int) error {
	start := c.next()
	if _, err := c.dec.Token(); err != nil {
		return err //nolint:wrapcheck // syntax says where
	}
	n := 0
	for ; c.dec.More(); n++ {
		if err := c.value(schema.Items, at+"/"+strconv.Itoa(n), depth+1); err != nil {
			return err
		}
	}
	if schema.MaxItems != nil && n > *schema.MaxItems {
		c.fault(start, &automation.Error{Code: automation.CodeLimit, Pointer: at, Message: "the list is too long", Allowed: fmt.Sprintf("at most %d entries", *schema.MaxItems)})
	}
	_, err := c.dec.Token()
	return err //nolint:wrapcheck // syntax says where
}

func (c *checker) scalar(schema *huma.Schema, at string, start int) error {
	token, err := c.dec.Token()
	if err != nil {
		return err //nolint:wrapcheck // syntax says where
	}
	var e *automation.Error
	switch v := token.(type) {
	case string:
		e = checkString(schema, v)
	case json.Number:
		e = checkNumber(schema, v)
	}
	if e != nil {
		e.Pointer = at
		c.fault(start, e)
	}
	return nil
}

func checkString(s *huma.Schema, v string) *automation.Error {
	n := utf8.RuneCountInString(v)
	switch {
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, any(v)):
		return &automation.Error{Code: automation.CodeInvalid, Message: "the value is not one of those allowed", Allowed: join(s.Enum)}
	case s.MinLength != nil && n < *s.MinLength:
		return &automation.Error{Code: automation.CodeInvalid, Message: "the text is too short", Allowed: fmt.Sprintf("at least %d characters", *s.MinLength)}
	case s.MaxLength != nil && n > *s.MaxLength:
		return &automation.Error{Code: automation.CodeInvalid, Message: "the text is too long", Allowed: fmt.Sprintf("at most %d characters", *s.MaxLength)}
	}
	return nil
}

func checkNumber(s *huma.Schema, v json.Number) *automation.Error {
	if s.Type == huma.TypeInteger {
		if _, err := v.Int64(); err != nil {
			return &automation.Error{Code: automation.CodeWrongType, Message: "the number is not a whole number that fits", Allowed: "integer"}
		}
	}
	f, err := v.Float64()
	if err != nil || s.Minimum != nil && f < *s.Minimum || s.Maximum != nil && f > *s.Maximum {
		e := &automation.Error{Code: automation.CodeInvalid, Message: "the number is out of bounds"}
		if s.Minimum != nil && s.Maximum != nil {
			e.Allowed = fmt.Sprintf("%v to %v", *s.Minimum, *s.Maximum)
		}
		return e
	}
	return nil
}

// skip reads a value without looking into it.
func (c *checker) skip() error {
	var v json.RawMessage
	return c.dec.Decode(&v) //nolint:wrapcheck // syntax says where
}

func (c *checker) fault(offset int, e *automation.Error) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, c.place(e, offset))
	}
}

func (c *checker) syntax(err error) error {
	offset := int(c.dec.InputOffset())
	var s *json.SyntaxError
	if ok := asSyntax(err, &s); ok {
		offset = max(int(s.Offset)-1, 0)
	}
	return c.place(&automation.Error{Code: automation.CodeSyntax, Message: "the body is not valid JSON from here on", Err: err}, offset)
}

// place sets the line and column (in characters) of a byte offset.
func (c *checker) place(e *automation.Error, offset int) *automation.Error {
	before := c.raw[:min(offset, len(c.raw))]
	e.Line = 1 + bytes.Count(before, []byte{'\n'})
	e.Column = 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return e
}

// next returns the offset of the next value or name.
func (c *checker) next() int {
	i := int(c.dec.InputOffset())
	for i < len(c.raw) && strings.IndexByte(" \t\r\n,:", c.raw[i]) >= 0 {
		i++
	}
	return i
}
