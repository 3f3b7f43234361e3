package workflow

import (
	"slices"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow/expr"
)

// compileText compiles the expressions of a text of a step (nil: of the outputs); ok
// is false when one is at fault, which it has reported.
func (b *builder) compileText(s *step, env func() (*expr.Env, error), at, text string) (g segment, ok bool, err error) {
	parts, fault := expr.SplitTemplate(text)
	if fault != nil {
		b.add(at, automation.AsError(fault))
		return g, false, nil
	}
	g = segment{parts: parts, programs: make([]*expr.Program, len(parts))}
	for i, p := range parts {
		if p.Expression == "" {
			continue
		}
		names, err := env()
		if err != nil {
			return g, false, err
		}
		if g.programs[i] = b.compile(s, names, at, p.Expression, nil); g.programs[i] == nil {
			return g, false, nil
		}
	}
	return g, true, nil
}

// known reports whether the values of all expressions in a text are.
func (b *builder) known(g segment) bool {
	return !slices.ContainsFunc(g.programs, func(p *expr.Program) bool { return p != nil && !b.decided(p) })
}

// decided reports whether the value of an expression is known: a template's inputs
// are not.
func (b *builder) decided(p *expr.Program) bool {
	if b.mode.template {
		return len(p.Refs()) == 0
	}
	return onlyInputs(p)
}

// onlyInputs reports whether an expression reads inputs alone, or nothing.
func onlyInputs(p *expr.Program) bool {
	for _, r := range p.Refs() {
		if r.Path[0] != "inputs" {
			return false
		}
	}
	return true
}

// single reports whether a text is one expression, whose value keeps its type.
func (g segment) single() bool { return len(g.parts) == 1 && g.programs[0] != nil }

// append fills in a text and appends it as JSON: the value of a single expression,
// else text.
func (g segment) append(dst []byte, vars expr.Vars) ([]byte, error) {
	if g.single() {
		v, err := g.programs[0].Eval(vars)
		if err != nil {
			return nil, err
		}
		return v.AppendJSON(dst)
	}
	text, err := g.text(vars, maxFilled, tooLarge)
	if err != nil {
		return nil, err
	}
	return expr.AppendString(dst, string(text)), nil
}

// text fills in a text. With a value that makes it longer than most bytes the error is
// tooLong's.
func (g segment) text(vars expr.Vars, most int, tooLong func() error) ([]byte, error) {
	var text []byte
	for i, p := range g.parts {
		if g.programs[i] == nil {
			text = append(text, p.Text...)
			continue
		}
		v, err := g.programs[i].Eval(vars)
		if err != nil {
			return nil, err
		}
		if text, err = v.AppendText(text); err != nil {
			return nil, err
		}
		if len(text) > most {
			return nil, tooLong()
		}
	}
	return text, nil
}
