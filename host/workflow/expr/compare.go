package expr

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// maxWeight is how much two values may have to compare: a list may hold another
// one many times over, and be endless to whoever walks through it.
const maxWeight = 1_000_000

// boundComparisons makes the comparisons of lists and objects look at their size
// first: CEL charges for them afterwards.
func boundComparisons(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	c, ok := i.(interpreter.InterpretableCall)
	if !ok || len(c.Args()) != 2 {
		return i, nil
	}
	var compare func(a, b ref.Val) ref.Val
	switch c.Function() {
	case operators.Equals:
		compare = equal
	case operators.NotEquals:
		compare = notEqual
	case operators.In:
		compare = in
	default:
		return i, nil
	}
	for _, a := range c.Args() {
		if _, constant := a.(interpreter.InterpretableConst); constant {
			return i, nil
		}
	}
	return interpreter.NewCall(c.ID(), c.Function(), c.OverloadID(), c.Args(), func(args ...ref.Val) ref.Val {
		return compare(args[0], args[1])
	}), nil
}

func equal(a, b ref.Val) ref.Val {
	if container(a) && container(b) && lighter(a, b) >= maxWeight {
		return tooMuch("values that are too large to compare", maxWeight)
	}
	return types.Equal(a, b)
}

func notEqual(a, b ref.Val) ref.Val {
	v := equal(a, b)
	if types.IsError(v) {
		return v
	}
	return types.Bool(v != types.True)
}

func in(a, b ref.Val) ref.Val {
	c, ok := b.(traits.Container)
	if !ok {
		return types.MaybeNoSuchOverloadErr(b)
	}
	if n := listSize(b); n >= maxWeight || weight(a, maxWeight/max(n, 1)+1) > maxWeight/max(n, 1) {
		return tooMuch("a value and a list that are too large to look for one in the other", maxWeight)
	}
	return c.Contains(a)
}

// lighter is the weight of the lighter one of two values, at most maxWeight; it
// takes no longer than the lighter one asks for.
func lighter(a, b ref.Val) int {
	for most := 64; ; most *= 4 {
		n := min(weight(a, most), weight(b, most))
		if n < most || most >= maxWeight {
			return n
		}
	}
}

func container(v ref.Val) bool {
	switch v.(type) {
	case traits.Lister, traits.Mapper:
		return true
	}
	return false
}

func listSize(v ref.Val) int {
	if l, ok := v.(traits.Lister); ok {
		n, _ := l.Size().(types.Int)
		return int(n)
	}
	return 1
}

// weight is how much there is in a value to compare, as far as most.
func weight(v ref.Val, most int) int {
	switch v := v.(type) {
	case *list:
		if v.tree != nil {
			return weightOf(v.tree, most)
		}
	case *object:
		if t, ok := v.src.(tree); ok {
			return weightOf(t.m, most)
		}
	}
	n := 1
	switch v := v.(type) {
	case types.String:
		n += len(v) / perRead
	case traits.Mapper:
		for it := v.Iterator(); n < most && it.HasNext() == types.True; {
			n += 1 + weight(v.Get(it.Next()), most-n)
		}
	case traits.Lister:
		for it := v.Iterator(); n < most && it.HasNext() == types.True; {
			n += weight(it.Next(), most-n)
		}
	}
	return n
}

// weightOf is the weight of decoded JSON.
func weightOf(v any, most int) int {
	n := 1
	switch v := v.(type) {
	case string:
		n += len(v) / perRead
	case []any:
		for i := 0; i < len(v) && n < most; i++ {
			n += weightOf(v[i], most-n)
		}
	case map[string]any:
		for _, field := range v {
			if n >= most {
				break
			}
			n += 1 + weightOf(field, most-n)
		}
	}
	return n
}
