package wasmtest

import (
	"math/rand/v2"
	"slices"
)

// Random returns a valid module made by chance, always the same for a seed:
// functions f0, f1, … that take an i32 and an i64 and return an i64, and call each
// other directly and through a table; blocks, loops, ifs, br, br_if, br_table,
// return; globals g0 (an i64) and g1 (an i32); bulk operations on a memory of two
// pages ("memory") that may grow to four. It ends: functions and loops leave at
// once when they have been entered 500 times.
func Random(seed uint64) []byte {
	g := &generator{rnd: rand.New(rand.NewPCG(seed, 1))}
	g.functions = 2 + g.rnd.IntN(5)
	var b Builder
	pair := b.Func(">iI", Code(I32(3), I64(4))...) // function 0: two results
	for i := range g.functions {
		g.labels, g.budget = []byte{0x7e}, 20+g.rnd.IntN(200)
		body := Code(I64(1), g.spend(0x0d, 0), []byte{0x1a}, g.statements(3), g.value(0x7e, 3))
		f := b.FuncLocals("iI>I", 2, body...)
		b.Export("f"+string(rune('0'+i)), f)
		g.table = append(g.table, f)
	}
	_ = pair
	b.Memory(2)
	b.MemoryMax = 4
	b.Table(uint64(g.functions + 1))
	b.Elements(1, g.table...) // element 0 stays null
	b.ExportGlobal("g0", b.Global(0x7e, I64(5)))
	b.ExportGlobal("g1", b.Global(0x7f, I32(7)))
	b.ExportGlobal("gas", b.Global(0x7f, I32(500)))
	b.Data(16, []byte("some data of the module"))
	b.Passive([]byte("and some that is copied by memory.init"))
	return b.Bytes()
}

// The globals of a random module.
const (
	randomI64 = iota
	randomI32
	randomGas
)

type generator struct {
	rnd       *rand.Rand
	functions int
	table     []int
	labels    []byte // the type that a branch carries, 0x40 for none; the innermost last
	budget    int    // instructions that the function may still get, roughly
}

// spend counts down, and leaves by instructions that need an i32 above zero when
// nothing is left.
func (g *generator) spend(leave ...byte) []byte {
	return Code([]byte{0x23, randomGas}, I32(1), []byte{0x6b, 0x24, randomGas, 0x23, randomGas}, I32(0), []byte{0x48}, leave)
}

// loop is a loop that leaves a value of a type, 0x40 for none, in a block with a
// label of that type.
func (g *generator) loop(kind byte, depth int) []byte {
	carry := func() []byte {
		if kind == 0x40 {
			return nil
		}
		return g.value(kind, depth)
	}
	var first, drop []byte // nothing before spend may branch: a loop that goes on there never ends
	if kind != 0x40 {
		first, drop = g.leaf(kind == 0x7f), []byte{0x1a}
	}
	inside := func() []byte { // a value; spend, and leave the block with it when nothing is left
		return Code(first, g.spend(0x0d, 1), drop, g.statements(depth), g.branch(depth), carry())
	}
	body := g.within(kind, func() []byte { return g.within(0x40, inside) })
	return Code([]byte{0x02, kind, 0x03, kind}, body, []byte{0x0b, 0x0b})
}

func (g *generator) statements(depth int) []byte {
	var out []byte
	for range g.rnd.IntN(4) {
		out = append(out, g.statement(depth)...)
	}
	return out
}

func (g *generator) statement(depth int) []byte {
	g.budget -= 3
	if depth <= 0 || g.budget <= 0 {
		return []byte{0x01}
	}
	d := depth - 1
	switch g.rnd.IntN(16) {
	case 0, 1:
		return g.block(0x02, 0x40, d)
	case 2, 3:
		return g.loop(0x40, d)
	case 4, 5:
		return Code(g.value(0x7f, d), g.block(0x04, 0x40, d))
	case 6:
		return Code(g.value(0x7f, d), []byte{0x21, 0})
	case 7:
		return Code(g.value(0x7e, d), []byte{0x21, 1})
	case 8:
		return Code(g.value(0x7e, d), []byte{0x24, randomI64})
	case 9:
		return Code(g.value(0x7f, d), []byte{0x24, randomI32})
	case 10:
		return Code(g.address(d), g.value(0x7e, d), []byte{0x37, 3, 0})
	case 11, 12:
		return g.bulk(d)
	case 13, 14:
		return g.branch(d)
	}
	return []byte{0x10, 0, 0x21, 1, 0x21, 2} // call of function 0, which has two results
}

func (g *generator) within(label byte, make func() []byte) []byte {
	g.labels = append(g.labels, label)
	out := make()
	g.labels = g.labels[:len(g.labels)-1]
	return out
}

// block is a block or an if (whose condition is on the stack) that leaves a value
// of a type, 0x40 for none.
func (g *generator) block(op, kind byte, depth int) []byte {
	inside := func() []byte {
		out := g.statements(depth)
		if kind != 0x40 {
			out = append(out, g.value(kind, depth)...)
		}
		return out
	}
	out := Code([]byte{op, kind}, g.within(kind, inside))
	if op == 0x04 && (kind != 0x40 || g.rnd.IntN(2) == 0) {
		out = Code(out, []byte{0x05}, g.within(kind, inside))
	}
	return append(out, 0x0b)
}

// branch is one of the branches that leave nothing behind.
func (g *generator) branch(depth int) []byte {
	label := g.rnd.IntN(len(g.labels))
	kind := g.labels[len(g.labels)-1-label]
	var carried []byte
	if kind != 0x40 {
		carried = g.value(kind, depth)
	}
	switch g.rnd.IntN(6) {
	case 0:
		return Code(g.value(0x7e, depth), []byte{0x0f})
	case 1:
		return Code(carried, []byte{0x0c}, U(uint64(label)))
	case 2:
		var same []uint64
		for l := range g.labels {
			if g.labels[len(g.labels)-1-l] == kind {
				same = append(same, uint64(l))
			}
		}
		out := Code(carried, g.value(0x7f, depth), []byte{0x0e, 3})
		for range 4 {
			out = append(out, U(same[g.rnd.IntN(len(same))])...)
		}
		return out
	}
	out := Code(carried, g.value(0x7f, depth), []byte{0x0d}, U(uint64(label)))
	if kind != 0x40 {
		out = append(out, 0x1a)
	}
	return out
}

// address is an i32 that is nearly always inside the memory.
func (g *generator) address(depth int) []byte {
	return Code(g.value(0x7f, depth), I32([]int64{0xfff, 0x1ffff, 0x3ffff}[g.rnd.IntN(3)]), []byte{0x71})
}

func (g *generator) bulk(depth int) []byte {
	a, b, n := g.address(depth), g.address(depth), Code(g.value(0x7f, depth), I32([]int64{0xff, 0x3fff, 0x3ffff}[min(2, g.rnd.IntN(9)/4)]), []byte{0x71})
	switch g.rnd.IntN(8) {
	case 0, 1:
		return Code(a, b, n, []byte{0xfc, 11, 0})
	case 2, 3:
		return Code(a, b, n, []byte{0xfc, 10, 0, 0})
	case 4:
		return Code(a, I32(g.rnd.Int64N(30)), I32(g.rnd.Int64N(12)), []byte{0xfc, 8, 1, 0})
	case 5:
		return Code(I32(g.rnd.Int64N(3)), []byte{0x40, 0, 0x1a})
	case 6:
		return Code(I32(g.rnd.Int64N(3)), I32(g.rnd.Int64N(3)), I32(g.rnd.Int64N(3)), []byte{0xfc, 14, 0, 0})
	}
	return Code([]byte{0xd0, 0x70}, I32(g.rnd.Int64N(2)), []byte{0xfc, 15, 0, 0x1a})
}

func (g *generator) value(kind byte, depth int) []byte {
	g.budget--
	i32 := kind == 0x7f
	if depth <= 0 || g.budget <= 0 {
		return g.leaf(i32)
	}
	d := depth - 1
	switch g.rnd.IntN(10) {
	case 0:
		return g.block(0x02, kind, d)
	case 1:
		return Code(g.value(0x7f, d), g.block(0x04, kind, d))
	case 2: // two operands
		ops := []byte{0x7c, 0x7d, 0x7e, 0x83, 0x84, 0x85, 0x86, 0x80}
		if i32 {
			ops = []byte{0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x46, 0x48}
		}
		return Code(g.value(kind, d), g.value(kind, d), []byte{ops[g.rnd.IntN(len(ops))]})
	case 3:
		return g.load(i32, d)
	case 4, 5: // a call, through the table every other time
		out := Code(g.value(0x7f, d), g.value(0x7e, d))
		if g.rnd.IntN(2) == 0 {
			out = Code(out, Call(1+g.rnd.IntN(g.functions)))
		} else {
			out = Code(out, I32(g.rnd.Int64N(int64(g.functions+2))), []byte{0x11, 1, 0})
		}
		if i32 {
			out = append(out, 0xa7)
		}
		return out
	case 6: // a loop with a result
		return g.loop(kind, d)
	}
	return g.leaf(i32)
}

func (g *generator) load(i32 bool, depth int) []byte {
	if i32 {
		return Code(g.address(depth), []byte{0x28, 2, 0})
	}
	return Code(g.address(depth), []byte{0x29, 3, 0})
}

func (g *generator) leaf(i32 bool) []byte {
	if i32 {
		return slices.Concat([][]byte{{0x20, 0}, {0x23, randomI32}, I32(g.rnd.Int64N(100) - 20), {0x20, 2}, {0x3f, 0}}[g.rnd.IntN(5)])
	}
	return slices.Concat([][]byte{{0x20, 1}, {0x23, randomI64}, I64(g.rnd.Int64N(1000) - 200)}[g.rnd.IntN(3)])
}
