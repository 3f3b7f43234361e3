package automation

import (
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The bounds of a signature, in bytes.
const (
	maxSigned    = 2_000 // of a message that is looked at
	maxSignature = 300
	minOwn       = 3 // shorter names stand for nothing: they may be words
)

// Signature is what an error's message says when what differs from item to item is
// taken out: own, the names of the item itself, become <target>; addresses
// <address>, UUIDs <id>, long hexadecimal numbers <hex>, durations <time>, what stands
// in quotes <text>, and other numbers #. Two items with equal codes and signatures
// failed for the same cause. The result has at most 300 bytes.
func Signature(message string, own ...string) string {
	s := signer{rest: strings.ToValidUTF8(message[:min(len(message), maxSigned)], "")}
	for _, name := range own {
		if len(name) >= minOwn {
			s.own = append(s.own, name)
		}
	}
	for s.rest != "" && s.out.Len() < maxSignature {
		s.next()
	}
	out := strings.TrimSpace(s.out.String())
	if len(out) > maxSignature {
		out = strings.ToValidUTF8(out[:maxSignature], "")
	}
	return out
}

// signer reads a message from its beginning to its end.
type signer struct {
	rest string
	own  []string
	out  strings.Builder
	last rune // what was read last; 0 at the beginning
}

func (s *signer) take(n int, write string) {
	s.last, _ = utf8.DecodeLastRuneInString(s.rest[:n])
	s.rest = s.rest[n:]
	s.out.WriteString(write)
}

func (s *signer) next() {
	if !joins(s.last) {
		for _, name := range s.own {
			if after, ok := strings.CutPrefix(s.rest, name); ok && !begins(after) {
				s.take(len(name), "<target>")
				return
			}
		}
	}
	if n := s.quoted(); n > 0 {
		s.take(n, "<text>")
		return
	}
	if n := wordLength(s.rest); n > 0 {
		s.take(n, general(s.rest[:n]))
		return
	}
	r, size := utf8.DecodeRuneInString(s.rest)
	switch {
	case !unicode.IsSpace(r):
		s.take(size, s.rest[:size])
	case unicode.IsSpace(s.last):
		s.take(size, "")
	default:
		s.take(size, " ")
	}
}

// quoted returns how long the text in quotes is that begins here; 0: none does. An
// apostrophe within a word is no quote.
func (s *signer) quoted() int {
	first, size := utf8.DecodeRuneInString(s.rest)
	end, ok := map[rune]string{'"': `"`, '\'': "'", '`': "`", '“': "”", '‘': "’", '«': "»"}[first]
	if !ok || joins(s.last) {
		return 0
	}
	for from := size; ; {
		at := strings.Index(s.rest[from:], end)
		if at < 0 {
			return 0
		}
		from += at + len(end)
		if !begins(s.rest[from:]) {
			return from
		}
	}
}

// joins reports whether a character is part of a word that goes on after it.
func joins(r rune) bool { return r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func begins(text string) bool {
	r, size := utf8.DecodeRuneInString(text)
	if r == '.' || r == '-' { // within a name, not at the end of a sentence
		r, _ = utf8.DecodeRuneInString(text[size:])
	}
	return text != "" && joins(r)
}

// wordLength returns how long the word is that text begins with: letters, digits,
// and what stands between those in names, addresses and times.
func wordLength(text string) int {
	end := 0
	for i, r := range text {
		if !joins(r) && (i == 0 && r != ':' || r != '.' && r != ':') {
			break
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == ':' && strings.HasSuffix(text[:i], ":") { // :: ends addresses
			end = i + utf8.RuneLen(r)
		}
	}
	return end
}

// general is what a word says without what is particular in it.
func general(word string) string {
	if !strings.ContainsFunc(word, unicode.IsDigit) && !strings.Contains(word, "::") {
		return word
	}
	if _, err := netip.ParseAddr(word); err == nil || isMAC(word) {
		return "<address>"
	}
	if _, err := netip.ParseAddrPort(word); err == nil {
		return "<address>"
	}
	if _, err := time.ParseDuration(word); err == nil && !strings.HasSuffix(word, "0") {
		return "<time>"
	}
	switch {
	case isUUID(word):
		return "<id>"
	case isHex(word):
		return "<hex>"
	}
	return numbers(word)
}

// numbers replaces the numbers in a word, 1.10.3 as one.
func numbers(word string) string {
	var b strings.Builder
	in := false
	for i := 0; i < len(word); i++ {
		c := word[i]
		digit := c >= '0' && c <= '9'
		point := in && c == '.' && i+1 < len(word) && word[i+1] >= '0' && word[i+1] <= '9'
		switch {
		case digit && !in:
			b.WriteByte('#')
		case !digit && !point:
			b.WriteByte(c)
		}
		in = digit || point
	}
	return b.String()
}

func isUUID(word string) bool {
	if len(word) != 36 {
		return false
	}
	for i := range len(word) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (word[i] == '-') || !dash && !hexDigit(word[i]) {
			return false
		}
	}
	return true
}

func isMAC(word string) bool {
	if len(word) != 17 {
		return false
	}
	for i := range len(word) {
		if sep := i%3 == 2; sep != (word[i] == ':' || word[i] == '-') || !sep && !hexDigit(word[i]) {
			return false
		}
	}
	return true
}

// isHex reports whether a word is a hexadecimal number: one that begins with 0x, or
// a long one that has letters too.
func isHex(word string) bool {
	digits, marked := strings.CutPrefix(word, "0x")
	if !marked && len(digits) < 8 || digits == "" {
		return false
	}
	letters := false
	for i := range len(digits) {
		if !hexDigit(digits[i]) {
			return false
		}
		letters = letters || digits[i] > '9'
	}
	return letters || marked
}

func hexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
