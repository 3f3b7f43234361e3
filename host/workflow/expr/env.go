package expr

import (
	"maps"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
)

// The bounds of one expression.
const (
	// MaxLength is the length of an expression, in characters.
	MaxLength = 4096
	maxDepth  = 64
	maxNodes  = 5_000
	// DefaultCost is the bound of an expression's cost, in CEL's units: about one
	// for an operation, a tenth for a character compared.
	DefaultCost = 4_000_000
)

// Options are the settings of an Env.
type Options struct {
	// Cost bounds an expression's estimated and actual cost; 0: DefaultCost.
	Cost uint64
	// Sizes says how many elements a list at a path ("steps", "check", "items")
	// has at most; nil or false: not known.
	Sizes func(path []string) (uint64, bool)
}

// Env is the names that expressions may use, with their types. It is immutable
// and safe for concurrent use.
type Env struct {
	names   map[string]*schema.Type
	named   map[string]*schema.Type // object types by their CEL name
	options Options
	env     *cel.Env
}

// NewEnv returns an Env with those names.
func NewEnv(names map[string]*schema.Type, o Options) (*Env, error) {
	base, err := baseEnv()
	if err != nil {
		return nil, automation.AsError(err)
	}
	if o.Cost == 0 {
		o.Cost = DefaultCost
	}
	e := &Env{names: names, named: map[string]*schema.Type{}, options: o}
	opts := []cel.EnvOption{
		cel.CustomTypeAdapter(adapter{base.CELTypeAdapter()}),
		cel.CustomTypeProvider(provider{base.CELTypeProvider(), e.named}),
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		opts = append(opts, cel.Variable(name, celType(names[name], name, e.named)))
	}
	e.nameFields()
	if e.env, err = base.Extend(opts...); err != nil {
		return nil, automation.AsError(err)
	}
	return e, nil
}

// nameFields notes the object types below those that are noted already.
func (e *Env) nameFields() {
	for {
		before := len(e.named)
		for name, t := range maps.Clone(e.named) {
			for field, ft := range t.Fields {
				celType(ft, name[len("object "):]+"."+field, e.named)
			}
		}
		if len(e.named) == before {
			return
		}
	}
}

// baseEnv is CEL's standard library without what needs a time-zone database: an
// expression's result must not depend on the machine.
//
//nolint:gochecknoglobals // an immutable value that takes a while to make
var baseEnv = sync.OnceValues(func() (*cel.Env, error) {
	subset := env.NewLibrarySubset()
	for _, name := range []string{
		"getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek",
		"getHours", "getMinutes", "getSeconds", "getMilliseconds",
		"matches", // with bounds, by matchFunction
	} {
		subset.AddExcludedFunctions(env.NewFunction(name))
	}
	return cel.NewCustomEnv(append(textFunctions(), matchFunction(),
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(4),
		cel.ParserExpressionSizeLimit(MaxLength),
		cel.ExpressionNodeLimit(maxNodes),
	)...)
})

// provider gives CEL the object types of an Env.
type provider struct {
	types.Provider
	named map[string]*schema.Type
}

func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := p.named[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if t, ok := p.named[name]; ok {
		return t.Names(), true
	}
	return p.Provider.FindStructFieldNames(name)
}

func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t, ok := p.named[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, field)
	}
	f, ok := t.Fields[field]
	if !ok {
		return nil, false
	}
	path := name[len("object "):] + "." + field
	return &types.FieldType{Type: celType(f, path, map[string]*schema.Type{})}, true
}

func (p provider) NewValue(string, map[string]ref.Val) ref.Val {
	return types.NewErr("an expression makes no objects of a named type")
}

// Ref is a place where an expression reads a name: the name and the fields after
// it that are written out.
type Ref struct {
	Path   []string // "steps", "check", "outputs"
	Column int      // of the expression, from 1
}

// Program is an expression that has been checked. It is immutable and safe for
// concurrent use.
type Program struct {
	prg    cel.Program
	result *schema.Type
	refs   []Ref
	cost   uint64
	src    string
}

// Result returns what is known of the result's type.
func (p *Program) Result() *schema.Type { return p.result }

// Refs returns the places where the expression reads a name.
func (p *Program) Refs() []Ref { return p.refs }

// Cost returns the estimate of the expression's greatest cost.
func (p *Program) Cost() uint64 { return p.cost }

// Parse parses an expression and returns the places where it reads a name; it
// checks nothing else.
func (e *Env) Parse(src string) ([]Ref, automation.Errors) {
	a, iss := e.env.Parse(src)
	if iss.Err() != nil {
		return nil, e.faults(nil, iss)
	}
	return references(a.NativeRep()), nil
}

// Compile parses and checks an expression, whose result is to be of type want;
// nil: any. The errors have code expression or limit and no place in a document.
func (e *Env) Compile(src string, want *schema.Type) (*Program, automation.Errors) {
	parsed, iss := e.env.Parse(src)
	if iss.Err() != nil {
		return nil, e.faults(nil, iss)
	}
	checked, iss := e.env.Check(parsed)
	if iss.Err() != nil {
		return nil, e.faults(parsed.NativeRep(), iss)
	}
	p := &Program{src: src, refs: references(checked.NativeRep())}
	p.result = e.typeOf(checked.OutputType())
	if !want.Accepts(p.result) {
		return nil, automation.Errors{{
			Code: automation.CodeExpression, Message: "the expression gives a value of type " + string(p.result.KindOf()),
			Allowed: string(want.KindOf()),
		}}
	}
	if errs := e.plan(p, checked); errs != nil {
		return nil, errs
	}
	return p, nil
}

// plan bounds the cost and makes the program.
func (e *Env) plan(p *Program, checked *cel.Ast) automation.Errors {
	estimate, err := e.env.EstimateCost(checked, estimator{e.options.Sizes})
	if err != nil {
		return automation.Errors{automation.AsError(err)}
	}
	p.cost = estimate.Max
	if p.cost > e.options.Cost {
		return automation.Errors{costError(e.options.Cost)}
	}
	if errs := checkPatterns(checked.NativeRep()); errs != nil {
		return errs
	}
	opts := []cel.ProgramOption{cel.CustomDecoratorV2(sortLiterals), cel.CustomDecoratorV2(boundComparisons), cel.OptimizeRegex(constantPatterns)}
	if !harmless(checked.NativeRep().Expr()) {
		opts = append(opts, cel.CostTracking(actual{}), cel.CostLimit(e.options.Cost))
	}
	if p.prg, err = e.env.Program(checked, opts...); err != nil {
		return automation.Errors{{Code: automation.CodeExpression, Message: "the expression cannot be made ready", Err: err}}
	}
	return nil
}

// typeOf returns what is known of a CEL type.
func (e *Env) typeOf(t *cel.Type) *schema.Type {
	switch t.Kind() {
	case types.NullTypeKind:
		return &schema.Type{Kind: schema.KindNull}
	case types.BoolKind:
		return &schema.Type{Kind: schema.KindBoolean}
	case types.IntKind, types.UintKind:
		return &schema.Type{Kind: schema.KindInteger}
	case types.DoubleKind:
		return &schema.Type{Kind: schema.KindNumber}
	case types.StringKind:
		return &schema.Type{Kind: schema.KindString}
	case types.ListKind:
		return &schema.Type{Kind: schema.KindList, Elem: e.typeOf(t.Parameters()[0])}
	case types.MapKind:
		return &schema.Type{Kind: schema.KindMap, Elem: e.typeOf(t.Parameters()[1])}
	case types.StructKind:
		if n, ok := e.named[t.TypeName()]; ok {
			return n
		}
	}
	return schema.Any()
}
