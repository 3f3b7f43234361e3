package automation

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxQuoted bounds the names that errors quote.
const maxQuoted = 64

// Quote quotes a name for an error: in double quotes, escaped, and cut after 64
// characters. Names are quoted, values never.
func Quote(name string) string {
	if utf8.RuneCountInString(name) > maxQuoted {
		name = string([]rune(name)[:maxQuoted]) + "…"
	}
	return strconv.Quote(name)
}

// DidYouMean returns `did you mean "x"?` for the known name that is nearest to
// name, or "" if none is near.
func DidYouMean(name string, known []string) string {
	if n := Nearest(name, known); n != "" {
		return "did you mean " + strconv.Quote(n) + "?"
	}
	return ""
}

// Nearest returns the known name that is nearest to name by edit distance with
// transpositions, case apart; "" if none is near: at most a third of the name may
// differ, and at least one letter must agree. The first of several wins.
func Nearest(name string, known []string) string {
	best, bestDistance := "", len(name)/3+2
	if len(name) > maxQuoted {
		return ""
	}
	lower := strings.ToLower(name)
	for _, k := range known {
		if len(k) > maxQuoted || abs(len(k)-len(name)) >= bestDistance {
			continue
		}
		if d := distance(lower, strings.ToLower(k)); d < bestDistance && d < max(len(name), len(k)) {
			best, bestDistance = k, d
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// distance is the optimal string alignment distance of two short strings.
func distance(a, b string) int {
	var before, above, row [maxQuoted + 1]int
	for j := range len(b) + 1 {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
