package workflow

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
)

// parse reads a definition: JSON when it begins with a brace or a bracket, YAML
// otherwise.
func parse(src []byte) (*node, *automation.Error) {
	if !utf8.Valid(src) {
		return nil, syntaxError(invalidUTF8(src), "the definition is not UTF-8")
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	rest := bytes.TrimLeft(src, " \t\r\n")
	if len(rest) == 0 {
		return nil, syntaxError(place{1, 1}, "the definition is empty")
	}
	if rest[0] == '{' || rest[0] == '[' {
		return parseJSON(string(src))
	}
	return parseYAML(src)
}

func invalidUTF8(src []byte) place {
	at := place{1, 1}
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if at.column++; r == '\n' {
			at = place{at.line + 1, 1}
		}
		src = src[n:]
	}
	return at
}

// jsonParser reads JSON (RFC 8259) with places.
type jsonParser struct {
	src  string
	pos  int
	line int
	// column is that of the character at counted, in the same line: columns count
	// characters, and counting from the line's beginning each time would take
	// quadratic time.
	column, counted int
	nodes           int
}

func parseJSON(src string) (*node, *automation.Error) {
	p := &jsonParser{src: src, line: 1, column: 1}
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.pos < len(p.src) {
		return nil, syntaxError(p.at(), "text after the end of the JSON document")
	}
	return n, nil
}

func (p *jsonParser) at() place {
	p.column += utf8.RuneCountInString(p.src[p.counted:p.pos])
	p.counted = p.pos
	return place{p.line, p.column}
}

func (p *jsonParser) blanks() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case '\n':
			p.line++
			p.column, p.counted = 1, p.pos+1
		case ' ', '\t', '\r':
		default:
			return
		}
		p.pos++
	}
}

// next skips blanks and reports whether c is next, which is then read.
func (p *jsonParser) next(c byte) bool {
	p.blanks()
	if p.pos < len(p.src) && p.src[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *jsonParser) value(depth int) (*node, *automation.Error) {
	p.blanks()
	at := p.at()
	if depth > maxNesting {
		return nil, nestingError(at)
	}
	if p.nodes++; p.nodes > maxNodes {
		return nil, nodesError(at)
	}
	if p.pos >= len(p.src) {
		return nil, syntaxError(at, "the JSON document ends too early")
	}
	switch c := p.src[p.pos]; {
	case c == '{':
		p.pos++
		return p.object(at, depth)
	case c == '[':
		p.pos++
		return p.array(at, depth)
	case c == '"':
		s, err := p.string()
		return &node{kind: nodeString, at: at, text: s}, err
	case c == '-' || c >= '0' && c <= '9':
		return p.number(at)
	}
	for word, kind := range map[string]nodeKind{"true": nodeBool, "false": nodeBool, "null": nodeNull} {
		if strings.HasPrefix(p.src[p.pos:], word) {
			p.pos += len(word)
			return &node{kind: kind, at: at, text: word}, nil
		}
	}
	return nil, syntaxError(at, "not a JSON value")
}

func (p *jsonParser) object(at place, depth int) (*node, *automation.Error) {
	n := &node{kind: nodeObject, at: at}
	if p.next('}') {
		return n, nil
	}
	for {
		p.blanks()
		m := member{at: p.at()}
		if p.pos >= len(p.src) || p.src[p.pos] != '"' {
			return nil, syntaxError(p.at(), "a key in double quotes is missing")
		}
		var err *automation.Error
		if m.name, err = p.string(); err != nil {
			return nil, err
		}
		if !p.next(':') {
			return nil, syntaxError(p.at(), "a colon after the key is missing")
		}
		if m.value, err = p.value(depth + 1); err != nil {
			return nil, err
		}
		n.members = append(n.members, m)
		if p.next('}') {
			return n, nil
		}
		if !p.next(',') {
			return nil, syntaxError(p.at(), "a comma or a closing brace is missing")
		}
	}
}

func (p *jsonParser) array(at place, depth int) (*node, *automation.Error) {
	n := &node{kind: nodeArray, at: at}
	if p.next(']') {
		return n, nil
	}
	for {
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
		if p.next(']') {
			return n, nil
		}
		if !p.next(',') {
			return nil, syntaxError(p.at(), "a comma or a closing bracket is missing")
		}
	}
}

func (p *jsonParser) string() (string, *automation.Error) {
	at := p.at()
	for end := p.pos + 1; end < len(p.src); end++ {
		switch p.src[end] {
		case '\\':
			end++
		case '"':
			var s string
			if err := json.Unmarshal([]byte(p.src[p.pos:end+1]), &s); err != nil {
				return "", syntaxError(at, "not a JSON string")
			}
			p.pos = end + 1
			return s, nil
		case '\n':
			return "", syntaxError(at, "a string that does not end on its line")
		}
	}
	return "", syntaxError(at, "a string that does not end")
}

func (p *jsonParser) number(at place) (*node, *automation.Error) {
	end := p.pos
	for end < len(p.src) && strings.IndexByte("+-.0123456789eE", p.src[end]) >= 0 {
		end++
	}
	text := p.src[p.pos:end]
	if !json.Valid([]byte(text)) {
		return nil, syntaxError(at, "not a JSON number")
	}
	p.pos = end
	return &node{kind: nodeNumber, at: at, text: text}, nil
}
