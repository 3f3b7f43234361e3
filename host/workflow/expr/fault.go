package expr

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"opsconductor.dev/host/automation"
)

// maxFaults bounds the errors about one expression.
const maxFaults = 5

// faults turns what CEL found into our errors.
func (e *Env) faults(parsed *ast.AST, iss *cel.Issues) automation.Errors {
	var out automation.Errors
	for _, c := range iss.Errors() {
		if len(out) == maxFaults {
			break
		}
		err := &automation.Error{Code: automation.CodeExpression}
		at := fmt.Sprintf(" at column %d of the expression", c.Location.Column()+1)
		if c.Location.Line() > 1 {
			at = fmt.Sprintf(" at line %d, column %d of the expression", c.Location.Line(), c.Location.Column()+1)
		}
		switch {
		case parsed == nil:
			e.syntax(err, c.Message, at)
		case strings.HasPrefix(c.Message, "undefined field"):
			e.undefinedField(err, parsed, c.ExprID, at)
		case strings.HasPrefix(c.Message, "undeclared reference to"):
			e.undeclared(err, c.Message, at)
		case strings.HasPrefix(c.Message, "found no matching overload for"):
			e.overload(err, c.Message, at)
		default:
			err.Message = "the expression is not right" + at + ": " + c.Message
		}
		out = append(out, err)
	}
	return out
}

func (e *Env) syntax(err *automation.Error, message, at string) {
	err.Message = "the expression does not parse" + at
	err.Allowed = "a CEL expression"
	for _, limit := range []string{"expression code point size exceeds", "recursion limit", "node count", "max recursion depth"} {
		if strings.Contains(message, limit) {
			err.Code = automation.CodeLimit
			err.Message = "the expression is too large"
			err.Allowed = fmt.Sprintf("%d characters, %d nested parts", MaxLength, maxDepth)
			return
		}
	}
}

func (e *Env) undefinedField(err *automation.Error, parsed *ast.AST, id int64, at string) {
	field, from, _ := e.operandType(parsed.Expr(), id)
	known := from.Names()
	err.Message = "undefined field " + field + at
	err.Allowed = strings.Join(known, ", ")
	if known == nil {
		known = e.allFields()
	}
	err.Suggestion = automation.DidYouMean(field, known)
}

func (e *Env) allFields() []string {
	all := map[string]bool{}
	for _, t := range e.named {
		for name := range t.Fields {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

var quoted = regexp.MustCompile(`'([^']*)'`)

func (e *Env) undeclared(err *automation.Error, message, at string) {
	name := ""
	if m := quoted.FindStringSubmatch(message); m != nil {
		name = m[1]
	}
	names := slices.Sorted(maps.Keys(e.names))
	err.Message = "unknown name " + name + at
	err.Allowed = strings.Join(names, ", ")
	switch name {
	case "secrets":
		err.Message = "secrets cannot be read by expressions yet" + at
		err.Suggestion = "give the target a credential: the host uses it by itself"
	case "now":
		err.Message = "expressions have no clock" + at
	case "asset":
		err.Suggestion = "asset is there in targets.select, and in steps with for_each: {in: targets}"
	case "error", "attempt":
		err.Suggestion = name + " is there in retry.if"
	case "item":
		err.Suggestion = "item is there in steps with for_each over a list"
	default:
		err.Suggestion = automation.DidYouMean(name, names)
	}
}

func (e *Env) overload(err *automation.Error, message, at string) {
	parts := quoted.FindAllStringSubmatch(message, 2)
	if len(parts) < 2 {
		err.Message = "the expression is not right" + at
		return
	}
	name := strings.Trim(strings.NewReplacer("_", " ", "@", "").Replace(parts[0][1]), " ")
	on := strings.NewReplacer("object ", "").Replace(parts[1][1])
	err.Message = "no " + name + " for " + on + at
	if strings.Contains(on, "double") && strings.Contains(on, "int") {
		err.Suggestion = "write numbers that may have a fraction with a point, like 90.0, or convert with double(…)"
	}
}

func costError(limit uint64) *automation.Error {
	return &automation.Error{
		Code: automation.CodeLimit, Message: "the expression may cost too much",
		Allowed:    fmt.Sprintf("a cost of %d", limit),
		Suggestion: "loop over fewer elements, and not within another loop",
	}
}

// runtimeError turns an error of the evaluation into ours. CEL's own text may
// hold values, so only its kind is kept.
func runtimeError(err error) *automation.Error {
	text := err.Error()
	out := &automation.Error{Code: automation.CodeExpression, Err: err}
	var ours *automation.Error
	if errors.As(err, &ours) {
		return ours
	}
	for _, k := range runtimeKinds() {
		if strings.Contains(text, k.has) {
			out.Code, out.Message, out.Suggestion = k.code, k.message, k.suggestion
			return out
		}
	}
	out.Message = "it cannot be evaluated"
	return out
}

type runtimeKind struct {
	has        string
	code       automation.Code
	message    string
	suggestion string
}

func runtimeKinds() []runtimeKind {
	const x = automation.CodeExpression
	return []runtimeKind{
		{"cost limit exceeded", automation.CodeLimit, "it costs too much", "loop over fewer elements"},
		{"no such key", x, "a field or key that is not there", "ask with has(…) first"},
		{"no such attribute", x, "a name or field that is not there", "ask with has(…) first"},
		{"index out of bounds", x, "an index past the end of a list", "ask for size(…) first"},
		{"by zero", x, "a division by zero", ""},
		{"overflow", x, "a number that is out of range", ""},
		{"out of range", x, "a number that is out of range", ""},
		{"no such overload", x, "an operator or function on values of the wrong type", "convert them with int(…), double(…) or string(…)"},
		{"type conversion", x, "a value that cannot be converted", ""},
		{"parsing", x, "a text that cannot be converted", ""},
	}
}
