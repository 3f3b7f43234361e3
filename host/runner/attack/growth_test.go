package attack_test

import (
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// memories ask for more memory than there is for them.
func memories() []attack {
	var out []attack
	add := func(name string, want automation.Code, module func(*builder)) {
		out = append(out, attack{family: "memory", name: name, want: want, module: module})
	}
	for _, pages := range []uint64{513, 1000, 4096, 32768, 65536} {
		add(fmt.Sprintf("%d pages at the start", pages), automation.CodeBadPlugin, func(b *builder) {
			b.Memory(pages)
			b.Action("run", zero...)
		})
	}
	add("65537 pages at most", automation.CodeBadPlugin, func(b *builder) {
		b.MemoryMax = 65537
		action(zero)(b)
	})
	add("all of the limit at the start", automation.CodeMemoryLimit, func(b *builder) {
		b.Memory(512)
		b.Action("run", zero...)
	})
	// Whoever is refused gets -1; with a trap after that the refusal is the cause.
	for _, pages := range []int64{512, 4096, 65535, 1 << 20, -1} {
		refused := code(wasmtest.I32(pages), grow, is(-1))
		add(fmt.Sprintf("grow by %d", pages), contained, action(refused))
		trap := automation.CodeMemoryLimit
		if pages != 512 { // above the module's own maximum, which the engine does not see
			trap = automation.CodePluginCrashed
		}
		add(fmt.Sprintf("grow by %d and trap", pages), trap, action(refused, []byte{0x45, 0x04, 0x40, 0x00, 0x0b, 0x00}))
	}
	add("grow to 4 GiB, as declared", contained, func(b *builder) {
		b.MemoryMax = 65536
		action(wasmtest.I32(65535), grow, is(-1))(b)
	})
	add("grow a page at a time", automation.CodeMemoryLimit, action(
		[]byte{0x02, 0x40, 0x03, 0x40}, wasmtest.I32(1), grow, wasmtest.I32(-1), []byte{0x46, 0x0d, 1, 0x0c, 0, 0x0b, 0x0b, 0x00}))
	add("grow and write to all of it", automation.CodeMemoryLimit, action(
		[]byte{0x02, 0x40, 0x03, 0x40}, wasmtest.I32(128), grow, wasmtest.I32(-1), []byte{0x46, 0x0d, 1},
		zero, wasmtest.I32(1), []byte{0x3f, 0}, wasmtest.I32(16), []byte{0x74, 0xfc, 11, 0}, []byte{0x0c, 0, 0x0b, 0x0b, 0x00}))
	for name, body := range map[string][]byte{
		"load at -1":                 code(wasmtest.I32(-1), []byte{0x28, 2, 0}),
		"load at 4 GiB and more":     code(wasmtest.I32(-1), []byte{0x28, 2, 0xff, 0xff, 0xff, 0xff, 0x0f}),
		"load behind the memory":     code(wasmtest.I32(65536), []byte{0x28, 2, 0}),
		"store over the edge":        code(wasmtest.I32(65533), zero, []byte{0x36, 2, 0}, zero),
		"fill over the edge":         code(wasmtest.I32(1), zero, wasmtest.I32(65536), []byte{0xfc, 11, 0}, zero),
		"copy from over the edge":    code(zero, wasmtest.I32(1), wasmtest.I32(65536), []byte{0xfc, 10, 0, 0}, zero),
		"copy of 4 GiB":              code(zero, zero, wasmtest.I32(-1), []byte{0xfc, 10, 0, 0}, zero),
		"vector load at the end":     code(wasmtest.I32(65530), []byte{0xfd, 0, 0, 0, 0xfd, 0x53}),
		"call of a table's hole":     nil,
		"call of another type":       nil,
		"division by zero":           code(wasmtest.I32(1), zero, []byte{0x6d}),
		"overflow in division":       code(wasmtest.I32(-1<<31), wasmtest.I32(-1), []byte{0x6d}),
		"unreachable":                {0x00},
		"conversion of not a number": {0x43, 0, 0, 0xc0, 0x7f, 0xa8},
	} {
		module := action(body)
		switch name {
		case "call of a table's hole":
			module = func(b *builder) {
				b.Table(4)
				action(zero, []byte{0x11, 0, 0})(b)
			}
		case "call of another type":
			module = func(b *builder) {
				b.Table(1)
				b.Elements(0, b.Func(">"))
				action(zero, []byte{0x11, 1, 0})(b)
			}
		}
		out = append(out, attack{family: "trap", name: name, want: automation.CodePluginCrashed, module: module})
	}
	return out
}

// tables are large, grow, and are many.
func tables() []attack {
	var out []attack
	add := func(name string, want automation.Code, module func(*builder)) {
		out = append(out, attack{family: "table", name: name, want: want, module: module})
	}
	for _, elements := range []uint64{100_001, 1 << 20, 1 << 28, 1<<32 - 1} {
		add(fmt.Sprintf("%d elements at the start", elements), automation.CodeBadPlugin, func(b *builder) {
			b.Table(elements)
			action(zero)(b)
		})
	}
	null := []byte{0xd0, 0x70}
	for _, elements := range []int64{100_000, 1 << 20, 1 << 27, -1} {
		add(fmt.Sprintf("grow by %d", elements), contained, func(b *builder) {
			b.Table(1)
			action(null, wasmtest.I32(elements), []byte{0xfc, 15, 0}, is(-1))(b)
		})
	}
	add("grow for ever", automation.CodeTimeout, func(b *builder) {
		b.Table(1)
		action(forever(null, wasmtest.I32(1000), []byte{0xfc, 15, 0}, drop), zero)(b)
	})
	add("eight of the largest", contained, func(b *builder) {
		for range 8 {
			b.Table(100_000)
		}
		action(zero)(b)
	})
	add("nine", automation.CodeBadPlugin, func(b *builder) {
		for range 9 {
			b.Table(1)
		}
		action(zero)(b)
	})
	add("fill over the edge", automation.CodePluginCrashed, func(b *builder) {
		b.Table(8)
		action(zero, null, wasmtest.I32(9), []byte{0xfc, 17, 0}, zero)(b)
	})
	return out
}

// recursions fill the stack, with frames of many kinds. The engine extism has no
// bound of it but wazero's own, some 200 MB later.
func recursions() []attack {
	var out []attack
	add := func(name string, module func(*builder)) {
		out = append(out, attack{
			family: "recursion", name: name, want: automation.CodeDepthLimit, without: true, module: module,
		})
	}
	enter := func(b *builder, f int, before ...[]byte) {
		b.Memory(1)
		b.Action("run", code(code(before...), wasmtest.Call(f), zero)...)
	}
	stored := []byte{0x36, 2, 0}
	add("bare", func(b *builder) { enter(b, b.Func(">", wasmtest.Call(0)...)) })
	add("of two functions", func(b *builder) {
		b.Func(">", wasmtest.Call(1)...)
		enter(b, b.Func(">", wasmtest.Call(0)...))
	})
	add("of the action itself", func(b *builder) { action(wasmtest.Call(0))(b) })
	add("twenty parameters", func(b *builder) {
		f := b.Func("iiiiiiiiiiiiiiiiiiii>", code(times(20, []byte{0x20, 3}), wasmtest.Call(0))...)
		enter(b, f, times(20, zero))
	})
	for _, n := range []int{10, 100, 1000} {
		add(fmt.Sprintf("%d operands", n), func(b *builder) {
			enter(b, b.Func(">", code(zero, times(n, zero, []byte{0x28, 2, 0}), wasmtest.Call(0), times(n-1, []byte{0x6a}), stored)...))
		})
		add(fmt.Sprintf("%d vectors", n), func(b *builder) {
			enter(b, b.Func(">", code(zero, times(n, zero, []byte{0xfd, 0, 4, 0}), wasmtest.Call(0), times(n-1, []byte{0xfd, 0xae, 1}), []byte{0xfd, 0x53}, stored)...))
		})
	}
	for _, n := range []uint64{100, 900} {
		add(fmt.Sprintf("%d locals", n), func(b *builder) {
			var set, use []byte
			for l := range n {
				set = append(set, code(zero, []byte{0x28, 2, 0, 0x21}, wasmtest.U(l))...)
				use = append(use, code(zero, []byte{0x20}, wasmtest.U(l), stored)...)
			}
			enter(b, b.FuncLocals(">", n, code(set, wasmtest.Call(0), use)...))
		})
	}
	add("through a table", func(b *builder) {
		b.Table(1)
		f := b.Func(">", 0x41, 0, 0x11, 0, 0)
		b.Elements(0, f)
		enter(b, f)
	})
	for place, put := range hidden() {
		add("in "+place, func(b *builder) {
			f := b.Func(">", wasmtest.Call(0)...)
			put(b, wasmtest.Call(f))
			action(zero)(b)
		})
	}
	return out
}
