package expr

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

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

// Elements returns the elements of a list, and whether v is one.
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

// source is where an object's fields come from.
type source interface {
	find(name string) (ref.Val, bool)
	keys() []string // sorted
}

type tree struct {
	t *schema.Type
	m map[string]any
}

func (s tree) find(name string) (ref.Val, bool) {
	v, ok := s.m[name]
	if !ok {
		return nil, false
	}
	var t *schema.Type
	if s.t != nil {
		t, _ = s.t.Field(name)
	}
	return wrap(t, v), true
}

func (s tree) keys() []string {
	out := make([]string, 0, len(s.m))
	for k := range s.m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

type record struct {
	names []string
	get   func(string) (Value, bool)
}

func (s record) find(name string) (ref.Val, bool) {
	if _, ok := slices.BinarySearch(s.names, name); !ok {
		return nil, false
	}
	v, ok := s.get(name)
	if !ok {
		return nil, false
	}
	return v.ref(), true
}

func (s record) keys() []string {
	out := make([]string, 0, len(s.names))
	for _, name := range s.names {
		if _, ok := s.get(name); ok {
			out = append(out, name)
		}
	}
	return out
}

// object is a CEL map over a source. Its keys come sorted, so that an expression
// over them is the same every time.
type object struct{ src source }

var _ traits.Mapper = (*object)(nil)

func (o *object) Find(key ref.Val) (ref.Val, bool) {
	k, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	return o.src.find(string(k))
}

func (o *object) Get(key ref.Val) ref.Val {
	v, ok := o.Find(key)
	if !ok {
		return types.NewErr("no such key")
	}
	return v
}

func (o *object) Contains(key ref.Val) ref.Val {
	_, ok := o.Find(key)
	return types.Bool(ok)
}

func (o *object) Iterator() traits.Iterator {
	keys := o.src.keys()
	vals := make([]ref.Val, len(keys))
	for i, k := range keys {
		vals[i] = types.String(k)
	}
	return &iterator{vals: vals}
}

func (o *object) Size() ref.Val { return types.Int(len(o.src.keys())) }

func (o *object) Equal(other ref.Val) ref.Val {
	m, ok := other.(traits.Mapper)
	if !ok || m.Size() != o.Size() {
		return types.False
	}
	for _, k := range o.src.keys() {
		mine, _ := o.src.find(k)
		theirs, ok := m.Find(types.String(k))
		if !ok || types.Equal(mine, theirs) != types.True {
			return types.False
		}
	}
	return types.True
}

func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, errNative(t)
}

func (o *object) ConvertToType(t ref.Type) ref.Val { return convert(o, types.MapType, t) }
func (o *object) Type() ref.Type                   { return types.MapType }
func (o *object) Value() any                       { return o }

// list is a CEL list over decoded JSON or over values.
type list struct {
	elem *schema.Type
	tree []any     // decoded JSON; or
	vals []ref.Val // values
}

var _ traits.Lister = (*list)(nil)

func (l *list) len() int { return max(len(l.tree), len(l.vals)) }

func (l *list) at(i int) ref.Val {
	if l.tree != nil {
		return wrap(l.elem, l.tree[i])
	}
	return l.vals[i]
}

func (l *list) Get(index ref.Val) ref.Val {
	i, err := types.GetOrError(index)
	if err != nil || i < 0 || i >= l.len() {
		return types.NewErr("index out of bounds")
	}
	return l.at(i)
}

func (l *list) all() []ref.Val {
	out := make([]ref.Val, l.len())
	for i := range out {
		out[i] = l.at(i)
	}
	return out
}

func (l *list) Add(other ref.Val) ref.Val {
	o, ok := other.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	vals := l.all()
	for it := o.Iterator(); it.HasNext() == types.True; {
		vals = append(vals, it.Next())
	}
	return &list{vals: vals}
}

func (l *list) Contains(v ref.Val) ref.Val {
	for i := range l.len() {
		if types.Equal(l.at(i), v) == types.True {
			return types.True
		}
	}
	return types.False
}

func (l *list) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Lister)
	if !ok || o.Size() != l.Size() {
		return types.False
	}
	for i := range l.len() {
		if types.Equal(l.at(i), o.Get(types.Int(i))) != types.True {
			return types.False
		}
	}
	return types.True
}

func (l *list) Iterator() traits.Iterator                   { return &iterator{list: l} }
func (l *list) Size() ref.Val                               { return types.Int(l.len()) }
func (l *list) ConvertToNative(t reflect.Type) (any, error) { return nil, errNative(t) }
func (l *list) ConvertToType(t ref.Type) ref.Val            { return convert(l, types.ListType, t) }
func (l *list) Type() ref.Type                              { return types.ListType }
func (l *list) Value() any                                  { return l }

// iterator walks values, or a list.
type iterator struct {
	vals []ref.Val
	list *list
	next int
}

var _ traits.Iterator = (*iterator)(nil)

func (it *iterator) size() int {
	if it.list != nil {
		return it.list.len()
	}
	return len(it.vals)
}

func (it *iterator) HasNext() ref.Val { return types.Bool(it.next < it.size()) }

func (it *iterator) Next() ref.Val {
	if it.next >= it.size() {
		return nil
	}
	it.next++
	if it.list != nil {
		return it.list.at(it.next - 1)
	}
	return it.vals[it.next-1]
}

func (it *iterator) ConvertToNative(t reflect.Type) (any, error) { return nil, errNative(t) }
func (it *iterator) ConvertToType(ref.Type) ref.Val              { return types.NewErr("no such overload") }
func (it *iterator) Equal(ref.Val) ref.Val                       { return types.False }
func (it *iterator) Type() ref.Type                              { return types.IteratorType }
func (it *iterator) Value() any                                  { return it }

func convert(v ref.Val, own, to ref.Type) ref.Val {
	switch to {
	case own:
		return v
	case types.TypeType:
		if t, ok := own.(*types.Type); ok {
			return t
		}
	}
	return types.NewErr("no such overload")
}

type errNativeType struct{ t reflect.Type }

func (e errNativeType) Error() string { return "no conversion to " + e.t.String() }

func errNative(t reflect.Type) error { return errNativeType{t} }

// adapter lets our own values pass as they are.
type adapter struct{ types.Adapter }

func (a adapter) NativeToValue(v any) ref.Val {
	if r, ok := v.(ref.Val); ok {
		return r
	}
	return a.Adapter.NativeToValue(v)
}

var _ types.Adapter = adapter{}

// sortLiterals puts the maps that an expression makes itself into a fixed order:
// CEL would walk them in the order of Go's maps, another one each time.
func sortLiterals(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if c, ok := i.(interpreter.InterpretableConstructor); ok && c.Type() == types.MapType {
		return sortedLiteral{i}, nil
	}
	return i, nil
}

type sortedLiteral struct{ interpreter.InterpretableV2 }

func (l sortedLiteral) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return sorted(l.InterpretableV2.Exec(frame))
}

func (l sortedLiteral) Eval(vars interpreter.Activation) ref.Val {
	return sorted(l.InterpretableV2.Eval(vars))
}

func sorted(v ref.Val) ref.Val {
	if m, ok := v.(traits.Mapper); ok {
		return sortedMap{m}
	}
	return v
}

// sortedMap is a CEL map whose keys come sorted.
type sortedMap struct{ traits.Mapper }

func (m sortedMap) Iterator() traits.Iterator {
	var keys []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, func(a, b ref.Val) int { return strings.Compare(keyText(a), keyText(b)) })
	return &iterator{vals: keys}
}

func keyText(k ref.Val) string {
	switch k := k.(type) {
	case types.String:
		return "s" + string(k)
	case types.Int:
		return "i" + strconv.FormatInt(int64(k), 10)
	case types.Uint:
		return "u" + strconv.FormatUint(uint64(k), 10)
	case types.Bool:
		return "b" + strconv.FormatBool(bool(k))
	}
	return ""
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
