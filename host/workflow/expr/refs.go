package expr

import (
	"maps"
	"slices"

	"cel.dev/cel-go/common/ast"

	"opsconductor.dev/host/registry/schema"
)

// references finds where an expression reads a name from outside.
func references(a *ast.AST) []Ref {
	w := refWalk{info: a.SourceInfo()}
	w.walk(a.Expr(), nil)
	return w.refs
}

type refWalk struct {
	info *ast.SourceInfo
	refs []Ref
	// bound are the names that comprehensions around have bound.
	bound []string
}

// walk visits x; fields are those that are selected from it, innermost first.
func (w *refWalk) walk(x ast.Expr, fields []string) {
	switch x.Kind() {
	case ast.IdentKind:
		name := x.AsIdent()
		if slices.Contains(w.bound, name) {
			return
		}
		loc := w.info.GetStartLocation(x.ID())
		w.refs = append(w.refs, Ref{Path: append([]string{name}, fields...), Column: loc.Column() + 1})
	case ast.SelectKind:
		s := x.AsSelect()
		w.walk(s.Operand(), append([]string{s.FieldName()}, fields...))
	case ast.ComprehensionKind:
		c := x.AsComprehension()
		w.walk(c.IterRange(), nil)
		n := len(w.bound)
		w.walk(c.AccuInit(), nil)
		w.bound = append(w.bound, c.IterVar(), c.IterVar2(), c.AccuVar())
		for _, part := range []ast.Expr{c.LoopCondition(), c.LoopStep(), c.Result()} {
			w.walk(part, nil)
		}
		w.bound = w.bound[:n]
	default:
		for _, part := range parts(x) {
			w.walk(part, nil)
		}
	}
}

// parts returns the expressions directly within a call, list, map or struct.
func parts(x ast.Expr) []ast.Expr {
	switch x.Kind() {
	case ast.CallKind:
		c := x.AsCall()
		if c.IsMemberFunction() {
			return append([]ast.Expr{c.Target()}, c.Args()...)
		}
		return c.Args()
	case ast.ListKind:
		return x.AsList().Elements()
	case ast.MapKind:
		var out []ast.Expr
		for _, e := range x.AsMap().Entries() {
			out = append(out, e.AsMapEntry().Key(), e.AsMapEntry().Value())
		}
		return out
	case ast.StructKind:
		var out []ast.Expr
		for _, f := range x.AsStruct().Fields() {
			out = append(out, f.AsStructField().Value())
		}
		return out
	}
	return nil
}

// operandType finds the select with an identifier of its own (id) and returns
// its field's name and the type that the field is taken from.
func (e *Env) operandType(x ast.Expr, id int64) (field string, from *schema.Type, found bool) {
	return e.findSelect(x, id, e.names)
}

func (e *Env) findSelect(x ast.Expr, id int64, names map[string]*schema.Type) (string, *schema.Type, bool) {
	if x.Kind() == ast.SelectKind {
		s := x.AsSelect()
		if x.ID() == id {
			return s.FieldName(), infer(s.Operand(), names), true
		}
		return e.findSelect(s.Operand(), id, names)
	}
	if x.Kind() != ast.ComprehensionKind {
		for _, part := range parts(x) {
			if f, t, ok := e.findSelect(part, id, names); ok {
				return f, t, true
			}
		}
		return "", nil, false
	}
	c := x.AsComprehension()
	if f, t, ok := e.findSelect(c.IterRange(), id, names); ok {
		return f, t, true
	}
	inner := make(map[string]*schema.Type, len(names)+1)
	maps.Copy(inner, names)
	inner[c.IterVar()] = element(infer(c.IterRange(), names))
	for _, part := range []ast.Expr{c.LoopCondition(), c.LoopStep(), c.Result()} {
		if f, t, ok := e.findSelect(part, id, inner); ok {
			return f, t, true
		}
	}
	return "", nil, false
}

func element(t *schema.Type) *schema.Type {
	if t.KindOf() == schema.KindList {
		return t.Elem
	}
	return nil
}

// infer returns the type of names and of fields taken from them; nil for the rest.
func infer(x ast.Expr, names map[string]*schema.Type) *schema.Type {
	switch x.Kind() {
	case ast.IdentKind:
		return names[x.AsIdent()]
	case ast.SelectKind:
		t, _ := infer(x.AsSelect().Operand(), names).Field(x.AsSelect().FieldName())
		return t
	case ast.CallKind:
		c := x.AsCall()
		if c.FunctionName() == "_[_]" && len(c.Args()) == 2 {
			return element(infer(c.Args()[0], names))
		}
	case ast.ComprehensionKind:
		// filter gives the list that it reads; the others give no fields.
		return infer(x.AsComprehension().IterRange(), names)
	}
	return nil
}
