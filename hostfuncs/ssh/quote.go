package ssh

import "strings"

// Quote returns a word that a POSIX shell (and csh and fish) reads back as
// exactly s, whatever bytes it has apart from NUL, which no argument can hold.
func Quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// Join returns the words of argv, quoted and with a space between.
func Join(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = Quote(a)
	}
	return strings.Join(quoted, " ")
}
