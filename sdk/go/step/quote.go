package step

import "strings"

// Quote returns words as text that a POSIX shell (sh, dash, bash, ksh, zsh,
// busybox) reads as exactly these words, with a space between them. It is the
// only safe way to put a value into a script: every word stands in single
// quotes, so that none is a keyword, an assignment, a pattern or an expansion.
// Any bytes may be quoted but NUL, which no argument can hold: an error of code
// bad_request. Where a host function takes an argument list, pass that instead.
func Quote(words ...string) (string, error) {
	var b strings.Builder
	for i, word := range words {
		if strings.IndexByte(word, 0) >= 0 {
			return "", &Error{Code: BadRequest, Message: "a NUL byte cannot stand in a shell word; take it out", Phase: Before}
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('\'')
		b.WriteString(strings.ReplaceAll(word, "'", `'\''`))
		b.WriteByte('\'')
	}
	return b.String(), nil
}
