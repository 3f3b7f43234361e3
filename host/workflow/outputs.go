package workflow

import (
	"encoding/json"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// maxOutputs bounds a run's outputs, in bytes of JSON.
const maxOutputs = 256 << 10

// readOutputs checks the workflow's outputs, whose expressions may read every step.
func (b *builder) readOutputs() *automation.Error {
	n := b.root.field("outputs")
	if n == nil || n.kind != nodeObject {
		return nil
	}
	env, err := b.naming().env(nil)
	if err != nil {
		return automation.AsError(err)
	}
	for _, m := range n.members {
		at := "/outputs/" + automation.Escape(m.name)
		if m.value.kind != nodeString || b.faulty(at) {
			continue
		}
		if t := b.outputType(env, at, m.value.text); t != nil {
			b.outputs = append(b.outputs, PlanOutput{Name: m.name, Value: m.value.text, Type: t})
		}
	}
	slices.SortFunc(b.outputs, func(x, y PlanOutput) int { return strings.Compare(x.Name, y.Name) })
	return nil
}

// outputType checks the expressions of an output; nil when one is at fault.
func (b *builder) outputType(env *expr.Env, at, text string) *schema.Type {
	g, ok, err := b.compileText(nil, func() (*expr.Env, error) { return env, nil }, at, text)
	if err != nil || !ok {
		return nil
	}
	t := kind(schema.KindString)
	for _, p := range g.programs {
		if p == nil {
			continue
		}
		for _, r := range p.Refs() {
			if r.Path[0] == "steps" && len(r.Path) > 1 {
				b.readByOutputs = append(b.readByOutputs, r.Path[1])
			}
		}
		if len(g.parts) == 1 {
			t = p.Result()
		}
	}
	return t
}

// programOutput is an output made ready for evaluation.
type programOutput struct {
	name string
	text segment
}

// outputs compiles the plan's outputs.
func (c *compiler) outputs() error {
	for _, o := range c.p.plan.Outputs {
		if err := c.env(&c.plain, nil); err != nil {
			return err
		}
		w := segments{env: c.plain}
		w.template(o.Value, "")
		if w.err != nil {
			return w.err
		}
		c.p.outputs = append(c.p.outputs, programOutput{o.Name, w.out[0]})
	}
	return nil
}

// Outputs evaluates the workflow's outputs after its last step: a JSON object, nil
// when it declares none. The error is an *automation.Error with code expression or
// limit that names the output.
func (p *Program) Outputs(s *Scope) (json.RawMessage, error) {
	if len(p.outputs) == 0 {
		return nil, nil
	}
	out := []byte{'{'}
	for i, o := range p.outputs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(expr.AppendString(out, o.name), ':')
		var err error
		if out, err = o.text.append(out, &vars{p: p, scope: s, step: -1}); err == nil && len(out) > maxOutputs {
			err = limitError("the run's outputs have too many bytes", maxOutputs, "put out less")
		}
		if err != nil {
			e := *automation.AsError(err)
			e.Message = "output " + o.name + ": " + e.Message
			return nil, &e
		}
	}
	return append(out, '}'), nil
}
