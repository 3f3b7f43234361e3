package wire

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote returns the text of a checked string. Bytes that are not UTF-8 and halves
// of surrogate pairs become U+FFFD.
func unquote(v []byte) string {
	in := v[1 : len(v)-1]
	i := run(in, 0)
	if i == len(in) {
		return string(in)
	}
	var out strings.Builder
	out.Grow(len(in))
	out.Write(in[:i])
	for i < len(in) {
		switch c := in[i]; {
		case c == '\\':
			r, n := escape(in[i:])
			out.WriteRune(r)
			i += n
		case c < utf8.RuneSelf:
			to := run(in, i+1)
			out.Write(in[i:to])
			i = to
		default:
			r, n := utf8.DecodeRune(in[i:])
			out.WriteRune(r)
			i += n
		}
	}
	return out.String()
}

// plain is unquote without a copy where nothing has to be replaced.
func plain(v []byte) []byte {
	in := v[1 : len(v)-1]
	if run(in, 0) == len(in) {
		return in
	}
	return []byte(unquote(v))
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
