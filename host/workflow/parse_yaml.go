package workflow

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"opsconductor.dev/host/automation"
)

// parseYAML reads YAML 1.2 as far as JSON goes: no tags, no merge keys, keys that
// are text, one document. Anchors and aliases are read.
func parseYAML(src []byte) (n *node, err *automation.Error) {
	tokens := lexer.Tokenize(string(src))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	// The parser is not ours: a document that it cannot bear is a bad document.
	defer func() {
		if recover() != nil {
			n, err = nil, syntaxError(place{}, "the definition is not YAML that can be read")
		}
	}()
	f, perr := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if perr != nil {
		return nil, yamlError(perr)
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, syntaxError(placeOf(doc.Body), "more than one YAML document")
		}
		body = doc.Body
	}
	if body == nil {
		return nil, syntaxError(place{1, 1}, "the definition is empty")
	}
	r := yamlReader{anchors: map[string]*node{}}
	n = r.read(body, 0)
	if r.err != nil {
		return nil, r.err
	}
	return n, nil
}

func yamlError(err error) *automation.Error {
	var y yaml.Error
	if !errors.As(err, &y) {
		return syntaxError(place{}, "the definition is not YAML")
	}
	// The library quotes what it has read, which is not told.
	cause := regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllString(y.GetMessage(), "…")
	e := syntaxError(place{}, "not YAML: "+cause)
	if strings.ContainsAny(cause, "\"'\n") {
		e.Message = "the definition is not YAML"
	}
	e.Suggestion = "look at the indentation, the colons and the quotes here and just above"
	if t := y.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

// The bounds of a YAML document beside those of every document.
const (
	maxTokens = 100_000
	maxKeys   = 10_000
)

// checkTokens bounds what the parser is given: it works in time quadratic in the
// depth of brackets, in signs that follow each other, and in the keys of a
// mapping.
func checkTokens(tokens token.Tokens) *automation.Error {
	open, run, keys := 0, 0, 0
	for i, t := range tokens {
		if t.Type == token.MappingValueType {
			keys++
		}
		if keys > maxKeys || i >= maxTokens {
			e := nodesError(place{t.Position.Line, t.Position.Column})
			e.Message, e.Allowed = "the YAML document has too many parts", strconv.Itoa(maxKeys)+" keys, "+strconv.Itoa(maxTokens)+" tokens"
			e.Suggestion = "write it as JSON, which has no such limit"
			return e
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			open++
		case token.MappingEndType, token.SequenceEndType:
			open--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			run += 2
		}
		run = max(run-1, 0)
		if open > maxNesting || run > maxNesting {
			return nestingError(place{t.Position.Line, t.Position.Column})
		}
	}
	return nil
}

func placeOf(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key)
	case *ast.MappingKeyNode:
		if n.Value != nil {
			return placeOf(n.Value)
		}
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{t.Position.Line, t.Position.Column}
}

// yamlReader turns YAML's tree into ours; the first error stops it.
type yamlReader struct {
	anchors map[string]*node
	nodes   int
	err     *automation.Error
}

func (r *yamlReader) fail(e *automation.Error) *node {
	if r.err == nil {
		r.err = e
	}
	return &node{kind: nodeNull}
}

func (r *yamlReader) read(y ast.Node, depth int) *node {
	if r.err != nil {
		return &node{kind: nodeNull}
	}
	if y == nil {
		return r.fail(syntaxError(place{}, "a value is missing"))
	}
	at := placeOf(y)
	if depth > maxNesting {
		return r.fail(nestingError(at))
	}
	if r.nodes++; r.nodes > maxNodes {
		return r.fail(nodesError(at))
	}
	switch y := y.(type) {
	case *ast.MappingNode:
		return r.mapping(y.Values, at, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{y}, at, depth)
	case *ast.SequenceNode:
		n := &node{kind: nodeArray, at: at}
		for _, v := range y.Values {
			n.items = append(n.items, r.read(v, depth+1))
		}
		return n
	case *ast.AnchorNode:
		n := r.read(y.Value, depth+1)
		r.anchors[y.Name.GetToken().Value] = n
		return n
	case *ast.AliasNode:
		return r.alias(y, at, depth)
	}
	return r.scalar(y, at)
}

func (r *yamlReader) scalar(y ast.Node, at place) *node {
	switch y := y.(type) {
	case *ast.StringNode:
		if y.GetToken().Type == token.StringType && validNumber(y.Value) {
			// The library takes a plain number of more than 64 bits for text.
			return &node{kind: nodeNumber, at: at, text: y.Value}
		}
		return r.text(y.Value, at)
	case *ast.LiteralNode:
		return r.text(y.Value.Value, at)
	case *ast.NullNode:
		return &node{kind: nodeNull, at: at}
	case *ast.BoolNode:
		return &node{kind: nodeBool, at: at, text: strconv.FormatBool(y.Value)}
	case *ast.IntegerNode:
		return r.number(y.GetToken().Value, y.Value, at)
	case *ast.FloatNode:
		return r.number(y.GetToken().Value, y.Value, at)
	case *ast.TagNode:
		return r.fail(syntaxError(at, "YAML tags are not read here"))
	case *ast.InfinityNode, *ast.NanNode:
		return r.fail(syntaxError(at, "a number that JSON has no form for"))
	}
	return r.fail(syntaxError(at, "a kind of YAML value that JSON has no form for"))
}

func (r *yamlReader) text(s string, at place) *node {
	if !utf8.ValidString(s) {
		return r.fail(syntaxError(at, "text that is not UTF-8"))
	}
	return &node{kind: nodeString, at: at, text: s}
}

// number keeps a number as it was written where JSON writes it so.
func (r *yamlReader) number(written string, value any, at place) *node {
	n := &node{kind: nodeNumber, at: at, text: written}
	if validNumber(written) {
		return n
	}
	digits := strings.TrimLeft(written, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		e := syntaxError(at, "a number that begins with 0")
		e.Suggestion = "write it without the 0, or in quotes if it is text, or as 0o… if it is octal"
		return r.fail(e)
	}
	switch v := value.(type) {
	case uint64:
		n.text = strconv.FormatUint(v, 10)
	case int64:
		n.text = strconv.FormatInt(v, 10)
	case float64:
		n.text = strconv.FormatFloat(v, 'g', -1, 64)
	}
	if !validNumber(n.text) {
		return r.fail(syntaxError(at, "a number that JSON has no form for"))
	}
	return n
}

func validNumber(s string) bool {
	n, err := parseJSON(s)
	return err == nil && n.kind == nodeNumber
}

func (r *yamlReader) mapping(values []*ast.MappingValueNode, at place, depth int) *node {
	n := &node{kind: nodeObject, at: at}
	for _, v := range values {
		m := member{at: placeOf(v.Key)}
		switch k := r.key(v.Key).(type) {
		case *ast.StringNode:
			m.name = k.Value
		case *ast.MergeKeyNode:
			return r.fail(syntaxError(m.at, "merge keys (<<) are not read here"))
		default:
			e := syntaxError(m.at, "a key that is not text")
			e.Suggestion = "put it in quotes"
			return r.fail(e)
		}
		m.value = r.read(v.Value, depth+1)
		n.members = append(n.members, m)
	}
	return n
}

func (r *yamlReader) key(k ast.Node) ast.Node {
	if q, ok := k.(*ast.MappingKeyNode); ok {
		return q.Value
	}
	return k
}

// alias returns what the alias stands for, with the places of the anchor; every
// value in it counts again.
func (r *yamlReader) alias(y *ast.AliasNode, at place, depth int) *node {
	n, ok := r.anchors[y.Value.GetToken().Value]
	if !ok {
		return r.fail(syntaxError(at, "an alias without an anchor before it"))
	}
	height := r.count(n)
	if r.nodes > maxNodes {
		return r.fail(nodesError(at))
	}
	if depth+height > maxNesting {
		return r.fail(nestingError(at))
	}
	return n
}

// count counts a node's values, up to the bound, and returns its height.
func (r *yamlReader) count(n *node) int {
	height := 0
	if r.nodes++; r.nodes > maxNodes {
		return height
	}
	for _, item := range n.items {
		height = max(height, r.count(item)+1)
	}
	for _, m := range n.members {
		height = max(height, r.count(m.value)+1)
	}
	return height
}
