package expr

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"opsconductor.dev/host/automation"
)

// The bounds of what one function makes. What all of them make together is bounded
// by the expression's cost.
const (
	// MaxText is the length of a text that a function gives, in bytes.
	MaxText  = 1 << 20
	maxParts = 100_000 // of a text that is split
)

// textFunctions are the functions on texts. Each looks at how large its result
// will be before it makes it; CEL's own extension does so only afterwards.
// Positions count characters.
func textFunctions() []cel.EnvOption {
	s, i, parts := cel.StringType, cel.IntType, cel.ListType(cel.StringType)
	return []cel.EnvOption{
		member("lowerAscii", overload{"", []*cel.Type{s}, s}, func(a []ref.Val) ref.Val { return mapText(a[0], lowerASCII) }),
		member("upperAscii", overload{"", []*cel.Type{s}, s}, func(a []ref.Val) ref.Val { return mapText(a[0], upperASCII) }),
		member("trim", overload{"", []*cel.Type{s}, s}, func(a []ref.Val) ref.Val { return mapText(a[0], strings.TrimSpace) }),
		cel.Function("split",
			bind("split", overload{"", []*cel.Type{s, s}, parts}, split), bind("split", overload{"_most", []*cel.Type{s, s, i}, parts}, split)),
		cel.Function("join",
			bind("join", overload{"", []*cel.Type{parts}, s}, join), bind("join", overload{"_with", []*cel.Type{parts, s}, s}, join)),
		cel.Function("replace",
			bind("replace", overload{"", []*cel.Type{s, s, s}, s}, replace), bind("replace", overload{"_most", []*cel.Type{s, s, s, i}, s}, replace)),
		cel.Function("substring",
			bind("substring", overload{"", []*cel.Type{s, i}, s}, substring), bind("substring", overload{"_to", []*cel.Type{s, i, i}, s}, substring)),
		cel.Function("indexOf",
			bind("indexOf", overload{"", []*cel.Type{s, s}, i}, indexOf), bind("indexOf", overload{"_from", []*cel.Type{s, s, i}, i}, indexOf)),
	}
}

// overload is a way to call a function: what its name ends in, its receiver and
// arguments, its result.
type overload struct {
	name   string
	args   []*cel.Type
	result *cel.Type
}

func member(name string, o overload, f func([]ref.Val) ref.Val) cel.EnvOption {
	return cel.Function(name, bind(name, o, f))
}

func bind(name string, o overload, f func([]ref.Val) ref.Val) cel.FunctionOpt {
	return cel.MemberOverload("text_"+name+o.name, o.args, o.result, cel.FunctionBinding(func(args ...ref.Val) ref.Val { return f(args) }))
}

func mapText(v ref.Val, f func(string) string) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	return types.String(f(string(s)))
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func upperASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, s)
}

// split splits a text at a separator, into at most a number of parts; at "" into
// its characters.
func split(args []ref.Val) ref.Val {
	s, sep, ok := twoTexts(args)
	if !ok {
		return types.NoSuchOverloadErr()
	}
	most := -1
	if len(args) > 2 {
		n, ok := args[2].(types.Int)
		if !ok {
			return types.NoSuchOverloadErr()
		}
		most = int(max(min(n, maxParts+1), -1))
	}
	parts := pieces(s, sep)
	if most >= 0 {
		parts = min(parts, most)
	}
	if parts > maxParts {
		return tooMuch("a text that is split into too many parts", maxParts)
	}
	return types.NewStringList(types.DefaultTypeAdapter, strings.SplitN(s, sep, most))
}

// pieces is how many parts split gives without a bound.
func pieces(s, sep string) int {
	if sep == "" {
		return utf8.RuneCountInString(s)
	}
	return strings.Count(s, sep) + 1
}

// join joins the texts of a list, with a text between them.
func join(args []ref.Val) ref.Val {
	l, ok := args[0].(traits.Lister)
	if !ok {
		return types.NoSuchOverloadErr()
	}
	sep := ""
	if len(args) > 1 {
		t, ok := args[1].(types.String)
		if !ok {
			return types.NoSuchOverloadErr()
		}
		sep = string(t)
	}
	var b strings.Builder
	for i, it := 0, l.Iterator(); it.HasNext() == types.True; i++ {
		t, ok := it.Next().(types.String)
		if !ok {
			return types.NoSuchOverloadErr()
		}
		if i > 0 {
			b.WriteString(sep)
		}
		if b.Len()+len(t)+len(sep) > MaxText+len(sep) {
			return tooLargeText()
		}
		b.WriteString(string(t))
	}
	return types.String(b.String())
}

// replace replaces a text by another, everywhere or at the first places; "" is
// found before each character and at the end.
func replace(args []ref.Val) ref.Val {
	s, old, ok := twoTexts(args)
	by, isText := args[2].(types.String)
	if !ok || !isText {
		return types.NoSuchOverloadErr()
	}
	n := pieces(s, old) - 1
	if old == "" {
		n += 2
	}
	if len(args) > 3 {
		most, ok := args[3].(types.Int)
		if !ok {
			return types.NoSuchOverloadErr()
		}
		if most >= 0 {
			n = int(min(types.Int(n), most))
		}
	}
	if size := int64(len(s)) + int64(n)*(int64(len(by))-int64(len(old))); size > MaxText {
		return tooLargeText()
	}
	return types.String(strings.Replace(s, old, string(by), n))
}

// substring is the part of a text from a position on, up to another one.
func substring(args []ref.Val) ref.Val {
	s, ok := args[0].(types.String)
	if !ok {
		return types.NoSuchOverloadErr()
	}
	from, ok := position(string(s), args[1])
	if !ok {
		return noPosition()
	}
	if len(args) < 3 {
		return s[from:]
	}
	to, ok := position(string(s), args[2])
	if !ok || to < from {
		return noPosition()
	}
	return s[from:to]
}

// indexOf is where a text is in another, from a position on; -1: nowhere.
func indexOf(args []ref.Val) ref.Val {
	s, part, ok := twoTexts(args)
	if !ok {
		return types.NoSuchOverloadErr()
	}
	from := 0
	if len(args) > 2 {
		if from, ok = position(s, args[2]); !ok {
			return noPosition()
		}
	}
	at := strings.Index(s[from:], part)
	if at < 0 {
		return types.Int(-1)
	}
	return types.Int(utf8.RuneCountInString(s[:from+at]))
}

// position is where a character begins, in bytes; the end of the text is one too.
func position(s string, v ref.Val) (int, bool) {
	n, ok := v.(types.Int)
	if !ok || n < 0 || int64(n) > int64(len(s)) {
		return 0, false
	}
	at := 0
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at, n == 0
}

func twoTexts(args []ref.Val) (first, second string, ok bool) {
	a, isText := args[0].(types.String)
	b, both := args[1].(types.String)
	return string(a), string(b), isText && both
}

func noPosition() ref.Val {
	return types.WrapErr(&automation.Error{
		Code: automation.CodeExpression, Message: "a position that is not in the text", Suggestion: "ask for size(…) first",
	})
}

func tooLargeText() ref.Val { return tooMuch("a text that is too large", MaxText) }

func tooMuch(message string, most int) ref.Val {
	return types.WrapErr(&automation.Error{
		Code: automation.CodeLimit, Message: message, Allowed: fmt.Sprintf("at most %d", most), Suggestion: "work on less at a time",
	})
}
