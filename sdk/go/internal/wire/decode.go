package wire

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// Decode reads a JSON value into what v points to. A member that a struct has no
// field for is an error. Errors start with the JSON Pointer (RFC 6901) of the
// place and never hold the value.
func Decode(b []byte, v any) error { return decoder{strict: true}.top(b, v) }

// DecodeKnown is Decode for documents of a newer writer: members that a struct
// has no field for are passed over.
func DecodeKnown(b []byte, v any) error { return decoder{}.top(b, v) }

type decoder struct {
	strict bool // refuse unknown members
}

func (d decoder) top(b []byte, v any) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return errors.New("wire.Decode wants a pointer")
	}
	checked, err := one(b)
	if err != nil {
		return err
	}
	return d.decode(checked, p.Elem(), "")
}

// errType is the cause of the error for a Go type that Decode and Encode don't know.
var errType = errors.New("a Go type that the SDK does not put into JSON")

func at(pointer string, err error) error {
	if err == nil || pointer == "" {
		return err
	}
	return errors.New(pointer + ": " + err.Error())
}

func (d decoder) decode(b Raw, v reflect.Value, pointer string) error {
	if raw, ok := reflect.TypeAssert[*Raw](v.Addr()); ok {
		*raw = append(Raw(nil), b...)
		return nil
	}
	if b[0] == 'n' {
		v.SetZero()
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(b, v.Elem(), pointer)
	case reflect.Struct:
		return d.decodeStruct(b, v, pointer)
	case reflect.Slice:
		return d.decodeSlice(b, v, pointer)
	case reflect.Map:
		return d.decodeMap(b, v, pointer)
	case reflect.Interface:
		return d.decodeAny(b, v, pointer)
	default:
		return at(pointer, decodeScalar(b, v))
	}
}

func decodeScalar(b Raw, v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		s, err := text(b)
		v.SetString(s)
		return err
	case reflect.Bool:
		t, err := boolean(b)
		v.SetBool(t)
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := whole(b)
		if err == nil && v.OverflowInt(n) {
			return errors.New("a number too large for " + v.Type().String())
		}
		v.SetInt(n)
		return err
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := whole(b)
		if err == nil && (n < 0 || v.OverflowUint(uint64(n))) {
			return errors.New("a number out of the range of " + v.Type().String())
		}
		v.SetUint(uint64(n))
		return err
	case reflect.Float32, reflect.Float64:
		n, err := float(b)
		v.SetFloat(n)
		return err
	default:
		return errType
	}
}

// whole reads an integer, also one that is written as 5.0 or 1e3: JSON Schema
// calls those integers too.
func whole(b Raw) (int64, error) {
	n, err := integer(b)
	if err == nil {
		return n, nil
	}
	const exact = 1 << 53
	f, ferr := float(b)
	if ferr != nil || f != float64(int64(f)) || f > exact || f < -exact {
		return 0, err
	}
	return int64(f), nil
}

func (d decoder) decodeAny(b Raw, v reflect.Value, pointer string) error {
	if v.NumMethod() != 0 {
		return at(pointer, errType)
	}
	x, err := dynamic(b)
	if err != nil {
		return at(pointer, err)
	}
	v.Set(reflect.ValueOf(x))
	return nil
}

func (d decoder) decodeSlice(b Raw, v reflect.Value, pointer string) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		s, err := text(b)
		if err != nil {
			return at(pointer, err)
		}
		data, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return at(pointer, errors.New("not base64"))
		}
		v.SetBytes(data)
		return nil
	}
	list, err := elements(b)
	if err != nil {
		return at(pointer, err)
	}
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, e := range list {
		if err := d.decode(e, out.Index(i), pointer+"/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func (d decoder) decodeMap(b Raw, v reflect.Value, pointer string) error {
	if v.Type().Key().Kind() != reflect.String {
		return at(pointer, errType)
	}
	list, err := members(b)
	if err != nil {
		return at(pointer, err)
	}
	out := reflect.MakeMapWithSize(v.Type(), len(list))
	for _, m := range list {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := d.decode(m.Value, value, pointer+"/"+token(m.Name)); err != nil {
			return err
		}
		key := reflect.New(v.Type().Key()).Elem() // not Convert, which links in 60 KB
		key.SetString(m.Name)
		out.SetMapIndex(key, value)
	}
	v.Set(out)
	return nil
}

func (d decoder) decodeStruct(b Raw, v reflect.Value, pointer string) error {
	list, err := members(b)
	if err != nil {
		return at(pointer, err)
	}
	fields, err := fieldsOf(v.Type())
	if err != nil {
		return at(pointer, err)
	}
	seen := make([]bool, len(fields))
	for _, m := range list {
		place := pointer + "/" + token(m.Name)
		i := find(fields, m.Name)
		if i < 0 && !d.strict {
			continue
		}
		if i < 0 {
			return at(place, errors.New("unknown field"))
		}
		if seen[i] {
			return at(place, errors.New("the field stands here twice"))
		}
		seen[i] = true
		if err := d.decode(m.Value, v.Field(fields[i].index), place); err != nil {
			return err
		}
	}
	return nil
}

type field struct {
	name      string
	index     int
	omitEmpty bool
}

func fieldsOf(t reflect.Type) ([]field, error) {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			return nil, errType
		}
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields = append(fields, field{name: name, index: i, omitEmpty: options == "omitempty"})
	}
	return fields, nil
}

func find(fields []field, name string) int {
	for i := range fields {
		if fields[i].name == name {
			return i
		}
	}
	return -1
}

// token escapes a name for a JSON Pointer.
func token(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
