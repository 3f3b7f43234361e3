package workflow

import (
	"encoding/json"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/workflow/expr"
)

// declared are the inputs of a template, in the order of the definition.
func (b *builder) declared() []PlanInput {
	var out []PlanInput
	n := b.root.field("inputs")
	if n == nil {
		return nil
	}
	for _, m := range n.members {
		in := PlanInput{Name: m.name, Type: m.value.str("type")}
		if r := m.value.field("required"); r != nil {
			in.Required = r.text == "true"
		}
		if d := m.value.field("default"); d != nil {
			in.Default = d.appendJSON(nil)
		}
		if e := m.value.field("enum"); e != nil {
			in.Enum = e.appendJSON(nil)
		}
		out = append(out, in)
	}
	return out
}

// Inputs checks the inputs that a template's run is to begin with, a JSON object,
// and returns them with the defaults filled in. The error is an *automation.Error
// that names the first input at fault.
func (p *Program) Inputs(given json.RawMessage) (json.RawMessage, error) {
	in, err := parseJSON(string(given))
	if err != nil {
		return nil, err
	}
	values := &node{kind: nodeObject}
	known := map[string]bool{}
	for _, d := range p.plan.Declared {
		known[d.Name] = true
		v := in.field(d.Name)
		if v == nil && d.Default != nil {
			if v, err = parseJSON(string(d.Default)); err != nil {
				return nil, err
			}
		}
		if v == nil {
			if d.Required {
				return nil, inputFault(d.Name, &automation.Error{Code: automation.CodeMissing, Message: "it is required", Allowed: d.Type})
			}
			continue
		}
		var allowed *node
		if d.Enum != nil {
			if allowed, err = parseJSON(string(d.Enum)); err != nil {
				return nil, err
			}
		}
		if e := checkInput(v, inputType(d.Type), allowed); e != nil {
			return nil, inputFault(d.Name, e)
		}
		values.members = append(values.members, member{name: d.Name, value: v})
	}
	for _, m := range in.members {
		if !known[m.name] {
			return nil, inputFault(m.name, &automation.Error{Code: automation.CodeUnknownName, Message: "the workflow has no such input"})
		}
	}
	return values.appendJSON(nil), nil
}

func inputFault(name string, e *automation.Error) error {
	e.Message = "input " + automation.Quote(name) + ": " + e.Message
	return e
}

// Begin tells the scope of a template's run what it begins with.
func (s *Scope) Begin(begin *automation.Begin) {
	if begin == nil {
		return
	}
	s.begun, s.inputs, s.target = begin.Inputs != nil, begin.Inputs, begin.Target
	s.inputsMade = false
}

// inputsOf returns the value of `inputs`.
func (s *Scope) inputsOf(p *Program) expr.Value {
	if !s.begun {
		return p.inputs
	}
	if !s.inputsMade {
		s.inputsValue, s.inputsMade = decode(p.plan.Expressions.Inputs, s.inputs), true
	}
	return s.inputsValue
}

// targetElements is the fan-out over targets of a run that works on one target,
// known at run time.
func (p *Program) targetElements(s *Scope) []Element {
	if s.target == nil {
		return nil
	}
	return []Element{{Target: s.target}}
}
