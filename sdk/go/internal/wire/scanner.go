package wire

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
