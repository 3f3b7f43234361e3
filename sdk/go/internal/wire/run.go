package wire

import "math/bits"

// Eight bytes at once: each of the constants has the byte in all eight places.
const (
	ones   = 0x0101010101010101
	highs  = 0x80 * ones
	spaces = ' ' * ones
	quotes = '"' * ones
	slants = '\\' * ones
)

// run returns the first index from i on of a byte that may stand in a JSON string
// for something else than itself: a quote, a backslash, a control character, and
// whatever is not ASCII. It looks at eight bytes at once, because most of what
// plugins handle is output in such strings.
func run[T string | []byte](b T, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := word(b, i)
		q, s := x^quotes, x^slants
		// In each byte the high bit: it is below a space, it is a quote, it is a
		// backslash, it is not ASCII. A borrow spoils only bytes above the first found.
		found := ((x-spaces)&^x | (q-ones)&^q | (s-ones)&^s | x) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] < 0x80 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// word is binary.LittleEndian.Uint64, also of a string; the compiler makes it one load.
func word[T string | []byte](b T, i int) uint64 {
	b = b[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
