package expr

import (
	"strings"

	"opsconductor.dev/host/automation"
)

// Part is a part of a template: text as it stands, or an expression.
type Part struct {
	Text       string
	Expression string // "": the part is text
	Offset     int    // where the part begins in the template, in bytes
}

const opening = "${{"

// HasTemplate reports whether s may hold an expression or an escape: whether
// SplitTemplate may give anything but s itself.
func HasTemplate(s string) bool { return strings.Contains(s, opening) }

// SplitTemplate splits text with expressions, `${{ … }}`, into its parts. `$${{`
// stands for the characters `${{`. What is within an expression's own text
// literals and braces does not end it. A text of one expression alone, but for
// blanks around it, is one part. The error is an *automation.Error with code
// expression.
func SplitTemplate(s string) ([]Part, error) {
	var parts []Part
	var text strings.Builder
	start := 0
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, Part{Text: text.String(), Offset: start})
			text.Reset()
		}
	}
	for i := 0; i < len(s); {
		next := strings.Index(s[i:], opening)
		if next < 0 {
			text.WriteString(s[i:])
			break
		}
		next += i
		if next > i && s[next-1] == '$' {
			text.WriteString(s[i:next-1] + opening)
			i = next + len(opening)
			continue
		}
		text.WriteString(s[i:next])
		flush()
		end := closing(s, next+len(opening))
		if end < 0 {
			return nil, &automation.Error{
				Code: automation.CodeExpression, Message: "an expression that does not end",
				Allowed: "${{ expression }}", Suggestion: "end it with }}, or write $${{ for the characters ${{",
			}
		}
		src := strings.TrimSpace(s[next+len(opening) : end])
		if src == "" {
			return nil, &automation.Error{Code: automation.CodeExpression, Message: "an empty expression", Allowed: "${{ expression }}"}
		}
		parts = append(parts, Part{Expression: src, Offset: next})
		i = end + len("}}")
		start = i
	}
	flush()
	return alone(parts), nil
}

// alone drops the blanks around a single expression.
func alone(parts []Part) []Part {
	var only []Part
	for _, p := range parts {
		if p.Expression != "" || strings.TrimSpace(p.Text) != "" {
			only = append(only, p)
		}
	}
	if len(only) == 1 && only[0].Expression != "" {
		return only
	}
	return parts
}

// closing returns where the "}}" of the expression that begins at i is, -1 if
// there is none. It knows CEL's text literals: both quotes, triple ones, raw ones.
func closing(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch c := s[i]; c {
		case '\'', '"':
			raw := i > 0 && (s[i-1] == 'r' || s[i-1] == 'R')
			if i = literalEnd(s, i, raw); i < 0 {
				return -1
			}
			continue
		case '{':
			depth++
		case '}':
			if depth == 0 {
				if strings.HasPrefix(s[i:], "}}") {
					return i
				}
				return -1
			}
			depth--
		}
		i++
	}
	return -1
}

// literalEnd returns the index after a text literal that begins at i, -1 if it
// does not end.
func literalEnd(s string, i int, raw bool) int {
	quote := s[i : i+1]
	if strings.HasPrefix(s[i:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	for i += len(quote); i < len(s); i++ {
		if s[i] == '\\' && !raw {
			i++
			continue
		}
		if strings.HasPrefix(s[i:], quote) {
			return i + len(quote)
		}
	}
	return -1
}
