package expr

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"opsconductor.dev/host/registry/schema"
)

// source is where an object's fields come from.
type source interface {
	find(name string) (ref.Val, bool)
	keys() []string // sorted
	size() int
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

func (s tree) size() int { return len(s.m) }

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

func (s record) size() int { return len(s.keys()) }

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

func (o *object) Size() ref.Val { return types.Int(o.src.size()) }

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
