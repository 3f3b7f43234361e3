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
func Decode(b []byte, v any) error {
	checked, err := Parse(b)
	if err != nil {
		return err
	}
	return (&decoder{strict: true}).top(checked, v)
}

// DecodeKnown is Decode for documents of a newer writer: members that a struct
// has no field for are passed over.
func DecodeKnown(b Value, v any) error { return new(decoder).top(b, v) }

type decoder struct {
	shapes shapes
	strict bool // refuse unknown members
}

func (d *decoder) top(b Value, v any) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return errors.New("wire.Decode wants a pointer")
	}
	return d.decode(b, p.Elem())
}

// errType is the cause of the error for a Go type that Decode and Encode don't know.
var errType = errors.New("a Go type that the SDK does not put into JSON")

// fault is an error at a place within a value. The place is put together on the
// way out, so that it costs nothing where there is no error.
type fault struct {
	pointer string
	err     error
}

// Error returns the place and the cause.
func (f *fault) Error() string { return f.pointer + ": " + f.err.Error() }

// within says that err is one of the value's member or element with this name.
func within(name string, err error) error {
	// a ~ and a / in a name are escaped in a JSON Pointer
	place := "/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	var f *fault
	if errors.As(err, &f) {
		return &fault{place + f.pointer, f.err}
	}
	return &fault{place, err}
}

func (d *decoder) decode(b Value, v reflect.Value) error {
	if v.Type() == reflect.TypeFor[Raw]() {
		v.SetBytes(append([]byte(nil), b...))
		return nil
	}
	if b.IsNull() {
		v.SetZero()
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(b, v.Elem())
	case reflect.Struct:
		return d.decodeStruct(b, v)
	case reflect.Slice:
		return d.decodeSlice(b, v)
	case reflect.Map:
		return d.decodeMap(b, v)
	case reflect.Interface:
		return decodeAny(b, v)
	default:
		return decodeScalar(b, v)
	}
}

func decodeScalar(b Value, v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		s, err := b.Text()
		v.SetString(s)
		return err
	case reflect.Bool:
		t, err := b.Bool()
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
		n, err := b.float()
		v.SetFloat(n)
		return err
	default:
		return errType
	}
}

// whole reads an integer, also one that is written as 5.0 or 1e3: JSON Schema
// calls those integers too.
func whole(b Value) (int64, error) {
	n, err := b.Int()
	if err == nil {
		return n, nil
	}
	const exact = 1 << 53
	f, ferr := b.float()
	if ferr != nil || f != float64(int64(f)) || f > exact || f < -exact {
		return 0, err
	}
	return int64(f), nil
}

func decodeAny(b Value, v reflect.Value) error {
	if v.NumMethod() != 0 {
		return errType
	}
	x, err := b.Any()
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(x))
	return nil
}

func (d *decoder) decodeSlice(b Value, v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		s, err := b.Text()
		if err != nil {
			return err
		}
		data, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return errors.New("not base64")
		}
		v.SetBytes(data)
		return nil
	}
	list, err := b.elements()
	if err != nil {
		return err
	}
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, e := range list {
		if err := d.decode(e, out.Index(i)); err != nil {
			return within(strconv.Itoa(i), err)
		}
	}
	v.Set(out)
	return nil
}

func (d *decoder) decodeMap(b Value, v reflect.Value) error {
	if v.Type().Key().Kind() != reflect.String {
		return errType
	}
	o, err := b.Object()
	if err != nil {
		return err
	}
	out := reflect.MakeMap(v.Type())
	for o.Next() {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := d.decode(o.Value, value); err != nil {
			return within(string(o.Name), err)
		}
		key := reflect.New(v.Type().Key()).Elem() // not Convert, which links in 60 KB
		key.SetString(string(o.Name))
		out.SetMapIndex(key, value)
	}
	v.Set(out)
	return nil
}

func (d *decoder) decodeStruct(b Value, v reflect.Value) error {
	o, err := b.Object()
	if err != nil {
		return err
	}
	fields, err := d.shapes.of(v.Type())
	if err != nil {
		return err
	}
	var few [64]bool
	seen := few[:]
	if len(fields) > len(few) {
		seen = make([]bool, len(fields))
	}
	for o.Next() {
		i := find(fields, o.Name)
		switch {
		case i < 0 && !d.strict:
			continue
		case i < 0:
			return within(string(o.Name), errors.New("unknown field"))
		case seen[i]:
			return within(string(o.Name), errors.New("the field stands here twice"))
		}
		seen[i] = true
		if err := d.decode(o.Value, v.Field(fields[i].index)); err != nil {
			return within(string(o.Name), err)
		}
	}
	return nil
}
