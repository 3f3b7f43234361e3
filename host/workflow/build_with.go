package workflow

import (
	"strconv"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// withReader reads a step's `with`: it checks the expressions and fills in those
// that only the inputs decide.
type withReader struct {
	b     *builder
	s     *step
	env   func() (*expr.Env, error)
	input *schema.Type // what the action takes; nil: not known
	// dynamic are the pointers, within `with`, of the texts that stay expressions;
	// unknown are those in the definition whose value is not known yet.
	dynamic []string
	unknown map[string]bool
	err     error
}

func (w *withReader) pointer(at string) string { return w.s.at + "/with" + at }

// read returns the node with what is known filled in; at is its pointer in `with`.
func (w *withReader) read(n *node, at string) *node {
	switch n.kind {
	case nodeString:
		if expr.HasTemplate(n.text) {
			return w.text(n, at)
		}
	case nodeArray:
		out := &node{kind: nodeArray, at: n.at, items: make([]*node, len(n.items))}
		for i, item := range n.items {
			out.items[i] = w.read(item, at+"/"+strconv.Itoa(i))
		}
		return out
	case nodeObject:
		out := &node{kind: nodeObject, at: n.at, members: make([]member, len(n.members))}
		for i, m := range n.members {
			path := at + "/" + automation.Escape(m.name)
			if expr.HasTemplate(m.name) {
				w.b.add(w.pointer(path), &automation.Error{
					Code: automation.CodeExpression, Message: "an expression in a key", Suggestion: "make the object one expression: ${{ {key: value} }}",
				})
			}
			out.members[i] = member{name: m.name, at: m.at, value: w.read(m.value, path)}
		}
		return out
	}
	return n
}

// text reads a text that may hold expressions.
func (w *withReader) text(n *node, at string) *node {
	g, ok, err := w.b.compileText(w.s, w.env, w.pointer(at), n.text)
	switch {
	case err != nil:
		w.err = err
		return n
	case !ok || !w.fits(n, at, g):
		return w.hide(n, at)
	case !w.b.known(g):
		w.dynamic = append(w.dynamic, at)
		return w.hide(n, at)
	}
	return w.fill(n, at, g)
}

// hide notes that the value at a place is not known.
func (w *withReader) hide(n *node, at string) *node {
	if w.unknown == nil {
		w.unknown = map[string]bool{}
	}
	w.unknown[w.pointer(at)] = true
	return n
}

// fits checks an expression's type by the action's schema.
func (w *withReader) fits(n *node, at string, g segment) bool {
	want := w.input.At(at)
	got := kind(schema.KindString)
	if g.single() {
		got = g.programs[0].Result()
	}
	if want.Accepts(got) {
		return true
	}
	e := &automation.Error{
		Code: automation.CodeWrongType, Message: "an expression that gives a value of type " + typeName(got), Allowed: typeName(want),
	}
	if len(g.parts) > 1 {
		e.Message, e.Suggestion = "text with expressions in it", "write one ${{ expression }} alone, which keeps its type"
	} else if want.KindOf() == schema.KindString {
		e.Suggestion = "turn it into text with string(…)"
	}
	w.b.add(w.pointer(at), e)
	return false
}

// fill evaluates what the inputs decide. The result is a value: text that looks
// like an expression stays text.
func (w *withReader) fill(n *node, at string, g segment) *node {
	if !w.b.inputs.ok {
		return w.hide(n, at)
	}
	raw, err := g.append(nil, w.b.inputVars())
	if err != nil {
		w.b.add(w.pointer(at), automation.AsError(err))
		return w.hide(n, at)
	}
	filled, perr := parseJSON(string(raw))
	if perr != nil {
		w.b.add(w.pointer(at), perr)
		return w.hide(n, at)
	}
	filled.at = n.at
	return filled
}

// maxFilled bounds a step's filled-in inputs, in bytes.
const maxFilled = 1 << 20

func tooLarge() error {
	return limitError("the filled-in inputs have too many bytes", maxFilled, "pass less from step to step")
}
