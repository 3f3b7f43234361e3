package hostfuncs

import "strings"

// Unfinished returns how many bytes at the end of text may be the beginning of a
// secret that goes on in what comes next. Who passes an output on in parts keeps
// these back until more has come, so that Redact sees the secret whole.
func (s *Session) Unfinished(text []byte) int {
	f := s.opened.all()
	if f == nil {
		return 0
	}
	longest := 0
	for _, form := range f.texts {
		tail := text
		if len(tail) >= len(form) {
			tail = tail[len(tail)-len(form)+1:]
		}
		for len(tail) > longest {
			if strings.HasPrefix(form, string(tail)) {
				longest = len(tail)
				break
			}
			next := strings.IndexByte(string(tail[1:]), form[0])
			if next < 0 {
				break
			}
			tail = tail[next+1:]
		}
	}
	return longest
}
