package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// readLoop reads a for_each.in that is to be an expression.
func (b *builder) readLoop(s *step, in *node, at string) {
	parts, err := expr.SplitTemplate(in.text)
	switch {
	case err != nil:
		b.add(at, automation.AsError(err))
	case len(parts) != 1 || parts[0].Expression == "":
		b.add(at, &automation.Error{
			Code: automation.CodeInvalid, Message: "not something to loop over", Allowed: "targets, a list, or ${{ an expression }}",
			Suggestion: automation.DidYouMean(in.text, []string{"targets"}),
		})
	default:
		s.forEach.expression, s.forEach.size = parts[0].Expression, reckoned(b.Limits.Iterations)
	}
}

// hasTemplate reports whether a text in the node may hold an expression.
func (n *node) hasTemplate() bool {
	if n.kind == nodeString && expr.HasTemplate(n.text) {
		return true
	}
	return slices.ContainsFunc(n.items, (*node).hasTemplate) ||
		slices.ContainsFunc(n.members, func(m member) bool { return m.value.hasTemplate() })
}

func (b *builder) naming() naming {
	n := naming{inputs: b.inputs.typ, cost: b.Limits.ExpressionCost, steps: make([]stepType, len(b.steps))}
	for i, s := range b.steps {
		n.steps[i] = s.typ()
	}
	return n
}

func (s *step) typ() stepType {
	f := s.forEach
	if f.declared && !f.known() {
		// The fan-out is at fault already: what its items have cannot be told.
		return stepType{id: s.id, outputs: s.output, fanOut: true, assets: true, elem: schema.Any(), size: 1}
	}
	return stepType{id: s.id, outputs: s.output, fanOut: f.declared, assets: f.targets || f.assets, elem: f.elem, size: f.size}
}

// known reports whether it is known what the fan-out is over.
func (f forEach) known() bool { return f.targets || f.isList || f.expression != "" && f.elem != nil }

// checkExpressions checks every expression of the steps, in an order in which
// what a step's fan-out gives is known before it is read.
func (b *builder) checkExpressions() *automation.Error {
	order := b.order
	if order == nil {
		order = make([]int, len(b.steps))
		for i := range order {
			order[i] = i
		}
	}
	var envs envs
	for _, i := range order {
		s := b.steps[i]
		if s.forEach.expression != "" {
			env, err := envs.of(b, nil)
			if err != nil {
				return automation.AsError(err)
			}
			b.checkLoop(s, env)
			envs = nil // what is known of the step has changed
		}
	}
	for _, s := range b.steps {
		if err := b.checkStep(s, &envs); err != nil {
			return automation.AsError(err)
		}
	}
	return nil
}

// envs keeps the environments of steps with the same names.
type envs map[string]*expr.Env

func (e *envs) of(b *builder, own *stepType) (*expr.Env, error) {
	key := "plain"
	if own != nil && own.fanOut {
		key = "asset " + strconv.FormatBool(own.assets)
		if own.elem != nil {
			key += " step " + own.id
		}
	}
	if env := (*e)[key]; env != nil {
		return env, nil
	}
	env, err := b.naming().env(own)
	if err != nil {
		return nil, err
	}
	if *e == nil {
		*e = envs{}
	}
	(*e)[key] = env
	return env, nil
}

// checkLoop checks a for_each over an expression.
func (b *builder) checkLoop(s *step, env *expr.Env) {
	at := s.at + "/for_each/in"
	p := b.compile(s, env, at, s.forEach.expression, kind(schema.KindList))
	if p == nil {
		return
	}
	if b.decided(p) && b.inputs.ok {
		b.tryLoop(p, at)
	}
	s.forEach.elem = schema.Any()
	if e := p.Result(); e.KindOf() == schema.KindList && e.Elem != nil {
		s.forEach.elem = e.Elem
	}
	s.forEach.assets = hasAsset(s.forEach.elem)
	if !s.forEach.assets {
		b.needsTarget(s)
	}
}

// checkStep checks a step's condition and inputs.
func (b *builder) checkStep(s *step, envs *envs) error {
	if s.plan.If != "" && !b.faulty(s.at+"/if") {
		env, err := envs.of(b, nil)
		if err != nil {
			return err
		}
		b.checkCondition(s, env)
	}
	if err := b.checkKey(s, envs); err != nil {
		return err
	}
	if err := b.checkRetry(s); err != nil {
		return err
	}
	with := s.node.field("with")
	if with == nil {
		with = &node{kind: nodeObject, at: s.node.at}
	}
	if with.kind != nodeObject {
		return nil
	}
	own := s.typ()
	w := withReader{b: b, s: s, env: func() (*expr.Env, error) { return envs.of(b, &own) }}
	if s.input != nil {
		w.input = s.input.Type()
	}
	s.with = w.read(with, "")
	if w.err != nil {
		return w.err
	}
	s.plan.Dynamic = w.dynamic
	b.checkWith(s, w.unknown)
	return nil
}

func (b *builder) checkCondition(s *step, env *expr.Env) {
	at := s.at + "/if"
	if !b.bare(at, "if", s.plan.If) {
		return
	}
	if p := b.compile(s, env, at, s.plan.If, kind(schema.KindBoolean)); p != nil && b.decided(p) && b.inputs.ok {
		if _, err := p.True(b.inputVars()); err != nil {
			b.add(at, automation.AsError(err))
		}
	}
}

func (b *builder) inputVars() expr.Vars { return expr.Map{"inputs": b.inputs.value()} }

// tryLoop evaluates a fan-out that the inputs decide.
func (b *builder) tryLoop(p *expr.Program, at string) {
	v, err := p.Eval(b.inputVars())
	if err != nil {
		b.add(at, automation.AsError(err))
		return
	}
	switch n, ok := v.Len(); {
	case !ok:
		b.add(at, noList())
	case n > b.Limits.Iterations:
		b.add(at, limitError(fmt.Sprintf("a list of %d elements", n), b.Limits.Iterations, "split the list"))
	}
}

func noList() *automation.Error {
	return &automation.Error{Code: automation.CodeExpression, Message: "it gives no list", Allowed: "array", Suggestion: "make it a list: [value]"}
}

// bare reports whether an expression stands without ${{ }} around it, and an error
// if not.
func (b *builder) bare(at, field, src string) bool {
	if trimmed := strings.TrimSpace(src); !strings.HasPrefix(trimmed, "${{") || !strings.HasSuffix(trimmed, "}}") {
		return true
	}
	b.add(at, &automation.Error{
		Code: automation.CodeExpression, Message: field + " holds an expression as it is", Suggestion: "write it without ${{ }}",
	})
	return false
}

// checkWith validates a step's inputs by the action's schema, but for what is not
// known yet.
func (b *builder) checkWith(s *step, unknown map[string]bool) {
	if s.input == nil {
		return
	}
	prefix := s.at + "/with"
	for _, e := range s.input.ValidateExcept(s.with.value(), prefix, func(p string) bool { return unknown[p] }) {
		b.add(e.Pointer, e)
	}
}

// compile checks an expression of a step (nil: of the outputs); nil when there is an
// error, which it has reported.
func (b *builder) compile(s *step, env *expr.Env, at, src string, want *schema.Type) *expr.Program {
	refs, errs := env.Parse(src)
	if errs == nil {
		errs = b.checkRefs(s, refs)
	}
	if errs == nil {
		var p *expr.Program
		if p, errs = env.Compile(src, want); errs == nil {
			return p
		}
	}
	b.addAll(at, errs)
	return nil
}

// checkRefs checks that an expression reads only steps that have ended before.
func (b *builder) checkRefs(s *step, refs []expr.Ref) automation.Errors {
	var errs automation.Errors
	told := map[string]bool{}
	for _, r := range refs {
		if r.Path[0] != "steps" {
			continue
		}
		e := b.checkRef(s, r)
		if e != nil && !told[e.Message] {
			told[e.Message] = true
			e.Message += " at column " + strconv.Itoa(r.Column) + " of the expression"
			errs = append(errs, e)
		}
	}
	return errs
}

func (b *builder) checkRef(s *step, r expr.Ref) *automation.Error {
	if len(r.Path) < 2 {
		return &automation.Error{Code: automation.CodeExpression, Message: "steps without a step's id", Allowed: "steps.ID.outputs, .status or .items"}
	}
	id := r.Path[1]
	i := slices.IndexFunc(b.steps, func(o *step) bool { return o.id == id && id != "" })
	switch {
	case i < 0:
		var ids []string
		for j, o := range b.steps {
			if (s == nil || s.closure[j]) && o.id != "" {
				ids = append(ids, o.id)
			}
		}
		return &automation.Error{
			Code: automation.CodeUnknownName, Message: "no step " + automation.Quote(id), Allowed: list(ids), Suggestion: automation.DidYouMean(id, b.ids()),
		}
	case s != nil && b.steps[i] == s:
		return &automation.Error{Code: automation.CodeExpression, Message: "the step reads its own results"}
	case s != nil && !s.closure[i]:
		return &automation.Error{
			Code: automation.CodeExpression, Message: "step " + id + " may not have ended when this one starts", Suggestion: "add " + id + " to needs",
		}
	case len(r.Path) > 2 && r.Path[2] == "outputs" && b.steps[i].forEach.declared:
		return &automation.Error{
			Code: automation.CodeExpression, Message: "step " + id + " has for_each, so its outputs are those of its items",
			Suggestion: "use steps." + id + ".items",
		}
	}
	return nil
}

func (b *builder) ids() []string {
	var out []string
	for _, s := range b.steps {
		if s.id != "" {
			out = append(out, s.id)
		}
	}
	return out
}
