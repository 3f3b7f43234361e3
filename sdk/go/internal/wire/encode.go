package wire

import (
	"encoding/base64"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Encode returns v as JSON without spaces. Members of a struct stand in the
// order of its fields, members of a map in the order of their names; a nil
// slice is [] and a nil map {}, so that what a schema calls an array is one.
// Text that is not UTF-8 gets U+FFFD in place of the bytes at fault.
func Encode(v any) ([]byte, error) {
	return new(encoder).encode(buffer(), reflect.ValueOf(v), 0)
}

// EncodeExact is Encode for what must arrive as it is: text that is not UTF-8 is
// an error.
func EncodeExact(v any) ([]byte, error) {
	return (&encoder{exact: true}).encode(buffer(), reflect.ValueOf(v), 0)
}

// buffer has room for most values: to grow step by step takes longer than to clear
// what is not needed.
func buffer() []byte { return make([]byte, 0, 512) }

type encoder struct {
	shapes shapes
	exact  bool // refuse text that is not UTF-8
}

func (e *encoder) text(b []byte, s string) ([]byte, error) {
	if e.exact && !utf8.ValidString(s) {
		return nil, errors.New("text that is not UTF-8, which JSON cannot hold")
	}
	return AppendString(b, s), nil
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(slices.Grow(b, len(s)+2), '"')
	for i := 0; i < len(s); {
		from := i
		i = run(s, i)
		b = append(b, s[from:i]...)
		if i == len(s) {
			break
		}
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}

func (e *encoder) encode(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errors.New("a value that nests too deep, or that holds itself")
	}
	if !v.IsValid() {
		return append(b, "null"...), nil
	}
	if v.Type() == reflect.TypeFor[Raw]() {
		value, err := Parse(v.Bytes())
		if err != nil {
			return nil, err
		}
		return append(b, value...), nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		return e.encode(b, v.Elem(), depth+1)
	case reflect.Struct:
		return e.encodeStruct(b, v, depth)
	case reflect.Slice:
		return e.encodeSlice(b, v, depth)
	case reflect.Map:
		return e.encodeMap(b, v, depth)
	default:
		return e.encodeScalar(b, v)
	}
}

func (e *encoder) encodeScalar(b []byte, v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.String:
		return e.text(b, v.String())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, errors.New("JSON has no such number (not a number, or infinite)")
		}
		return strconv.AppendFloat(b, f, 'g', -1, v.Type().Bits()), nil
	default:
		return nil, errors.New(v.Type().String() + ": " + errType.Error())
	}
}

func (e *encoder) encodeSlice(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return AppendString(b, base64.StdEncoding.EncodeToString(v.Bytes())), nil
	}
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = e.encode(b, v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (e *encoder) encodeMap(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, errors.New(v.Type().String() + ": " + errType.Error())
	}
	names := make([]string, 0, v.Len())
	values := make(map[string]reflect.Value, v.Len())
	for it := v.MapRange(); it.Next(); {
		names = append(names, it.Key().String())
		values[it.Key().String()] = it.Value()
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = e.text(b, name); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = e.encode(b, values[name], depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (e *encoder) encodeStruct(b []byte, v reflect.Value, depth int) ([]byte, error) {
	fields, err := e.shapes.of(v.Type())
	if err != nil {
		return nil, errors.New(v.Type().String() + ": " + err.Error())
	}
	b = append(b, '{')
	first := true
	for _, f := range fields {
		value := v.Field(f.index)
		if f.omitEmpty && empty(value) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(AppendString(b, f.name), ':')
		if b, err = e.encode(b, value, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// empty is encoding/json's omitempty: false, 0, "", nil, and slices and maps of length 0.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}
