package attack_test

import (
	"fmt"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// bombs take a compiler long. What is above a bound is refused; what is below has
// to be compiled in the time for it.
func bombs() []attack {
	var out []attack
	add := func(name string, want automation.Code, module func(*builder)) {
		out = append(out, attack{family: "compile bomb", name: name, want: want, module: module})
	}
	empty := []byte{0x03, 0x40, 0x0b}
	for _, n := range []int{2049, 5_000, 20_000, 43_000} {
		add(fmt.Sprintf("%d loops", n), automation.CodeBadPlugin, action(times(n, empty), zero))
	}
	for _, open := range [][]byte{{0x02, 0x40}, {0x03, 0x40}, {0x41, 0, 0x04, 0x40}} {
		kind := map[byte]string{2: "blocks", 3: "loops", 4: "ifs"}[open[len(open)-2]]
		for _, n := range []int{2049, 10_000, 30_000} {
			add(fmt.Sprintf("%d nested %s", n, kind), automation.CodeBadPlugin, action(times(n, open), times(n, end), zero))
		}
		add("1000 nested "+kind, contained, action(times(1000, open), times(1000, end), zero))
	}
	add("2000 loops", contained, action(times(2000, []byte{0x02, 0x40}, empty, end)[:2000*3], nil, zero))
	for _, n := range []uint64{1025, 50_000, 1 << 31, 1<<32 - 1} {
		add(fmt.Sprintf("%d locals", n), automation.CodeBadPlugin, func(b *builder) {
			b.FuncLocals(">", n)
			action(zero)(b)
		})
	}
	add("1000 locals in 200 functions", contained, func(b *builder) {
		for range 200 {
			b.FuncLocals(">", 1000)
		}
		action(zero)(b)
	})
	add("locals times loops", automation.CodeBadPlugin, func(b *builder) {
		for range 40 {
			b.FuncLocals(">", 1000, times(1500, empty)...)
		}
		action(zero)(b)
	})
	add("65537 functions", automation.CodeBadPlugin, func(b *builder) { many(b, 65_537) })
	add("20000 functions", contained, func(b *builder) { many(b, 20_000) })
	for _, n := range []int{129 << 10, 300 << 10, 2 << 20} {
		add(fmt.Sprintf("a body of %d bytes", n), automation.CodeBadPlugin, action(times(n, []byte{0x01}), zero))
	}
	add("a body of 127 KiB, straight", contained, action(times(43_000, zero, drop), zero))
	add("a br_table of 40000", contained, action(
		[]byte{0x02, 0x40}, zero, []byte{0x0e}, wasmtest.U(40_000), make([]byte, 40_001), end, zero))
	add("a br_table of 2^32-1", automation.CodeBadPlugin, action(
		[]byte{0x02, 0x40}, zero, []byte{0x0e}, wasmtest.U(1<<32-1), []byte{0}, end, zero))
	add("br_tables in 200 blocks", contained, action(
		times(200, []byte{0x02, 0x40}), times(100, zero, []byte{0x0e}, wasmtest.U(200), upTo(201)), times(200, end), zero))
	add("1800 fills", contained, action(times(1800, zero, zero, zero, []byte{0xfc, 11, 0}), zero))
	add("2049 fills", automation.CodeBadPlugin, action(times(2049, zero, zero, zero, []byte{0xfc, 11, 0}), zero))
	add("a thousand functions of a hundred loops", contained, func(b *builder) {
		for range 1000 {
			b.Func(">", times(100, empty)...)
		}
		action(zero)(b)
	})
	out = append(out, attack{
		family: "compile bomb", name: "blocks times blocks, a little", want: automation.CodeBadPlugin, tune: func(s *settings) {
			s.registry.CompileCost, s.engine.Module.CompileCost = 1_000_000, 1_000_000
		},
		module: action(times(1500, empty), zero),
	}, attack{
		family: "compile bomb", name: "past the time for it", want: automation.CodeTimeout, other: automation.CodeTimeout, tune: func(s *settings) {
			s.engine.CompileTimeout = 50 * time.Millisecond
			s.registry.Blocks, s.engine.Module.Blocks = 4000, 4000
		},
		module: action(times(3000, empty), zero),
	})
	add("values that all live", contained, action(times(20_000, zero, []byte{0x28, 2, 0}), times(19_999, []byte{0x6a}), drop, zero))
	return out
}

// many adds n functions that do nothing.
func many(b *builder, n int) {
	for range n - 1 {
		b.Func(">")
	}
	action(zero)(b)
}

func upTo(n int) []byte {
	var out []byte
	for i := range n {
		out = append(out, wasmtest.U(uint64(i%200))...)
	}
	return out
}
