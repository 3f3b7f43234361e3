package expr

import (
	"encoding/json"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"opsconductor.dev/host/registry/schema"
)

// Value is a value that expressions read or give. The zero Value is null. A
// Value is safe for concurrent use unless a Record below it is not.
type Value struct{ v ref.Val }

func (v Value) ref() ref.Val {
	if v.v == nil {
		return types.NullValue
	}
	return v.v
}

// Null returns the null value.
func Null() Value { return Value{types.NullValue} }

// Text returns s as a value.
func Text(s string) Value { return Value{types.String(s)} }

// Integer returns n as a value.
func Integer(n int64) Value { return Value{types.Int(n)} }

// Boolean returns b as a value.
func Boolean(b bool) Value { return Value{types.Bool(b)} }

// JSON returns a decoded JSON value (see schema.Decode) of type t; nil: any type.
// v is not changed afterwards. Numbers become what t says: 90 in a number's place
// is 90.0.
func JSON(t *schema.Type, v any) Value { return Value{wrap(t, v)} }

// List returns a list of values.
func List(vs []Value) Value {
	out := make([]ref.Val, len(vs))
	for i, v := range vs {
		out[i] = v.ref()
	}
	return Value{&list{vals: out}}
}

// Record returns an object whose fields are asked for when they are read. names
// is sorted; get is called with those names alone and reports false for a field
// that is not there.
func Record(names []string, get func(name string) (Value, bool)) Value {
	return Value{&object{src: record{names, get}}}
}

// Len returns the length of a list, and whether v is one.
func (v Value) Len() (int, bool) {
	l, ok := v.v.(traits.Lister)
	if !ok {
		return 0, false
	}
	n, _ := l.Size().(types.Int)
	return int(n), true
}

// Elements returns the elements of a list, and whether v is one. How many there
// are is bounded by nothing but Len.
func (v Value) Elements() ([]Value, bool) {
	l, ok := v.v.(traits.Lister)
	if !ok {
		return nil, false
	}
	n, _ := l.Size().(types.Int)
	out := make([]Value, 0, n)
	for it := l.Iterator(); it.HasNext() == types.True; {
		out = append(out, Value{it.Next()})
	}
	return out, true
}

// Field returns a field of an object, and whether it is there.
func (v Value) Field(name string) (Value, bool) {
	m, ok := v.v.(traits.Mapper)
	if !ok {
		return Value{}, false
	}
	f, ok := m.Find(types.String(name))
	return Value{f}, ok
}

// TextOf returns v's text, and whether it is one.
func (v Value) TextOf() (string, bool) {
	s, ok := v.v.(types.String)
	return string(s), ok
}

// wrap returns a decoded JSON value for CEL.
func wrap(t *schema.Type, v any) ref.Val {
	switch v := v.(type) {
	case nil:
		return types.NullValue
	case bool:
		return types.Bool(v)
	case string:
		return types.String(v)
	case float64:
		return float(t.KindOf(), v)
	case int:
		return types.Int(v)
	case json.Number:
		return number(t.KindOf(), string(v))
	case []any:
		var elem *schema.Type
		if t.KindOf() == schema.KindList {
			elem = t.Elem
		}
		return &list{elem: elem, tree: v}
	case map[string]any:
		return &object{src: tree{t, v}}
	}
	return types.NewErr("a value that is not JSON")
}

func number(kind schema.Kind, n string) ref.Val {
	if kind != schema.KindNumber && !strings.ContainsAny(n, ".eE") {
		if i, err := strconv.ParseInt(n, 10, 64); err == nil {
			return types.Int(i)
		}
		if u, err := strconv.ParseUint(n, 10, 64); err == nil && kind != schema.KindInteger {
			return types.Uint(u)
		}
	}
	f, err := strconv.ParseFloat(n, 64)
	if err != nil {
		return types.NewErr("a number that is out of range")
	}
	if kind == schema.KindInteger {
		i := int64(f)
		if float64(i) != f || f >= 1<<63 {
			return types.NewErr("an integer that is out of range")
		}
		return types.Int(i)
	}
	return types.Double(f)
}

// float returns a number that was decoded without keeping its form.
func float(kind schema.Kind, f float64) ref.Val {
	if i := int64(f); kind != schema.KindNumber && float64(i) == f && f < 1<<53 && f > -1<<53 {
		return types.Int(i)
	}
	return types.Double(f)
}

// celType returns the CEL type of t, and notes object types in types under names
// that no expression can write.
func celType(t *schema.Type, path string, named map[string]*schema.Type) *cel.Type {
	switch t.KindOf() {
	case schema.KindNull:
		return cel.NullType
	case schema.KindBoolean:
		return cel.BoolType
	case schema.KindInteger:
		return cel.IntType
	case schema.KindNumber:
		return cel.DoubleType
	case schema.KindString:
		return cel.StringType
	case schema.KindList:
		return cel.ListType(celType(t.Elem, path+"[]", named))
	case schema.KindMap:
		return cel.MapType(cel.StringType, celType(t.Elem, path+".*", named))
	case schema.KindObject:
		name := "object " + path
		named[name] = t
		return cel.ObjectType(name)
	}
	return cel.DynType
}
