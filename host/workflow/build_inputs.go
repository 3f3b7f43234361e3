package workflow

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/workflow/expr"
)

// inputs are the declared inputs with their values.
type inputs struct {
	typ    *schema.Type
	values *node // an object: supplied values and defaults
	ok     bool  // the values are all right
}

func (in *inputs) value() expr.Value { return expr.JSON(in.typ, in.values.value()) }

// kinds are the types of inputs.
func inputType(name string) *schema.Type {
	switch name {
	case "string", "integer", "number", "boolean":
		return &schema.Type{Kind: schema.Kind(name)}
	case "array":
		return &schema.Type{Kind: schema.KindList}
	case "object":
		return &schema.Type{Kind: schema.KindMap}
	}
	return nil
}

func (b *builder) readInputs() {
	before := len(b.errs)
	b.inputs = &inputs{typ: &schema.Type{Kind: schema.KindObject, Fields: map[string]*schema.Type{}}, values: &node{kind: nodeObject}}
	supplied := b.suppliedInputs()
	declared := b.root.field("inputs")
	given := map[string]*node{}
	for _, m := range supplied.members {
		given[m.name] = m.value
	}
	if b.mode.given != nil { // they were checked by the template's schema
		for _, m := range b.mode.given.members {
			given[m.name] = m.value
		}
	}
	var names []string
	known := map[string]bool{}
	if declared != nil && declared.kind == nodeObject {
		for _, m := range declared.members {
			if m.value.kind == nodeObject && !known[m.name] {
				known[m.name] = true
				names = append(names, m.name)
				b.readInput(m, given[m.name])
			}
		}
	}
	for _, m := range supplied.members {
		if !known[m.name] && !b.full() {
			b.addInput(m.name, &automation.Error{
				Code: automation.CodeUnknownName, Message: "the workflow has no input " + automation.Quote(m.name),
				Allowed: list(names), Suggestion: automation.DidYouMean(m.name, names),
			})
		}
	}
	b.inputs.ok = len(b.errs) == before && len(b.later) == 0
}

// addInput reports an error about a supplied value: it has a pointer and no line,
// since it is not in the definition.
func (b *builder) addInput(name string, e *automation.Error) {
	e.Pointer = "/inputs"
	if name != "" {
		e.Pointer += "/" + automation.Escape(name)
	}
	e.Line, e.Column = 0, 0
	b.errs = append(b.errs, e)
}

// suppliedInputs reads the values that came with the request.
func (b *builder) suppliedInputs() *node {
	none := &node{kind: nodeObject}
	raw := bytes.TrimSpace(b.Inputs)
	if len(raw) == 0 || string(raw) == "null" {
		return none
	}
	if len(raw) > b.Limits.InputBytes {
		b.addInput("", limitError("the inputs have too many bytes", b.Limits.InputBytes, ""))
		return none
	}
	n, err := parseJSON(string(raw))
	switch {
	case err != nil:
		b.addInput("", err)
		return none
	case n.kind != nodeObject:
		b.addInput("", &automation.Error{Code: automation.CodeWrongType, Message: "the inputs are not an object", Allowed: "object"})
		return none
	}
	n.duplicates("", func(e *automation.Error) {
		b.addInput("", &automation.Error{Code: e.Code, Message: e.Message, Suggestion: e.Suggestion})
	})
	return n
}

// readInput reads an input's declaration, and its supplied value; nil: none.
func (b *builder) readInput(m member, value *node) {
	at := "/inputs/" + automation.Escape(m.name)
	typ := inputType(m.value.str("type"))
	b.inputs.typ.Fields[m.name] = typ
	allowed := m.value.field("enum")
	if allowed != nil && allowed.kind == nodeArray {
		for i, v := range allowed.items {
			if e := checkInput(v, typ, nil); e != nil {
				b.add(at+"/enum/"+strconv.Itoa(i), e)
			}
		}
	}
	fallback := m.value.field("default")
	required := m.value.field("required")
	if fallback != nil {
		if required != nil && required.text == "true" {
			b.add(at+"/default", &automation.Error{
				Code: automation.CodeInvalid, Message: "a required input has no use for a default", Suggestion: "drop required or default",
			})
		}
		if e := checkInput(fallback, typ, allowed); e != nil {
			b.add(at+"/default", e)
		}
	}
	switch {
	case slices.Contains(b.later, m.name):
	case value != nil:
		if e := checkInput(value, typ, allowed); e != nil && !b.mode.template {
			b.addInput(m.name, e)
		}
	case fallback != nil:
		value = fallback
	case required != nil && required.text == "true" && !b.mode.template:
		b.addInput(m.name, &automation.Error{
			Code: automation.CodeMissing, Message: "the input " + m.name + " is required", Allowed: m.value.str("type"),
			Suggestion: "give it a value",
		})
	}
	if value != nil {
		b.inputs.values.members = append(b.inputs.values.members, member{name: m.name, value: value})
	}
}

// checkInput checks a value by an input's type and enumeration.
func checkInput(v *node, typ *schema.Type, allowed *node) *automation.Error {
	if typ == nil {
		return nil // the declaration is at fault
	}
	want := map[schema.Kind]nodeKind{
		schema.KindString: nodeString, schema.KindInteger: nodeNumber, schema.KindNumber: nodeNumber,
		schema.KindBoolean: nodeBool, schema.KindList: nodeArray, schema.KindMap: nodeObject,
	}[typ.Kind]
	if v.kind != want {
		return &automation.Error{Code: automation.CodeWrongType, Message: "a value of type " + v.typeName(), Allowed: typeName(typ)}
	}
	if typ.Kind == schema.KindInteger {
		if _, err := integer(v); err != nil {
			return &automation.Error{Code: automation.CodeWrongType, Message: "not an integer of 64 bits", Allowed: "integer"}
		}
	}
	if typ.Kind == schema.KindNumber {
		if _, err := strconv.ParseFloat(v.text, 64); err != nil {
			return &automation.Error{Code: automation.CodeWrongType, Message: "a number that is out of range", Allowed: "number"}
		}
	}
	if allowed == nil || allowed.kind != nodeArray {
		return nil
	}
	var names []string
	for _, a := range allowed.items {
		if bytes.Equal(a.appendJSON(nil), v.appendJSON(nil)) {
			return nil
		}
		names = append(names, strings.Trim(string(a.appendJSON(nil)), `"`))
	}
	e := &automation.Error{Code: automation.CodeInvalid, Message: "not one of the allowed values", Allowed: list(names)}
	if v.kind == nodeString {
		e.Suggestion = automation.DidYouMean(v.text, names)
	}
	return e
}

func typeName(t *schema.Type) string {
	switch t.KindOf() {
	case schema.KindList:
		return "array"
	case schema.KindMap, schema.KindObject:
		return "object"
	}
	return string(t.KindOf())
}

func (n *node) typeName() string {
	return [...]string{"null", "boolean", "number", "string", "array", "object"}[n.kind]
}

var errInteger = errors.New("not an integer")

// integer returns a number that is written without fraction and fits 64 bits.
func integer(n *node) (int64, error) {
	if n.kind != nodeNumber {
		return 0, errInteger
	}
	return strconv.ParseInt(n.text, 10, 64)
}
