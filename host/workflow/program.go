package workflow

import (
	"encoding/json"
	"fmt"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// Program is a plan made ready for evaluation: expressions compiled, constants
// as bytes. It is immutable and safe for concurrent use.
type Program struct {
	plan   *Plan
	inputs expr.Value
	ids    []string       // of the steps, sorted
	index  map[string]int // of the steps by id
	steps  []programStep
	// targets are the plan's by asset id, for loops over assets.
	targets map[automation.AssetID]*automation.Target
	outputs []programOutput
}

type programStep struct {
	condition *expr.Program // nil: always
	retry     *expr.Program // nil: by the error's retryable
	loop      *expr.Program // for_each over an expression
	elements  []Element     // of a fan-out that is known
	with      []segment     // nil when constant
	key       *segment      // of concurrency_key; nil when it is the plan's own
	elem      *schema.Type  // of `item`
}

// segment is a stretch of a step's inputs: bytes as they are, or a text to fill in.
type segment struct {
	raw      []byte
	at       string // where the text is, a JSON Pointer within the inputs
	parts    []expr.Part
	programs []*expr.Program
}

// Compile makes a plan's expressions ready for evaluation. The error is an
// *automation.Error, code invalid for a plan that Build has not made.
func Compile(p *Plan) (*Program, error) {
	c := &compiler{p: &Program{plan: p, steps: make([]programStep, len(p.Steps))}}
	for i := range p.Steps {
		c.p.steps[i].elements = c.p.fixed(i)
	}
	if p.Expressions == nil {
		for i := range p.Steps {
			if s := &p.Steps[i]; !s.Constant && len(s.Dynamic) > 0 || s.KeyDynamic || s.If != "" || s.Retry.If != "" || s.ForEach != nil && s.ForEach.Expression != "" {
				return nil, automation.Errorf(automation.CodeInvalid, "step %s of the plan has an expression without its types", s.ID)
			}
		}
		return c.p, nil
	}
	if err := c.compile(); err != nil {
		return nil, err
	}
	return c.p, nil
}

// fixed returns the fan-out of a step where the plan has it.
func (p *Program) fixed(step int) []Element {
	f := p.plan.Steps[step].ForEach
	switch {
	case f == nil:
		return []Element{{}}
	case f.Targets:
		out := make([]Element, len(p.plan.Targets))
		for i := range out {
			out[i] = Element{Index: i, Target: &p.plan.Targets[i]}
		}
		return out
	case f.Expression != "":
		return nil
	}
	out := make([]Element, len(f.List))
	for i := range out {
		out[i] = Element{Index: i, Value: f.List[i]}
	}
	return out
}

// Plan returns the plan itself, not a copy.
func (p *Program) Plan() *Plan { return p.plan }

// Condition evaluates a step's `if`; true without one. The error is an
// *automation.Error with code expression or limit that names the step.
func (p *Program) Condition(step int, s *Scope) (bool, error) {
	c := p.steps[step].condition
	if c == nil {
		return true, nil
	}
	ok, err := c.True(&vars{p: p, scope: s, step: step})
	if err != nil {
		return false, p.fault(step, "/if", err)
	}
	return ok, nil
}

// Elements returns a step's fan-out: one empty element without for_each. The
// slice is not changed by the caller. The error is an *automation.Error with code
// expression or limit that names the step.
func (p *Program) Elements(step int, s *Scope) ([]Element, error) {
	loop := p.steps[step].loop
	if f := p.plan.Steps[step].ForEach; f != nil && f.Targets && p.plan.ItemTarget {
		return p.targetElements(s), nil
	}
	if loop == nil {
		return p.steps[step].elements, nil
	}
	v, err := loop.Eval(&vars{p: p, scope: s, step: step})
	if err != nil {
		return nil, p.fault(step, "/for_each/in", err)
	}
	n, ok := v.Len()
	if !ok {
		return nil, p.fault(step, "/for_each/in", noList())
	}
	most := p.plan.Expressions.Iterations
	assets := p.plan.Steps[step].ForEach.Assets
	if assets {
		most = p.plan.Expressions.Targets
	}
	if n > most {
		return nil, p.fault(step, "/for_each/in", limitError(fmt.Sprintf("a list of %d elements", n), most, "split the list"))
	}
	values, _ := v.Elements()
	out := make([]Element, len(values))
	size := 0
	for i, v := range values {
		if out[i], err = p.element(v, assets, s); err != nil {
			return nil, p.fault(step, "/for_each/in", err)
		}
		out[i].Index = i
		if size += len(out[i].Value); size > maxLooped {
			return nil, p.fault(step, "/for_each/in", limitError("a list of too many bytes", maxLooped, "loop over the fields that are needed"))
		}
	}
	return out, nil
}

// maxLooped bounds the elements of a fan-out as JSON, in bytes, all together.
const maxLooped = 32 << 20

// element turns an element of a list into an item's: with assets, its asset is the
// target.
func (p *Program) element(v expr.Value, assets bool, s *Scope) (Element, error) {
	raw, err := v.AppendJSON(nil)
	if err != nil {
		return Element{}, err
	}
	e := Element{Value: raw}
	if !assets {
		return e, nil
	}
	asset := v
	if a, ok := v.Field("asset"); ok {
		asset = a
	}
	id, _ := asset.Field("id")
	text, _ := id.TextOf()
	t, ok := p.targets[automation.AssetID(text)]
	if s.target != nil && string(s.target.ID) == text {
		t, ok = s.target, true
	}
	if !ok {
		return Element{}, &automation.Error{Code: automation.CodeExpression, Message: "an element whose asset is no target of the plan"}
	}
	e.Target = t
	return e, nil
}

// Input returns an item's `with`, filled in; the plan's own bytes, which are not
// changed by the caller, when it is constant. The error is an *automation.Error
// with code expression or limit that names the step.
func (p *Program) Input(step int, s *Scope, e Element) (json.RawMessage, error) {
	segments := p.steps[step].with
	if segments == nil {
		return p.plan.Steps[step].With, nil
	}
	v := vars{p: p, scope: s, step: step, element: e}
	out := make([]byte, 0, len(p.plan.Steps[step].With)+256)
	var err error
	for _, g := range segments {
		if g.parts == nil {
			out = append(out, g.raw...)
			continue
		}
		if out, err = g.append(out, &v); err != nil {
			return nil, p.fault(step, "/with"+g.at, err)
		}
		if len(out) > maxFilled {
			return nil, p.fault(step, "/with", tooLarge())
		}
	}
	return out, nil
}

// planFault names the step of a plan that can't be compiled.
func (p *Program) planFault(step int, err error) error {
	e := *automation.AsError(err)
	e.Message = "step " + p.plan.Steps[step].ID + ", the plan: " + e.Message
	return &e
}

// fault names the step and the place in it, a JSON Pointer that begins at the step,
// in an error.
func (p *Program) fault(step int, at string, err error) error {
	e := *automation.AsError(err)
	field, _, _ := strings.Cut(at[1:], "/")
	e.Message = "step " + p.plan.Steps[step].ID + ", " + field + ": " + e.Message
	e.Pointer = at
	return &e
}
