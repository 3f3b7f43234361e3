package schema

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Kind is the kind of a Type.
type Kind string

// The kinds.
const (
	KindAny     Kind = "any" // nothing is known
	KindNull    Kind = "null"
	KindBoolean Kind = "boolean"
	KindInteger Kind = "integer"
	KindNumber  Kind = "number"
	KindString  Kind = "string"
	KindList    Kind = "list"
	KindObject  Kind = "object" // with the fields that Fields has and no others
	KindMap     Kind = "map"    // with any fields, all of type Elem
)

// The bounds of a Type: what lies deeper or is more is of kind any.
const (
	maxTypeDepth = 16
	maxTypeParts = 2_000
)

// Type is what can be known of a value before it is there: a JSON Schema without
// its conditions. nil stands for kind any. It is read-only once made, and safe
// for concurrent use.
type Type struct {
	Kind   Kind             `json:"kind"`
	Fields map[string]*Type `json:"fields,omitempty"`
	Elem   *Type            `json:"elem,omitempty"` // of a list or a map; nil: any
}

// Any returns the type of which nothing is known.
func Any() *Type { return &Type{Kind: KindAny} }

// KindOf returns the type's kind; any for nil.
func (t *Type) KindOf() Kind {
	if t == nil {
		return KindAny
	}
	return t.Kind
}

// Field returns the type of a field, and whether a value of the type may have it.
func (t *Type) Field(name string) (*Type, bool) {
	switch t.KindOf() {
	case KindObject:
		f, ok := t.Fields[name]
		return f, ok
	case KindMap:
		return t.Elem, true
	case KindAny:
		return nil, true
	}
	return nil, false
}

// Names returns the names of an object's fields, sorted.
func (t *Type) Names() []string {
	if t.KindOf() != KindObject {
		return nil
	}
	return slices.Sorted(maps.Keys(t.Fields))
}

// Accepts reports whether a value of type from may be one of type t. What is not
// known is accepted.
func (t *Type) Accepts(from *Type) bool {
	want, got := t.KindOf(), from.KindOf()
	switch {
	case want == KindAny || got == KindAny:
		return true
	case want == KindInteger || want == KindNumber:
		return got == KindInteger || got == KindNumber
	case want == KindObject || want == KindMap:
		return got == KindObject || got == KindMap
	case want == KindList && got == KindList:
		return t.Elem.Accepts(from.Elem)
	}
	return want == got
}

// At returns the type at a JSON Pointer within a value of type t; any where
// nothing is known.
func (t *Type) At(pointer string) *Type {
	if pointer == "" {
		return t
	}
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch t.KindOf() {
		case KindList:
			t = t.Elem
		case KindObject, KindMap:
			t, _ = t.Field(automation.Unescape(token))
		default:
			return nil
		}
	}
	return t
}

// Type returns the type of the values that the schema allows. An object whose
// schema names properties and does not say additionalProperties has those alone:
// a field that a schema does not name is a mistake more often than not.
func (s *Schema) Type() *Type {
	w := typing{left: maxTypeParts}
	return w.of(s.root, 0)
}

// typing derives types, within bounds.
type typing struct{ left int }

func (w *typing) of(p *jsonschema.Schema, depth int) *Type {
	w.left--
	if p == nil || p.Bool != nil || depth > maxTypeDepth || w.left < 0 {
		return Any()
	}
	kind := kindOf(p)
	if kind == KindAny && p.Ref != nil {
		return w.of(p.Ref, depth+1)
	}
	if kind == KindAny && len(p.AllOf) == 1 {
		return w.of(p.AllOf[0], depth+1)
	}
	switch kind {
	case KindList:
		t := &Type{Kind: KindList}
		if len(p.PrefixItems) == 0 && p.Items2020 != nil {
			t.Elem = w.of(p.Items2020, depth+1)
		}
		return t
	case KindObject:
		return w.object(p, depth)
	}
	return &Type{Kind: kind}
}

func (w *typing) object(p *jsonschema.Schema, depth int) *Type {
	open := len(p.PatternProperties) > 0 || len(inPlace(p)) > 0 || p.AdditionalProperties == true
	if a := additional(p); a != nil {
		open = true
		if len(p.Properties) == 0 && len(p.PatternProperties) == 0 {
			return &Type{Kind: KindMap, Elem: w.of(a, depth+1)}
		}
	}
	if len(p.Properties) == 0 && p.AdditionalProperties == nil {
		open = true
	}
	if open {
		return &Type{Kind: KindMap}
	}
	t := &Type{Kind: KindObject, Fields: make(map[string]*Type, len(p.Properties))}
	for _, name := range slices.Sorted(maps.Keys(p.Properties)) {
		t.Fields[name] = w.of(p.Properties[name], depth+1)
	}
	return t
}

// kindOf returns the one kind of the values that p's own keywords allow.
func kindOf(p *jsonschema.Schema) Kind {
	if p.Types == nil || p.Types.IsEmpty() {
		return kindOfValues(p)
	}
	names := p.Types.ToStrings()
	if len(names) == 2 && slices.Contains(names, "integer") && slices.Contains(names, "number") {
		return KindNumber
	}
	if len(names) != 1 {
		return KindAny
	}
	switch names[0] {
	case "array":
		return KindList
	default:
		return Kind(names[0])
	}
}

func kindOfValues(p *jsonschema.Schema) Kind {
	var values []any
	switch {
	case p.Enum != nil:
		values = p.Enum.Values
	case p.Const != nil:
		values = []any{*p.Const}
	case len(p.Properties) > 0:
		return KindObject
	}
	if len(values) == 0 {
		return KindAny
	}
	kind := TypeOf(values[0]).Kind
	for _, v := range values[1:] {
		if TypeOf(v).Kind != kind {
			return KindAny
		}
	}
	return kind
}

// TypeOf returns the type of a decoded value (see Decode).
func TypeOf(v any) *Type { return typeOf(v, 0) }

func typeOf(v any, depth int) *Type {
	if depth > maxTypeDepth {
		return Any()
	}
	switch v := v.(type) {
	case nil:
		return &Type{Kind: KindNull}
	case bool:
		return &Type{Kind: KindBoolean}
	case string:
		return &Type{Kind: KindString}
	case json.Number:
		if bytes.ContainsAny([]byte(v), ".eE") {
			return &Type{Kind: KindNumber}
		}
		return &Type{Kind: KindInteger}
	case []any:
		return &Type{Kind: KindList, Elem: Common(v, depth+1)}
	case map[string]any:
		t := &Type{Kind: KindObject, Fields: make(map[string]*Type, len(v))}
		for name, f := range v {
			t.Fields[name] = typeOf(f, depth+1)
		}
		return t
	}
	return Any()
}

// Common returns the type that all values have; any if they differ.
func Common(values []any, depth int) *Type {
	var common *Type
	for i, v := range values {
		t := typeOf(v, depth)
		switch {
		case i == 0:
			common = t
		case !same(common, t):
			return Any()
		}
	}
	return common
}

func same(a, b *Type) bool {
	if a.KindOf() != b.KindOf() {
		return false
	}
	switch a.KindOf() {
	case KindList, KindMap:
		return same(a.Elem, b.Elem)
	case KindObject:
		return maps.EqualFunc(a.Fields, b.Fields, same)
	}
	return true
}
