package expr

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"

	"opsconductor.dev/host/automation"
)

// Vars gives the values of names.
type Vars interface {
	// Name returns the value of a name, and whether there is one.
	Name(name string) (Value, bool)
}

// Map is Vars from a map.
type Map map[string]Value

// Name returns m[name].
func (m Map) Name(name string) (Value, bool) {
	v, ok := m[name]
	return v, ok
}

type activation struct{ vars Vars }

var _ cel.Activation = activation{}

func (a activation) ResolveName(name string) (any, bool) {
	v, ok := a.vars.Name(name)
	if !ok {
		return nil, false
	}
	return v.ref(), true
}

func (a activation) Parent() cel.Activation { return nil }

// Eval evaluates the expression. The error is an *automation.Error with code
// expression or limit; it holds no value that the expression has read.
func (p *Program) Eval(vars Vars) (Value, error) {
	v, _, err := p.prg.Eval(activation{vars})
	if err != nil {
		return Value{}, runtimeError(err)
	}
	if e, ok := v.(*types.Err); ok {
		return Value{}, runtimeError(e)
	}
	return Value{v}, nil
}

// True evaluates a condition.
func (p *Program) True(vars Vars) (bool, error) {
	v, err := p.Eval(vars)
	if err != nil {
		return false, err
	}
	b, ok := v.v.(types.Bool)
	if !ok {
		return false, &automation.Error{Code: automation.CodeExpression, Message: "the condition is neither true nor false", Allowed: "boolean"}
	}
	return bool(b), nil
}

// What the estimate takes for sizes that are not known.
const (
	guessText = 256
	guessList = 100
)

// estimator guesses sizes for the static bound; the actual cost is bounded too.
type estimator struct {
	sizes func([]string) (uint64, bool)
}

var _ cost.Estimator = estimator{}

func (s estimator) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if n.ComputedSize() != nil {
		return nil
	}
	if path := n.Path(); s.sizes != nil && path != nil {
		if size, ok := s.sizes(path); ok {
			return &cost.SizeEstimate{Max: size}
		}
	}
	switch n.Type().Kind() {
	case types.StringKind, types.BytesKind:
		return &cost.SizeEstimate{Max: guessText}
	case types.ListKind, types.MapKind, types.DynKind, types.StructKind:
		return &cost.SizeEstimate{Max: guessList}
	}
	return nil
}
