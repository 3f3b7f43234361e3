package hostfuncs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxRequest is how many bytes a request may have.
const MaxRequest = 8 << 20

// Decode reads a request strictly into the struct that into points to: one JSON
// object in UTF-8 of at most MaxRequest bytes, each member once, spelled as the
// schema has it, of its type and not null, and nothing after the object. Values
// that a request carries are never in its errors.
func Decode(request []byte, into any) error {
	if len(request) > MaxRequest {
		return fmt.Errorf("%d bytes, and %d is the most", len(request), MaxRequest)
	}
	if !utf8.Valid(request) {
		return errors.New("not UTF-8; send bytes in the field whose name ends with _base64")
	}
	if err := checkMembers(request, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(request))
	dec.DisallowUnknownFields()
	return plain(dec.Decode(into))
}

// checkMembers walks the outer object: encoding/json alone would let pass
// another case, a second member of the same name, null and what follows.
func checkMembers(request []byte, t reflect.Type) error {
	names := fieldNames(t)
	dec := json.NewDecoder(bytes.NewReader(request))
	tok, err := dec.Token()
	if err != nil {
		return plain(err)
	}
	if tok != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return plain(err)
		}
		name, _ := key.(string)
		if !slices.Contains(names, name) {
			return fmt.Errorf("unknown field %.64q (known: %s)", name, strings.Join(names, ", "))
		}
		if seen[name] {
			return fmt.Errorf("field %s is there twice", name)
		}
		seen[name] = true
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return plain(err)
		}
		if bytes.Equal(v, []byte("null")) {
			return fmt.Errorf("field %s is null; leave it out instead", name)
		}
	}
	if _, err := dec.Token(); err != nil {
		return plain(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("bytes after the request's JSON object")
	}
	return nil
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// plain says what is wrong without Go's names for types and without the value.
func plain(err error) error {
	var typ *json.UnmarshalTypeError
	var syn *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typ):
		return fmt.Errorf("field %s is of the wrong type: %s given", typ.Field, strings.Fields(typ.Value + " ")[0])
	case errors.As(err, &syn):
		return fmt.Errorf("not JSON, at byte %d", syn.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not JSON: it ends too early")
	default:
		return errors.New("not JSON of the schema's types")
	}
}
