package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"opsconductor.dev/host/automation"
)

// kindAt names the kind of the JSON value that begins at an offset.
func kindAt(raw []byte, i int) string {
	if i >= len(raw) {
		return "nothing"
	}
	switch raw[i] {
	case '{':
		return huma.TypeObject
	case '[':
		return huma.TypeArray
	case '"':
		return huma.TypeString
	case 't', 'f':
		return huma.TypeBoolean
	case 'n':
		return "null"
	}
	return huma.TypeNumber
}

// invalidAt returns the offset of the first byte that is not UTF-8.
func invalidAt(raw []byte) int {
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(raw)
}

// alternative returns the one of a schema's alternatives that takes a kind.
func alternative(s *huma.Schema, kind string) *huma.Schema {
	for _, one := range s.OneOf {
		if one.Type == kind {
			return one
		}
	}
	return nil
}

func fits(s *huma.Schema, kind string) bool {
	return s.Type == kind || s.Type == huma.TypeInteger && kind == huma.TypeNumber
}

func wanted(s *huma.Schema) string {
	if s.Type != "" {
		return s.Type
	}
	var kinds []string
	for _, one := range s.OneOf {
		kinds = append(kinds, one.Type)
	}
	return strings.Join(kinds, " or ")
}

func join(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

// escape writes a field's name as a part of a JSON Pointer (RFC 6901 section 3).
// Names are from the request: they are bounded.
func escape(name string) string {
	return automation.Escape(clip(name))
}

func asSyntax(err error, out **json.SyntaxError) bool { return errors.As(err, out) }
