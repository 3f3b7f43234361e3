package wire

import (
	"errors"
	"strconv"
)

// maxDepth bounds how deep values may nest, so that recursion is bounded too.
const maxDepth = 512

// Raw is one JSON value as it is written, without spaces around it.
type Raw []byte

// Member is one member of an object.
type Member struct {
	Name  string
	Value Raw
}

// Valid reports what keeps b from being exactly one JSON value; nil when it is.
func Valid(b []byte) error {
	_, err := one(b)
	return err
}

// Members returns the members of an object, in the order they are written. The
// values share b's memory.
func Members(b []byte) ([]Member, error) {
	v, err := one(b)
	if err != nil {
		return nil, err
	}
	return members(v)
}

// The functions in lower case below take a value that one has checked, so that
// a large text is checked once and not at every level.

func members(v Raw) ([]Member, error) {
	if v[0] != '{' {
		return nil, errors.New("a JSON object is wanted here, not " + kind(v))
	}
	s := scanner{b: v, i: 1}
	var out []Member
	for s.next('}', len(out) == 0) {
		name, err := unquote(s.value())
		if err != nil {
			return nil, err
		}
		s.space()
		s.i++ // the colon; one() has checked it
		s.space()
		out = append(out, Member{Name: name, Value: s.value()})
	}
	return out, nil
}

func elements(v Raw) ([]Raw, error) {
	if v[0] != '[' {
		return nil, errors.New("a JSON array is wanted here, not " + kind(v))
	}
	s := scanner{b: v, i: 1}
	var out []Raw
	for s.next(']', len(out) == 0) {
		out = append(out, s.value())
	}
	return out, nil
}

// String returns the text of a JSON string.
func String(b []byte) (string, error) {
	v, err := one(b)
	if err != nil {
		return "", err
	}
	return text(v)
}

func text(v Raw) (string, error) {
	if v[0] != '"' {
		return "", errors.New("a JSON string is wanted here, not " + kind(v))
	}
	return unquote(v)
}

// Int returns a whole JSON number.
func Int(b []byte) (int64, error) {
	v, err := one(b)
	if err != nil {
		return 0, err
	}
	return integer(v)
}

func integer(v Raw) (int64, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, errors.New("a whole number is wanted here, not " + kind(v))
	}
	return n, nil
}

// Bool returns a JSON boolean.
func Bool(b []byte) (bool, error) {
	v, err := one(b)
	if err != nil {
		return false, err
	}
	return boolean(v)
}

func boolean(v Raw) (bool, error) {
	if v[0] != 't' && v[0] != 'f' {
		return false, errors.New("true or false is wanted here, not " + kind(v))
	}
	return v[0] == 't', nil
}

// Strings returns the texts of a JSON array of strings.
func Strings(b []byte) ([]string, error) {
	v, err := one(b)
	if err != nil {
		return nil, err
	}
	list, err := elements(v)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], err = text(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Any returns a value as nil, bool, float64, string, []any or map[string]any.
func Any(b []byte) (any, error) {
	v, err := one(b)
	if err != nil {
		return nil, err
	}
	return dynamic(v)
}

func dynamic(v Raw) (any, error) {
	switch v[0] {
	case '{':
		list, err := members(v)
		if err != nil {
			return nil, err
		}
		object := make(map[string]any, len(list))
		for _, m := range list {
			if object[m.Name], err = dynamic(m.Value); err != nil {
				return nil, err
			}
		}
		return object, nil
	case '[':
		list, err := elements(v)
		if err != nil {
			return nil, err
		}
		array := make([]any, len(list))
		for i, e := range list {
			if array[i], err = dynamic(e); err != nil {
				return nil, err
			}
		}
		return array, nil
	case '"':
		return unquote(v)
	case 't', 'f':
		return v[0] == 't', nil
	case 'n':
		return nil, nil
	}
	return float(v)
}

func float(v Raw) (float64, error) {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return 0, errors.New("a number is wanted here, not " + kind(v))
	}
	return f, nil
}

// kind names a value's type for messages; never the value, which may be a secret.
func kind(v Raw) string {
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

// one checks that b is exactly one value and returns it without the spaces.
func one(b []byte) (Raw, error) {
	s := scanner{b: b}
	s.space()
	start := s.i
	s.skip(0)
	end := s.i
	s.space()
	if !s.bad && s.i != len(b) {
		s.fail()
	}
	if s.bad {
		return nil, errors.New("not JSON at byte " + strconv.Itoa(s.i))
	}
	return b[start:end], nil
}
