package expr

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// What calls cost, in CEL's units. A byte that is read costs a tenth, one that is
// made a half, and an element that is made ten: with the default bound an
// evaluation makes at most 10 MB.
const (
	perRead    = 10 // bytes a unit
	perMade    = 2  // bytes a unit
	perElement = 10 // units
	perMoves   = 20 // moves of a pattern a unit
)

// actual charges every call for what it has read and made. CEL's own figures are
// lower for some calls, nothing for values of unknown type, and take as long to
// reckon as the texts are.
type actual struct{}

var _ cost.ActualCostEstimator = actual{}

func (actual) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	units := 1
	if types.IsError(result) { // refused, or at its arguments
		function = ""
	}
	switch function {
	case overloads.Matches:
		p, _ := args[1].(types.String)
		size, _ := patternSize(string(p)) // 0: it was refused
		units += size + textSize(args[0])*size/perMoves
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		if container(args[0]) && container(args[1]) {
			units += lighter(args[0], args[1])
		}
		units += min(textSize(args[0]), textSize(args[1])) / perRead
	case operators.In:
		units += weight(args[0], maxWeight) * min(listSize(args[1]), maxWeight)
	case operators.Add, "lowerAscii", "upperAscii", "trim", "split", "join", "replace", "substring", "indexOf",
		overloads.TypeConvertString, overloads.TypeConvertBytes:
		units += read(args) + made(function, result)
	default:
		units += read(args)
	}
	c := uint64(units) //nolint:gosec // sizes are not negative
	return &c
}

func read(args []ref.Val) int {
	n := 0
	for _, a := range args {
		n += textSize(a)
	}
	return n / perRead
}

func textSize(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	}
	return 0
}

// made is what a call's result costs. CEL's own lists are put together without a
// copy, so that they can be much longer than what they take; not without a bound.
func made(function string, v ref.Val) int {
	l, ok := v.(traits.Lister)
	if !ok {
		return textSize(v) / perMade
	}
	n := listSize(l)
	if _, ours := l.(*list); ours || function == "split" || n > maxParts {
		return perElement * n
	}
	return 0
}

// harmless reports whether an expression can't cost more than a little, whatever it
// reads: it compares with values that stand in it.
func harmless(x ast.Expr) bool {
	ok := true
	ast.PreOrderVisit(x, ast.NewExprVisitor(func(x ast.Expr) {
		switch x.Kind() {
		case ast.ComprehensionKind:
			ok = false
		case ast.CallKind:
			ok = ok && harmlessCall(x.AsCall())
		}
	}))
	return ok
}

func harmlessCall(c ast.CallExpr) bool {
	switch c.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional, operators.Negate:
		return true
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.In:
		for _, a := range c.Args() {
			if a.Kind() == ast.LiteralKind {
				return true
			}
		}
	}
	return false
}

// What the estimate takes for a text that is split.
const guessParts = 16

// EstimateCallCost guesses what the functions on texts cost; the actual cost is
// bounded too.
func (s estimator) EstimateCallCost(function, _ string, target *cost.AstNode, args []cost.AstNode) *cost.CallEstimate {
	if target == nil {
		return nil
	}
	size := func(n cost.AstNode) uint64 {
		if c := n.ComputedSize(); c != nil {
			return c.Max
		}
		if c := s.EstimateSize(n); c != nil {
			return c.Max
		}
		return 1
	}
	text := size(*target)
	result := &cost.SizeEstimate{Max: min(text, MaxText)}
	switch function {
	case "lowerAscii", "upperAscii", "trim", "substring":
	case "indexOf":
		return call(text/perRead, nil)
	case "split":
		result = &cost.SizeEstimate{Max: guessParts, Elem: &cost.SizeEstimate{Max: min(text, guessText)}}
		return call(text/perRead+guessParts*perElement, result)
	case "join":
		result.Max = min(text*guessText, MaxText)
	case "replace":
		result.Max = min(text+guessParts*size(args[1]), MaxText)
	default:
		return nil
	}
	return call(text/perRead+result.Max/perMade, result)
}

func call(units uint64, result *cost.SizeEstimate) *cost.CallEstimate {
	return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: 1 + units}, result)
}
