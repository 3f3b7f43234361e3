package workflow

import (
	"encoding/json"
	"fmt"
	"slices"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// compiler makes a Program of a plan with expressions.
type compiler struct {
	p     *Program
	types naming
	plain *expr.Env // without asset and item
	asset *expr.Env // with asset, without item
}

func (c *compiler) compile() error {
	p := c.p
	p.index = make(map[string]int, len(p.plan.Steps))
	c.types = naming{inputs: p.plan.Expressions.Inputs, cost: p.plan.Expressions.Cost}
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		p.ids = append(p.ids, s.ID)
		p.index[s.ID] = i
		c.types.steps = append(c.types.steps, c.stepType(i))
	}
	slices.Sort(p.ids)
	doc, err := schema.Decode(p.plan.Inputs)
	if err != nil {
		return err
	}
	p.inputs = expr.JSON(p.plan.Expressions.Inputs, doc)
	for i := range p.plan.Steps {
		if err := c.step(i); err != nil {
			return p.planFault(i, err)
		}
	}
	if p.plan.ItemTarget {
		c.setTargets()
	}
	return c.outputs()
}

func (c *compiler) stepType(i int) stepType {
	s := &c.p.plan.Steps[i]
	t := stepType{id: s.ID, outputs: s.Outputs, size: max(1, len(c.p.steps[i].elements))}
	f := s.ForEach
	if f == nil {
		return t
	}
	t.fanOut, t.assets = true, f.Targets || f.Assets
	switch {
	case f.Expression != "":
		t.size = reckoned(c.p.plan.Expressions.Iterations)
	case !f.Targets:
		t.elem = listType(f.List)
	}
	return t
}

func listType(raw []json.RawMessage) *schema.Type {
	values := make([]any, 0, len(raw))
	for _, r := range raw {
		v, err := schema.Decode(r)
		if err != nil {
			return schema.Any()
		}
		values = append(values, v)
	}
	return schema.Common(values, 0)
}

func (c *compiler) step(i int) error {
	s, ps := &c.p.steps[i], &c.p.plan.Steps[i]
	own := &c.types.steps[i]
	if ps.If != "" || ps.ForEach != nil && ps.ForEach.Expression != "" {
		if err := c.env(&c.plain, nil); err != nil {
			return err
		}
	}
	var errs automation.Errors
	if ps.If != "" {
		if s.condition, errs = c.plain.Compile(ps.If, kind(schema.KindBoolean)); errs != nil {
			return errs[0]
		}
	}
	if ps.ForEach != nil && ps.ForEach.Expression != "" {
		if s.loop, errs = c.plain.Compile(ps.ForEach.Expression, kind(schema.KindList)); errs != nil {
			return errs[0]
		}
		own.elem = schema.Any()
		if r := s.loop.Result(); r.KindOf() == schema.KindList && r.Elem != nil {
			own.elem = r.Elem
		}
		c.plain, c.asset = nil, nil // what is known of the step has changed
		c.setTargets()
	}
	s.elem = own.elem
	if err := c.retry(i); err != nil {
		return err
	}
	if len(ps.Dynamic) == 0 && !ps.KeyDynamic {
		return nil
	}
	env, err := c.stepEnv(own)
	if err != nil {
		return err
	}
	if ps.KeyDynamic {
		if err := c.key(i, env); err != nil {
			return err
		}
	}
	if len(ps.Dynamic) == 0 {
		return nil
	}
	return c.with(i, env)
}

func (c *compiler) setTargets() {
	if c.p.targets != nil {
		return
	}
	c.p.targets = make(map[automation.AssetID]*automation.Target, len(c.p.plan.Targets))
	for i := range c.p.plan.Targets {
		c.p.targets[c.p.plan.Targets[i].ID] = &c.p.plan.Targets[i]
	}
}

// env makes an environment unless there is one.
func (c *compiler) env(env **expr.Env, own *stepType) (err error) {
	if *env == nil {
		*env, err = c.types.env(own)
	}
	return err
}

func (c *compiler) stepEnv(own *stepType) (*expr.Env, error) {
	if own.elem != nil {
		return c.types.env(own)
	}
	env := &c.plain
	if own.assets {
		env = &c.asset
	}
	err := c.env(env, own)
	return *env, err
}

// with takes a step's inputs apart into segments.
func (c *compiler) with(i int, env *expr.Env) error {
	ps := &c.p.plan.Steps[i]
	root, err := parseJSON(string(ps.With))
	if err != nil {
		return err
	}
	w := segments{env: env, dynamic: ps.Dynamic}
	w.add(root, "")
	if w.err != nil {
		return w.err
	}
	c.p.steps[i].with = w.out
	return nil
}

// segments gathers the segments of a step's inputs.
type segments struct {
	env     *expr.Env
	dynamic []string
	out     []segment
	err     error
}

func (w *segments) raw(f func(dst []byte) []byte) {
	if len(w.out) == 0 || w.out[len(w.out)-1].parts != nil {
		w.out = append(w.out, segment{})
	}
	last := &w.out[len(w.out)-1]
	last.raw = f(last.raw)
}

func (w *segments) bytes(s string) { w.raw(func(dst []byte) []byte { return append(dst, s...) }) }

func (w *segments) add(n *node, at string) {
	switch {
	case w.err != nil:
	case slices.Contains(w.dynamic, at):
		w.template(n.text, at)
	case n.kind == nodeArray:
		w.bytes("[")
		for i, item := range n.items {
			if i > 0 {
				w.bytes(",")
			}
			w.add(item, fmt.Sprintf("%s/%d", at, i))
		}
		w.bytes("]")
	case n.kind == nodeObject:
		w.bytes("{")
		for i, m := range n.sorted() {
			if i > 0 {
				w.bytes(",")
			}
			w.raw(func(dst []byte) []byte { return append(expr.AppendString(dst, m.name), ':') })
			w.add(m.value, at+"/"+automation.Escape(m.name))
		}
		w.bytes("}")
	default:
		w.raw(n.appendJSON)
	}
}

func (w *segments) template(text, at string) {
	parts, err := expr.SplitTemplate(text)
	if err != nil {
		w.err = err
		return
	}
	g := segment{at: at, parts: parts, programs: make([]*expr.Program, len(parts))}
	for i, p := range parts {
		if p.Expression == "" {
			continue
		}
		var errs automation.Errors
		if g.programs[i], errs = w.env.Compile(p.Expression, nil); errs != nil {
			w.err = errs[0]
			return
		}
	}
	w.out = append(w.out, g)
}
