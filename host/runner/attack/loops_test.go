package attack_test

import (
	"fmt"
	"math"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// endless are bodies that never end, by how.
func endless() map[string]func(b *builder) []byte {
	plain := func(body ...[]byte) func(*builder) []byte {
		return func(*builder) []byte { return forever(body...) }
	}
	return map[string]func(b *builder) []byte{
		"br":          plain(),
		"br_if":       plain([]byte{0x41, 1, 0x0d, 0}),
		"br_table":    plain([]byte{0x41, 1, 0x0e, 1, 0, 0}),
		"stores":      plain(wasmtest.I32(8), wasmtest.I32(1), []byte{0x36, 2, 0}),
		"memory.grow": plain(zero, grow, drop),
		"memory.fill": plain(zero, zero, wasmtest.I32(65536), []byte{0xfc, 11, 0}),
		"in a loop":   plain(forever()),
		"call": func(b *builder) []byte {
			return forever(wasmtest.Call(b.Func(">")))
		},
		"call_indirect": func(b *builder) []byte {
			f := b.Func(">")
			b.Table(1)
			b.Elements(0, f)
			return forever(zero, []byte{0x11, 0, 0})
		},
	}
}

// hidden are the exports and the section whose code runs before an action.
func hidden() map[string]func(b *builder, body []byte) {
	return map[string]func(b *builder, body []byte){
		"_initialize":       func(b *builder, body []byte) { b.Export("_initialize", b.Func(">", body...)) },
		"__wasm_call_ctors": func(b *builder, body []byte) { b.Export("__wasm_call_ctors", b.Func(">", body...)) },
		"hs_init":           func(b *builder, body []byte) { b.Export("hs_init", b.Func("ii>", body...)) },
	}
}

// loops never end: in the action, before it, and where nothing may run at all.
func loops() []attack {
	var out []attack
	for kind, body := range endless() {
		out = append(out, attack{family: "loop in call", name: kind, want: automation.CodeTimeout, module: func(b *builder) {
			p := body(b)
			b.Memory(1)
			b.Action("run", code(p, zero)...)
		}})
		out = append(out, attack{
			family: "loop without a deadline", name: kind, want: automation.CodeFuelLimit, without: true,
			tune: func(s *settings) { s.limits.Fuel = 2_000_000 },
			module: func(b *builder) {
				p := body(b)
				b.Memory(1)
				b.Action("run", code(p, zero)...)
			},
		})
		for place, put := range hidden() {
			if kind == "br" || place == "_initialize" {
				out = append(out, attack{family: "loop in " + place, name: kind, want: automation.CodeTimeout, module: func(b *builder) {
					put(b, body(b))
					b.Memory(1)
					b.Action("run", zero...)
				}})
			}
		}
		start := func(b *builder) {
			b.Start(b.Func(">", body(b)...))
			b.Memory(1)
			b.Action("run", zero...)
		}
		out = append(out, attack{family: "start function", name: kind, want: automation.CodeBadPlugin, module: start})
		if kind == "br" || kind == "call" {
			out = append(out, attack{family: "start function, behind the gate", name: kind, want: automation.CodeTimeout, direct: true, module: start})
		}
	}
	return out
}

// chains take for ever without a loop.
func chains() []attack {
	chain := func(depth, width int, leaf []byte) func(*builder) {
		return func(b *builder) {
			f := b.Func(">", leaf...)
			for range depth {
				f = b.Func(">", times(width, wasmtest.Call(f))...)
			}
			b.Memory(300)
			b.Action("run", code(wasmtest.Call(f), zero)...)
		}
	}
	var out []attack
	add := func(name string, module func(*builder)) {
		out = append(out, attack{family: "no loop", name: name, want: automation.CodeTimeout, module: module})
	}
	for _, width := range []int{2, 3, 10, 100, 1000} {
		depth := int(math.Ceil(36 * math.Log(2) / math.Log(float64(width))))
		add(fmt.Sprintf("calls, %d wide", width), chain(depth, width, nil))
	}
	large := wasmtest.I32(299 << 16)
	for name, one := range map[string][]byte{
		"memory.fill":            code(zero, zero, large, []byte{0xfc, 11, 0}),
		"memory.copy":            code(zero, wasmtest.I32(1), large, []byte{0xfc, 10, 0, 0}),
		"memory.copy, backwards": code(wasmtest.I32(1), zero, large, []byte{0xfc, 10, 0, 0}),
	} {
		add(name+" in a chain", chain(10, 4, times(20, one)))
		add(name+" in a straight line", func(b *builder) {
			b.Memory(300)
			b.Action("run", code(times(1900, one), zero)...)
		})
	}
	for name, one := range map[string][]byte{
		"table.fill": code(zero, []byte{0xd0, 0x70}, wasmtest.I32(99_999), []byte{0xfc, 17, 0}),
		"table.copy": code(zero, wasmtest.I32(1), wasmtest.I32(99_999), []byte{0xfc, 14, 0, 0}),
	} {
		add(name, func(b *builder) {
			b.Table(100_000)
			chain(10, 4, times(100, one))(b)
		})
	}
	add("call_indirect", func(b *builder) {
		b.Table(40)
		f := b.Func(">")
		b.Elements(0, f)
		for i := range 36 {
			f = b.Func(">", times(2, wasmtest.I32(int64(i)), []byte{0x11, 0, 0})...)
			b.Elements(uint64(i+1), f)
		}
		b.Memory(1)
		b.Action("run", code(wasmtest.Call(f), zero)...)
	})
	return out
}
