package expr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"opsconductor.dev/host/automation"
)

// MaxJSON bounds a value as JSON, in bytes: a value may hold another one many times.
const MaxJSON = 1 << 20

// AppendJSON appends v as JSON: keys sorted, numbers as they were read. The error
// is an *automation.Error with code expression, a value that JSON has no form for,
// or limit, one that has more than MaxJSON bytes.
func (v Value) AppendJSON(dst []byte) ([]byte, error) {
	w := writer{most: len(dst) + MaxJSON}
	return w.value(dst, v.ref())
}

// AppendText appends v as text: a string as it is, anything else as JSON.
func (v Value) AppendText(dst []byte) ([]byte, error) {
	if s, ok := v.TextOf(); ok {
		return append(dst, s...), nil
	}
	return v.AppendJSON(dst)
}

// writer writes values until they are too large.
type writer struct{ most int }

func (w writer) bound(dst []byte, err error) ([]byte, error) {
	if err == nil && len(dst) > w.most {
		return nil, &automation.Error{
			Code: automation.CodeLimit, Message: "a result that is too large", Allowed: fmt.Sprintf("at most %d bytes as JSON", MaxJSON),
			Suggestion: "take only the fields that are needed",
		}
	}
	return dst, err
}

func (w writer) value(dst []byte, v ref.Val) ([]byte, error) {
	switch v := v.(type) {
	case types.Null:
		return append(dst, "null"...), nil
	case types.Bool:
		return strconv.AppendBool(dst, bool(v)), nil
	case types.Int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case types.Uint:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case types.Double:
		return appendDouble(dst, float64(v))
	case types.String:
		return w.bound(AppendString(dst, string(v)), nil)
	case *list:
		if v.tree != nil {
			return w.bound(appendTree(dst, v.tree))
		}
		return w.list(dst, v)
	case *object:
		if t, ok := v.src.(tree); ok {
			return w.bound(appendTree(dst, t.m))
		}
		return w.object(dst, v)
	case traits.Lister:
		return w.list(dst, v)
	case traits.Mapper:
		return w.object(dst, sortedMap{v})
	case *types.Err:
		return nil, runtimeError(v)
	}
	return nil, noForm(v)
}

func noForm(v ref.Val) error {
	return &automation.Error{
		Code: automation.CodeExpression, Message: "a result of type " + v.Type().TypeName() + ", which JSON has no form for",
		Suggestion: "turn it into text with string(…)",
	}
}

func appendDouble(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, automation.Errorf(automation.CodeExpression, "a number that is not finite, which JSON has no form for")
	}
	b, err := json.Marshal(f)
	return append(dst, b...), err
}

func (w writer) list(dst []byte, l traits.Lister) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, it := 0, l.Iterator(); it.HasNext() == types.True; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = w.bound(w.value(dst, it.Next())); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func (w writer) object(dst []byte, m traits.Mapper) ([]byte, error) {
	dst = append(dst, '{')
	var err error
	for i, it := 0, m.Iterator(); it.HasNext() == types.True; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, automation.Errorf(automation.CodeExpression, "an object with a key that is not text, which JSON has no form for")
		}
		dst = append(AppendString(dst, string(name)), ':')
		if dst, err = w.bound(w.value(dst, m.Get(key))); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// appendTree appends decoded JSON: numbers as they were read, keys sorted.
func appendTree(dst []byte, v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, automation.AsError(err)
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), nil
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	out, err := appendTree(dst, s)
	if err != nil {
		return append(dst, `""`...) // cannot be: a string always has a form
	}
	return out
}
