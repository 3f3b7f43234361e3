package service

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

const (
	maxMapped      = 100       // expressions of a trigger
	maxMappedDepth = 20        // levels of its inputs
	maxMappedBytes = 512 << 10 // of the inputs that it makes; the planner's own bound is lower
	mappedCost     = 1_000_000 // of one expression, in CEL's units
)

// mapping makes a run's inputs of an event, and says whether it gets one. It is
// immutable and safe for concurrent use.
type mapping struct {
	condition *expr.Program // nil: every event gets one
	inputs    *template     // nil: none
}

// template is a JSON value whose texts may have expressions.
type template struct {
	constant []byte // the value, where it has none
	parts    []filled
	fields   map[string]*template
	list     []*template
}

// filled is a part of a text: as it stands, or an expression.
type filled struct {
	text    string
	program *expr.Program
}

// compileMapping checks a mapping; one with errors can only tell which inputs come
// later. types are the types of the workflow's inputs;
// nil: not known. Whether the workflow has the inputs is checked by the planner.
func compileMapping(inputs json.RawMessage, condition string, types map[string]*schema.Type) (*mapping, automation.Errors) {
	env, err := expr.NewEnv(map[string]*schema.Type{
		"event": schema.Any(), "headers": {Kind: schema.KindMap, Elem: &schema.Type{Kind: schema.KindString}},
	}, expr.Options{Cost: mappedCost})
	if err != nil {
		return &mapping{}, automation.Errors{automation.AsError(err)}
	}
	c := &mapper{env: env}
	m := &mapping{}
	if condition != "" {
		c.left++
		m.condition = c.expression("/if", condition, &schema.Type{Kind: schema.KindBoolean})
	}
	if len(inputs) > 0 {
		m.inputs = c.inputs(inputs, types)
	}
	return m, c.errs
}

// mapper compiles a mapping.
type mapper struct {
	env  *expr.Env
	left int // expressions so far
	errs automation.Errors
}

func (c *mapper) wrong(pointer string, e *automation.Error) {
	there := *e
	there.Pointer = pointer
	c.errs = append(c.errs, &there)
}

func (c *mapper) inputs(raw json.RawMessage, types map[string]*schema.Type) *template {
	doc, err := schema.Decode(raw)
	if err != nil {
		c.wrong("/inputs", automation.AsError(err))
		return nil
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil // the planner says so
	}
	out := &template{fields: map[string]*template{}}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		out.fields[name] = c.value("/inputs/"+automation.Escape(name), object[name], types[name], 1)
	}
	return out
}

// value compiles a value, which is to be of a type; nil: any.
func (c *mapper) value(at string, v any, want *schema.Type, depth int) *template {
	if depth > maxMappedDepth {
		c.wrong(at, &automation.Error{Code: automation.CodeLimit, Message: "the inputs are nested too deeply", Allowed: fmt.Sprintf("%d levels", maxMappedDepth)})
		return &template{}
	}
	var out template
	switch v := v.(type) {
	case string:
		if expr.HasTemplate(v) {
			return c.text(at, v, want)
		}
	case map[string]any:
		out.fields = map[string]*template{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out.fields[name] = c.value(at+"/"+automation.Escape(name), v[name], nil, depth+1)
		}
		return &out
	case []any:
		out.list = []*template{}
		for i, e := range v {
			out.list = append(out.list, c.value(at+"/"+strconv.Itoa(i), e, nil, depth+1))
		}
		return &out
	}
	b, err := json.Marshal(v)
	if err != nil {
		c.wrong(at, automation.AsError(err))
	}
	out.constant = b
	return &out
}

func (c *mapper) text(at, v string, want *schema.Type) *template {
	parts, err := expr.SplitTemplate(v)
	if err != nil {
		c.wrong(at, automation.AsError(err))
		return &template{}
	}
	out := &template{}
	alone := len(parts) == 1 && parts[0].Expression != ""
	for _, p := range parts {
		part := filled{text: p.Text}
		if p.Expression != "" {
			if c.left++; c.left > maxMapped {
				if c.left == maxMapped+1 {
					c.wrong(at, &automation.Error{Code: automation.CodeLimit, Message: "the trigger has too many expressions", Allowed: fmt.Sprintf("at most %d", maxMapped)})
				}
				continue
			}
			of := want
			if !alone {
				of = nil
			}
			part.program = c.expression(at, p.Expression, of)
		}
		out.parts = append(out.parts, part)
	}
	if !alone && !want.Accepts(&schema.Type{Kind: schema.KindString}) {
		c.wrong(at, &automation.Error{
			Code: automation.CodeWrongType, Message: "text that is filled in is a string", Allowed: string(want.KindOf()), Suggestion: "let the value be one expression alone: ${{ … }}",
		})
	}
	return out
}

func (c *mapper) expression(at, src string, want *schema.Type) *expr.Program {
	p, errs := c.env.Compile(src, want)
	for _, e := range errs {
		c.wrong(at, e)
	}
	return p
}

// dynamic reports whether a template has an expression.
func (t *template) dynamic() bool {
	switch {
	case t.fields != nil:
		for _, f := range t.fields {
			if f.dynamic() {
				return true
			}
		}
		return false
	case t.list != nil:
		return slices.ContainsFunc(t.list, (*template).dynamic)
	}
	return t.constant == nil
}

// later returns the inputs whose values come with an event.
func (m *mapping) later() []string {
	var out []string
	if m.inputs == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(m.inputs.fields)) {
		if m.inputs.fields[name].dynamic() {
			out = append(out, name)
		}
	}
	return out
}

// wants reports whether an event gets a run.
func (m *mapping) wants(vars expr.Vars) (bool, error) {
	if m.condition == nil {
		return true, nil
	}
	ok, err := m.condition.True(vars)
	if err != nil {
		return false, placed(err, "/if")
	}
	return ok, nil
}

// fill returns the inputs that an event makes; nil: none. It finds everything
// that is wrong.
func (m *mapping) fill(vars expr.Vars) (json.RawMessage, error) {
	if m.inputs == nil {
		return nil, nil
	}
	f := &filler{vars: vars}
	out := f.fill(nil, m.inputs, "/inputs")
	return out, f.errs.OrNil()
}

type filler struct {
	vars expr.Vars
	errs automation.Errors
}

func (f *filler) fill(dst []byte, t *template, at string) []byte {
	if len(dst) > maxMappedBytes {
		if len(f.errs) == 0 {
			f.errs = automation.Errors{placed(tooMuchInput(), at)}
		}
		return dst
	}
	switch {
	case t.fields != nil:
		dst = append(dst, '{')
		for i, name := range slices.Sorted(maps.Keys(t.fields)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(expr.AppendString(dst, name), ':')
			dst = f.fill(dst, t.fields[name], at+"/"+automation.Escape(name))
		}
		return append(dst, '}')
	case t.list != nil:
		dst = append(dst, '[')
		for i, e := range t.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = f.fill(dst, e, at+"/"+strconv.Itoa(i))
		}
		return append(dst, ']')
	case t.constant != nil:
		return append(dst, t.constant...)
	}
	return f.text(dst, t.parts, at)
}

func tooMuchInput() error {
	return &automation.Error{
		Code: automation.CodeLimit, Message: "the event makes inputs that are too large", Allowed: fmt.Sprintf("at most %d bytes", maxMappedBytes),
	}
}

func (f *filler) text(dst []byte, parts []filled, at string) []byte {
	wrong := func(err error) []byte {
		f.errs = append(f.errs, placed(err, at))
		return append(dst, "null"...)
	}
	if len(parts) == 1 && parts[0].program != nil {
		v, err := parts[0].program.Eval(f.vars)
		if err != nil {
			return wrong(err)
		}
		out, err := v.AppendJSON(dst)
		if err != nil {
			return wrong(err)
		}
		return out
	}
	var text []byte
	for _, p := range parts {
		text = append(text, p.text...)
		if p.program == nil {
			continue
		}
		v, err := p.program.Eval(f.vars)
		if err != nil {
			return wrong(err)
		}
		if text, err = v.AppendText(text); err != nil {
			return wrong(err)
		}
		if len(text) > maxMappedBytes {
			return wrong(tooMuchInput())
		}
	}
	return expr.AppendString(dst, string(text))
}
