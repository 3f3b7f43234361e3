package wire

import (
	"reflect"
	"strings"
)

// field is a field of a struct that stands in JSON.
type field struct {
	name      string
	index     int
	omitEmpty bool
}

// shape is what the fields of a struct are.
type shape struct {
	of     reflect.Type
	fields []field
}

// shapes keeps them while one value is read or written: a list of structs asks for
// each element. They are few, and a list is searched sooner than a map is made.
type shapes struct{ known []shape }

func (s *shapes) of(t reflect.Type) ([]field, error) {
	for i := range s.known {
		if s.known[i].of == t {
			return s.known[i].fields, nil
		}
	}
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			return nil, errType
		}
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(tag(f.Tag), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields = append(fields, field{name: name, index: i, omitEmpty: options == "omitempty"})
	}
	s.known = append(s.known, shape{t, fields})
	return fields, nil
}

// tag returns the json part of a tag. Where it stands first and has no escapes, as
// it mostly does, that takes a hundredth of what StructTag.Get takes.
func tag(t reflect.StructTag) string {
	if rest, ok := strings.CutPrefix(string(t), `json:"`); ok {
		for i := range len(rest) {
			switch rest[i] {
			case '"':
				return rest[:i]
			case '\\':
				return t.Get("json")
			}
		}
	}
	return t.Get("json")
}

func find(fields []field, name []byte) int {
	for i := range fields {
		if fields[i].name == string(name) {
			return i
		}
	}
	return -1
}
