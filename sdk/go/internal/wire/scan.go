package wire

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
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

// scanner walks JSON text. After a fault, bad is set and i is its place.
type scanner struct {
	b   []byte
	i   int
	bad bool
}

func (s *scanner) fail() { s.bad = true }

func (s *scanner) peek() byte {
	if s.bad || s.i >= len(s.b) {
		return 0
	}
	return s.b[s.i]
}

func (s *scanner) space() {
	for {
		switch s.peek() {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// next moves to the next element of a checked array or object; false at its end.
func (s *scanner) next(end byte, first bool) bool {
	s.space()
	if s.peek() == end || s.i >= len(s.b) {
		return false
	}
	if !first {
		s.i++ // the comma
		s.space()
	}
	return true
}

// value returns the value at i of checked text and moves past it.
func (s *scanner) value() Raw {
	start := s.i
	s.skip(0)
	return s.b[start:s.i]
}

func (s *scanner) skip(depth int) {
	if depth > maxDepth {
		s.fail()
		return
	}
	switch c := s.peek(); c {
	case '{', '[':
		s.i++
		s.skipInside(c, depth)
	case '"':
		s.skipString()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.skipNumber()
	}
}

func (s *scanner) skipInside(open byte, depth int) {
	end := open + 2 // '[' and ']', '{' and '}' stand two apart
	s.space()
	if s.peek() == end {
		s.i++
		return
	}
	for !s.bad {
		if open == '{' {
			s.skipString()
			s.space()
			s.take(':')
			s.space()
		}
		s.skip(depth + 1)
		s.space()
		if s.peek() == end {
			s.i++
			return
		}
		s.take(',')
		s.space()
	}
}

func (s *scanner) take(c byte) {
	if s.peek() != c {
		s.fail()
		return
	}
	s.i++
}

func (s *scanner) literal(word string) {
	for i := range len(word) {
		s.take(word[i])
	}
}

func (s *scanner) digits() {
	if c := s.peek(); c < '0' || c > '9' {
		s.fail()
	}
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
}

func (s *scanner) skipNumber() {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else {
		s.digits()
	}
	if s.peek() == '.' {
		s.i++
		s.digits()
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		s.digits()
	}
}

func (s *scanner) skipString() {
	s.take('"')
	for !s.bad {
		for s.i < len(s.b) && s.b[s.i] != '"' && s.b[s.i] != '\\' && s.b[s.i] >= ' ' {
			s.i++
		}
		switch c := s.peek(); {
		case c == '"':
			s.i++
			return
		case c < ' ': // also the end of the text
			s.fail()
		case c == '\\':
			s.i++
			s.skipEscape()
		}
	}
}

func (s *scanner) skipEscape() {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
	case 'u':
		s.i++
		for range 4 {
			if !hex(s.peek()) {
				s.fail()
				return
			}
			s.i++
		}
	default:
		s.fail()
	}
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// unquote returns the text of a checked string. Bytes that are not UTF-8 and
// halves of surrogate pairs become U+FFFD.
func unquote(v Raw) (string, error) {
	if len(v) < 2 || v[0] != '"' {
		return "", errors.New("a JSON string is wanted here")
	}
	in := v[1 : len(v)-1]
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); {
		if in[i] == '\\' {
			r, n := escape(in[i:])
			out = utf8.AppendRune(out, r)
			i += n
			continue
		}
		if in[i] < utf8.RuneSelf {
			out = append(out, in[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(in[i:])
		out = utf8.AppendRune(out, r)
		i += n
	}
	return string(out), nil
}

// escape decodes the escape at the start of b: the rune, and the bytes it took.
func escape(b []byte) (rune, int) {
	switch b[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r := unit(b[2:])
		if utf16.IsSurrogate(r) && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if pair := utf16.DecodeRune(r, unit(b[8:])); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return r, 6 // AppendRune writes a lone surrogate as U+FFFD
	}
	return rune(b[1]), 2
}

func unit(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 32)
	return rune(n)
}
