package attack_test

import (
	"slices"
	"strings"

	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

// Instructions, by their names in the text format.
var (
	zero = []byte{0x41, 0} // i32.const 0: what an action returns, most often
	drop = []byte{0x1a}
	end  = []byte{0x0b}
	grow = []byte{0x40, 0}
)

type builder = wasmtest.Builder

func code(parts ...[]byte) []byte { return slices.Concat(parts...) }

func times(n int, p ...[]byte) []byte {
	return []byte(strings.Repeat(string(code(p...)), n))
}

// forever is a loop that never ends, with a body that leaves nothing.
func forever(body ...[]byte) []byte {
	return code([]byte{0x03, 0x40}, code(body...), []byte{0x0c, 0, 0x0b})
}

// is compares the i32 on the stack with v and leaves 0 when they are equal.
func is(v int64) []byte { return code(wasmtest.I32(v), []byte{0x47}) }

// action makes a module of one page with the action run.
func action(body ...[]byte) func(*builder) {
	return func(b *builder) {
		b.Memory(1)
		b.Action("run", code(body...)...)
	}
}
