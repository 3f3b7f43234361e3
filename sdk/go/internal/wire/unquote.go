package wire

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

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
