package wire

// What checks JSON text (skip and its kind) and what walks text that was checked
// (end, stringEnd) are functions over a slice and an index, not methods of a
// scanner: compiled to WebAssembly a field is a load and a store for each byte, and
// a local is neither.

// skip returns the index after the value at i. A fault is the complement of its
// place, and so below 0; all functions that check do so.
func skip(b []byte, i, depth int) int {
	if i >= len(b) || depth > maxDepth {
		return ^i
	}
	switch c := b[i]; c {
	case '{', '[':
		return skipInside(b, i, depth)
	case '"':
		return skipString(b, i)
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	default:
		return skipNumber(b, i)
	}
}

// skipInside is skip for an object or an array.
func skipInside(b []byte, i, depth int) int {
	open := b[i]
	end := open + 2 // '[' and ']', '{' and '}' stand two apart
	i = space(b, i+1)
	if i < len(b) && b[i] == end {
		return i + 1
	}
	for {
		if open == '{' {
			if i = skipString(b, i); i < 0 {
				return i
			}
			if i = space(b, i); i >= len(b) || b[i] != ':' {
				return ^i
			}
			i = space(b, i+1)
		}
		if i = skip(b, i, depth+1); i < 0 {
			return i
		}
		i = space(b, i)
		switch {
		case i < len(b) && b[i] == end:
			return i + 1
		case i >= len(b) || b[i] != ',':
			return ^i
		}
		i = space(b, i+1)
	}
}

func space(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func skipWord(b []byte, i int, word string) int {
	for k := range len(word) {
		if i >= len(b) || b[i] != word[k] {
			return ^i
		}
		i++
	}
	return i
}

func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = skipDigits(b, i); i < 0 {
		return i
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i < 0 {
			return i
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return skipDigits(b, i)
	}
	return i
}

func skipDigits(b []byte, i int) int {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return ^i
	}
	return i
}

func skipString(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return ^i
	}
	for i = run(b, i+1); i < len(b); i = run(b, i+1) {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return ^i
		case c == '\\':
			if i = skipEscape(b, i+1); i < 0 {
				return i
			}
		default:
			i = foreign(b, i)
		}
	}
	return ^i
}

// foreign returns the index of the last of the bytes from i on that are not ASCII.
func foreign(b []byte, i int) int {
	for i+1 < len(b) && b[i+1] >= 0x80 {
		i++
	}
	return i
}

// skipEscape returns the index of an escape's last byte; i is that after the backslash.
func skipEscape(b []byte, i int) int {
	if i >= len(b) {
		return ^i
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i
	case 'u':
		for range 4 {
			if i++; i >= len(b) || !hex(b[i]) {
				return ^i
			}
		}
		return i
	}
	return ^i
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// end returns the index after the value at i of checked text.
func end(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		for depth := 0; i < len(b); i++ {
			switch b[i] {
			case '"':
				i = stringEnd(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	default: // a word or a number
		for i < len(b) && b[i] > ' ' && b[i] != ',' && b[i] != ']' && b[i] != '}' {
			i++
		}
	}
	return i
}

// stringEnd is end for a string.
func stringEnd(b []byte, i int) int {
	for i = run(b, i+1); i < len(b); i = run(b, i+1) {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		default:
			i = foreign(b, i)
		}
	}
	return i
}
