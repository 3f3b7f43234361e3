package wire

import (
	"errors"
	"strconv"
)

// maxDepth bounds how deep values may nest, so that recursion is bounded too.
const maxDepth = 512

// Raw is one JSON value as it is written, without spaces around it.
type Raw []byte

// Value is one JSON value that Parse has checked, or one inside such a value. Text
// is checked once, and not again at every level.
type Value []byte

// Parse returns the one JSON value that b is. It shares b's memory.
func Parse(b []byte) (Value, error) {
	start := space(b, 0)
	to := skip(b, start, 0)
	if to < 0 {
		return nil, errors.New("not JSON at byte " + strconv.Itoa(^to))
	}
	if rest := space(b, to); rest != len(b) {
		return nil, errors.New("not JSON at byte " + strconv.Itoa(rest))
	}
	return Value(b[start:to]), nil
}

// Valid reports what keeps b from being exactly one JSON value; nil when it is.
func Valid(b []byte) error {
	_, err := Parse(b)
	return err
}

// Object walks the members of an object, in the order they are written.
type Object struct {
	// Name and Value are the member that Next went to. They share the object's memory.
	Name  []byte
	Value Value

	b []byte
	i int // after what was read
}

// Object returns a walk over v's members.
func (v Value) Object() (Object, error) {
	if v[0] != '{' {
		return Object{}, errors.New("a JSON object is wanted here, not " + kind(v))
	}
	return Object{b: v, i: 1}, nil
}

// Next goes to the next member; false when there is none.
func (o *Object) Next() bool {
	b := o.b
	i := space(b, o.i)
	if i < len(b) && b[i] == ',' {
		i = space(b, i+1)
	}
	if i >= len(b) || b[i] == '}' {
		return false
	}
	to := stringEnd(b, i)
	o.Name = plain(b[i:to])
	i = space(b, space(b, to)+1) // the colon stands between
	o.i = end(b, i)
	o.Value = b[i:o.i]
	return true
}

// elements returns the elements of an array.
func (v Value) elements() ([]Value, error) {
	if v[0] != '[' {
		return nil, errors.New("a JSON array is wanted here, not " + kind(v))
	}
	var out []Value
	for i := space(v, 1); v[i] != ']'; i = space(v, i) {
		if v[i] == ',' {
			i = space(v, i+1)
		}
		to := end(v, i)
		out = append(out, v[i:to])
		i = to
	}
	return out, nil
}

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v[0] == 'n' }

// Text returns the text of a JSON string.
func (v Value) Text() (string, error) {
	if v[0] != '"' {
		return "", errors.New("a JSON string is wanted here, not " + kind(v))
	}
	return unquote(v), nil
}

// Int returns a whole JSON number.
func (v Value) Int() (int64, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, errors.New("a whole number is wanted here, not " + kind(v))
	}
	return n, nil
}

// Bool returns a JSON boolean.
func (v Value) Bool() (bool, error) {
	if v[0] != 't' && v[0] != 'f' {
		return false, errors.New("true or false is wanted here, not " + kind(v))
	}
	return v[0] == 't', nil
}

// Texts returns the texts of a JSON array of strings.
func (v Value) Texts() ([]string, error) {
	list, err := v.elements()
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], err = e.Text(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Any returns v as nil, bool, float64, string, []any or map[string]any.
func (v Value) Any() (any, error) {
	switch v[0] {
	case '{':
		o, err := v.Object()
		if err != nil {
			return nil, err
		}
		object := map[string]any{}
		for o.Next() {
			if object[string(o.Name)], err = o.Value.Any(); err != nil {
				return nil, err
			}
		}
		return object, nil
	case '[':
		list, err := v.elements()
		if err != nil {
			return nil, err
		}
		array := make([]any, len(list))
		for i, e := range list {
			if array[i], err = e.Any(); err != nil {
				return nil, err
			}
		}
		return array, nil
	case '"':
		return v.Text()
	case 't', 'f':
		return v[0] == 't', nil
	case 'n':
		return nil, nil
	default:
		return v.float()
	}
}

func (v Value) float() (float64, error) {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return 0, errors.New("a number is wanted here, not " + kind(v))
	}
	return f, nil
}

// kind names a value's type for messages; never the value, which may be a secret.
func kind(v Value) string {
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
