package ssh

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxLine is how many characters one line of a screen has; a longer one is cut in two.
const maxLine = 32 << 10

// maxEscape is how long a control sequence may be.
const maxEscape = 64

// screen turns what a terminal is sent into text: lines that were overwritten are as
// they were left, and control sequences (ECMA-48) are gone. Bytes that are not UTF-8
// become U+FFFD. Not safe for concurrent use.
type screen struct {
	done *capture // complete lines
	line []rune
	at   int // where the next character goes

	escape  []byte // a control sequence that is not complete; nil: none
	partial []byte // a character that is not complete
	heard   int64  // bytes that came in all
}

func (s *screen) write(b []byte) {
	s.heard += int64(len(b))
	for len(b) > 0 {
		if s.escape != nil {
			s.sequence(b[0])
			b = b[1:]
			continue
		}
		if b[0] < utf8.RuneSelf && len(s.partial) == 0 {
			s.control(b[0])
			b = b[1:]
			continue
		}
		s.partial = append(s.partial, b[0])
		b = b[1:]
		if utf8.FullRune(s.partial) {
			r, n := utf8.DecodeRune(s.partial)
			rest := string(s.partial[n:])
			s.partial = s.partial[:0]
			s.put(r)
			b = append([]byte(rest), b...)
		}
	}
}

// control takes a character of ASCII.
func (s *screen) control(c byte) {
	switch {
	case c == '\n':
		s.newLine()
	case c == '\r':
		s.at = 0
	case c == '\b':
		s.at = max(0, s.at-1)
	case c == 0x1b:
		s.escape = []byte{}
	case c == '\t' || c >= ' ' && c != 0x7f:
		s.put(rune(c))
	}
}

func (s *screen) put(r rune) {
	if s.at < len(s.line) {
		s.line[s.at] = r
	} else {
		s.line = append(s.line, r)
	}
	s.at++
	if len(s.line) >= maxLine {
		s.newLine()
	}
}

func (s *screen) newLine() {
	s.done.write([]byte(strings.TrimRight(string(s.line), " ") + "\n"))
	s.line, s.at = s.line[:0], 0
}

// sequence takes the next byte of a control sequence.
func (s *screen) sequence(c byte) {
	s.escape = append(s.escape, c)
	kind := s.escape[0]
	switch {
	case len(s.escape) > maxEscape && kind != ']': // no sequence is so long
		s.escape = nil
	case len(s.escape) == 1:
		if !strings.ContainsRune("[]PX^_ #%()*+-./", rune(c)) {
			s.escape = nil
		}
	case kind == '[':
		if c >= 0x40 && c <= 0x7e {
			s.erase(string(s.escape[1:]))
			s.escape = nil
		}
	case strings.IndexByte("]PX^_", kind) >= 0: // a text that BEL or ST ends
		if c == 0x07 || c == '\\' && s.escape[len(s.escape)-2] == 0x1b {
			s.escape = nil
		} else if len(s.escape) > maxLine {
			s.escape = nil
		}
	default:
		s.escape = nil
	}
}

// erase carries out the sequences that change the line.
func (s *screen) erase(sequence string) {
	switch sequence {
	case "K", "0K":
		s.line = s.line[:min(s.at, len(s.line))]
	case "2K":
		s.line, s.at = s.line[:0], 0
	case "1G", "G":
		s.at = 0
	case "D", "1D":
		s.at = max(0, s.at-1)
	}
}

// last returns the line that is not complete.
func (s *screen) last() string { return string(s.line) }

// dropLast takes away the line that is not complete.
func (s *screen) dropLast() { s.line, s.at = s.line[:0], 0 }

// pager takes a pager's question off the screen, and returns whether there was one.
func (s *screen) pager() bool {
	text := s.last()
	if len(text) > 200 {
		return false
	}
	at := pagers.FindStringIndex(text)
	if at == nil {
		return false
	}
	s.line = []rune(strings.TrimRight(text[:at[0]], " "))
	s.at = len(s.line)
	return true
}

// firstMatch returns which of the patterns a line matches; -1: none.
func firstMatch(line string, patterns []*regexp.Regexp) int {
	for i, p := range patterns {
		if p.MatchString(line) {
			return i
		}
	}
	return -1
}
