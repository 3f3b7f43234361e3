package workflow

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow/expr"
)

// The bounds of a document's form. They hold for YAML's aliases too: an alias
// counts for all that it stands for.
const (
	maxNesting = 64
	maxNodes   = 200_000
)

type nodeKind byte

const (
	nodeNull nodeKind = iota
	nodeBool
	nodeNumber
	nodeString
	nodeArray
	nodeObject
)

// place is a position in the document, both from 1; 0: not known.
type place struct{ line, column int }

// node is a value of a definition with its place.
type node struct {
	kind    nodeKind
	at      place
	text    string // of a string; of a number, a boolean: as JSON writes it
	members []member
	items   []*node
}

// member is a field of an object.
type member struct {
	name  string
	at    place
	value *node
}

// field returns the value of a field, nil if n is no object or has no such field.
func (n *node) field(name string) *node {
	if n == nil {
		return nil
	}
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// str returns the text of a string field, "" if there is none.
func (n *node) str(name string) string {
	if f := n.field(name); f != nil && f.kind == nodeString {
		return f.text
	}
	return ""
}

// value returns the node as decoded JSON.
func (n *node) value() any {
	switch n.kind {
	case nodeNull:
		return nil
	case nodeBool:
		return n.text == "true"
	case nodeNumber:
		return json.Number(n.text)
	case nodeString:
		return n.text
	case nodeArray:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.value()
		}
		return out
	}
	out := make(map[string]any, len(n.members))
	for _, m := range n.members {
		out[m.name] = m.value.value()
	}
	return out
}

// appendJSON appends the node as JSON, keys sorted, numbers as they were written.
func (n *node) appendJSON(dst []byte) []byte {
	switch n.kind {
	case nodeNull:
		return append(dst, "null"...)
	case nodeBool, nodeNumber:
		return append(dst, n.text...)
	case nodeString:
		return expr.AppendString(dst, n.text)
	case nodeArray:
		dst = append(dst, '[')
		for i, item := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.appendJSON(dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, m := range n.sorted() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(expr.AppendString(dst, m.name), ':')
		dst = m.value.appendJSON(dst)
	}
	return append(dst, '}')
}

func (n *node) sorted() []member {
	out := slices.Clone(n.members)
	slices.SortFunc(out, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return out
}

// places are where the values of a document and their keys stand, by JSON Pointer.
type places map[string]struct{ value, key place }

// note notes the places of a node and of all below it. Of a key that is there
// twice the last one counts.
func (p places) note(n *node, pointer string, key place) {
	p[pointer] = struct{ value, key place }{n.at, key}
	for i, item := range n.items {
		p.note(item, pointer+"/"+strconv.Itoa(i), place{})
	}
	for _, m := range n.members {
		p.note(m.value, pointer+"/"+automation.Escape(m.name), m.at)
	}
}

// of returns the place of a JSON Pointer: of the key for an unknown field, of the
// value otherwise, and of the nearest value around for what is not there.
func (p places) of(pointer string, code automation.Code) place {
	at, ok := p[pointer]
	if ok && code == automation.CodeUnknownField && at.key.line > 0 {
		return at.key
	}
	for !ok && pointer != "" {
		pointer = pointer[:max(strings.LastIndexByte(pointer, '/'), 0)]
		at, ok = p[pointer]
	}
	return at.value
}

// duplicates reports keys that an object has twice.
func (n *node) duplicates(pointer string, report func(*automation.Error)) {
	for i, item := range n.items {
		item.duplicates(pointer+"/"+strconv.Itoa(i), report)
	}
	seen := make(map[string]bool, len(n.members))
	for _, m := range n.members {
		at := pointer + "/" + automation.Escape(m.name)
		if seen[m.name] {
			report(&automation.Error{
				Code: automation.CodeInvalid, Message: "the key " + automation.Quote(m.name) + " is there twice", Pointer: at,
				Line: m.at.line, Column: m.at.column, Suggestion: "keep one of them",
			})
		}
		seen[m.name] = true
		m.value.duplicates(at, report)
	}
}

func syntaxError(at place, message string) *automation.Error {
	return &automation.Error{Code: automation.CodeSyntax, Message: message, Line: at.line, Column: at.column}
}

func nestingError(at place) *automation.Error {
	e := syntaxError(at, "the document is nested too deep")
	e.Code, e.Allowed = automation.CodeLimit, strconv.Itoa(maxNesting)+" levels"
	return e
}

func nodesError(at place) *automation.Error {
	e := syntaxError(at, "the document has too many values, those that aliases stand for counted in")
	e.Code, e.Allowed = automation.CodeLimit, strconv.Itoa(maxNodes)
	return e
}
