package expr

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"opsconductor.dev/host/automation"
)

// AppendJSON appends v as JSON: keys sorted, numbers as they were read. The error
// is an *automation.Error with code expression: a value that JSON has no form for.
func (v Value) AppendJSON(dst []byte) ([]byte, error) { return appendValue(dst, v.ref()) }

// AppendText appends v as text: a string as it is, anything else as JSON.
func (v Value) AppendText(dst []byte) ([]byte, error) {
	if s, ok := v.TextOf(); ok {
		return append(dst, s...), nil
	}
	return v.AppendJSON(dst)
}

func appendValue(dst []byte, v ref.Val) ([]byte, error) {
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
		return AppendString(dst, string(v)), nil
	case *list:
		if v.tree != nil {
			return appendTree(dst, v.tree)
		}
		return appendList(dst, v)
	case *object:
		if t, ok := v.src.(tree); ok {
			return appendTree(dst, t.m)
		}
		return appendMap(dst, v)
	case traits.Lister:
		return appendList(dst, v)
	case traits.Mapper:
		return appendMap(dst, sortedMap{v})
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

func appendList(dst []byte, l traits.Lister) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, it := 0, l.Iterator(); it.HasNext() == types.True; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, it.Next()); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, m traits.Mapper) ([]byte, error) {
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
		if dst, err = appendValue(dst, m.Get(key)); err != nil {
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
