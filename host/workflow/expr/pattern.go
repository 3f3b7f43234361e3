package expr

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"opsconductor.dev/host/automation"
)

// The bounds of a pattern. A match takes at most as many moves as its program has
// steps for each byte of the text.
const (
	maxPattern = 1_000 // characters
	maxProgram = 1_000 // steps
	maxMoves   = 50_000_000
)

// matchFunction is CEL's own matches, with bounds: the size of a pattern is known
// before it is compiled, which for a few characters can take a hundred megabytes.
func matchFunction() cel.EnvOption {
	types := []*cel.Type{cel.StringType, cel.StringType}
	return cel.Function(overloads.Matches,
		cel.Overload(overloads.Matches, types, cel.BoolType), cel.MemberOverload(overloads.MatchesString, types, cel.BoolType),
		cel.SingletonBinaryBinding(matches))
}

func matches(text, pattern ref.Val) ref.Val {
	p, ok := pattern.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(pattern)
	}
	re, size, err := compilePattern(string(p))
	if err != nil {
		return types.WrapErr(err)
	}
	return match(re, size, text)
}

func match(re *regexp.Regexp, size int, text ref.Val) ref.Val {
	s, ok := text.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(text)
	}
	if size*len(s) > maxMoves {
		return tooMuch("a pattern and a text that are too large together", maxMoves)
	}
	return types.Bool(re.MatchString(string(s)))
}

// constantPatterns compiles the patterns that stand in an expression once.
//
//nolint:gochecknoglobals // an immutable value
var constantPatterns = &interpreter.RegexOptimization{
	Function: overloads.Matches, RegexIndex: 1,
	Factory: func(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
		re, size, err := compilePattern(pattern)
		if err != nil {
			return nil, err
		}
		return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
			return match(re, size, args[0])
		}), nil
	},
}

// compilePattern compiles a pattern and says how large its program is. The error
// is an *automation.Error without the pattern, which may be a value.
func compilePattern(src string) (*regexp.Regexp, int, error) {
	size, err := patternSize(src)
	if err != nil {
		return nil, 0, err
	}
	re, cerr := regexp.Compile(src)
	if cerr != nil {
		return nil, 0, badPattern()
	}
	return re, size, nil
}

func badPattern() *automation.Error {
	return &automation.Error{
		Code: automation.CodeExpression, Message: "a pattern that does not parse", Allowed: "a regular expression of RE2",
		Suggestion: "in a text of CEL a backslash is written twice, or the text begins with r: r'\\d+'",
	}
}

// patternSize is about how many steps a pattern's program has.
func patternSize(src string) (int, error) {
	large := &automation.Error{
		Code: automation.CodeLimit, Message: "a pattern that is too large",
		Allowed: fmt.Sprintf("at most %d characters, and %d steps with its repetitions written out", maxPattern, maxProgram),
	}
	if len(src) > maxPattern {
		return 0, large
	}
	re, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return 0, badPattern()
	}
	size := programSize(re) + 2
	if size > maxProgram {
		return 0, large
	}
	return size, nil
}

func programSize(re *syntax.Regexp) int {
	size := 0
	for _, sub := range re.Sub {
		size = min(size+programSize(sub), maxProgram+1)
	}
	switch op := re.Op; {
	case op == syntax.OpLiteral:
		return size + len(re.Rune)
	case op == syntax.OpRepeat:
		return min((size+1)*max(re.Max, re.Min, 1), maxProgram+1)
	case op == syntax.OpAlternate:
		return size + len(re.Sub)
	case op == syntax.OpConcat:
		return size
	}
	return size + 2
}

// checkPatterns looks at the patterns that stand in an expression.
func checkPatterns(a *ast.AST) automation.Errors {
	var errs automation.Errors
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() != ast.CallKind || x.AsCall().FunctionName() != overloads.Matches {
			return
		}
		args := x.AsCall().Args()
		if len(args) == 0 {
			return
		}
		p := args[len(args)-1]
		if p.Kind() != ast.LiteralKind {
			return
		}
		src, ok := p.AsLiteral().(types.String)
		if !ok {
			return
		}
		if _, _, err := compilePattern(string(src)); err != nil {
			e := automation.AsError(err)
			e.Message += fmt.Sprintf(" at column %d of the expression", a.SourceInfo().GetStartLocation(p.ID()).Column()+1)
			errs = append(errs, e)
		}
	}))
	return errs
}
