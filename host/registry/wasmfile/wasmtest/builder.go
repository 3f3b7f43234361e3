// Package wasmtest makes WebAssembly modules for tests: by hand, byte by byte,
// and from Go sources with the standard toolchain.
package wasmtest

import (
	"slices"

	"opsconductor.dev/host/registry/wasmfile"
)

// Builder collects a module. Add imports before functions. The zero value is an
// empty module.
type Builder struct {
	types   [][]byte
	imports [][]byte
	funcs   [][]byte
	tables  [][]byte
	memory  []byte
	globals [][]byte
	exports [][]byte
	start   []byte
	bodies  [][]byte
	elems   [][]byte
	datas   [][]byte
	passive bool // some data segment is
	customs [][]byte
	count   int // functions, imported and defined

	// MemoryMax is the memory's maximum in pages; 0: it has none.
	MemoryMax uint64
}

// Sig is a signature in one string: "i>I" takes an i32 and returns an i64 (i, I).
type Sig string

func (s Sig) bytes() []byte {
	out := []byte{0x60}
	var sides [2][]byte
	side := 0
	for _, c := range s {
		switch c {
		case '>':
			side = 1
		case 'i':
			sides[side] = append(sides[side], byte(wasmfile.I32))
		case 'I':
			sides[side] = append(sides[side], byte(wasmfile.I64))
		}
	}
	for _, side := range sides {
		out = append(append(out, byte(len(side))), side...)
	}
	return out
}

func (b *Builder) typeOf(s Sig) uint64 {
	t := s.bytes()
	if i := slices.IndexFunc(b.types, func(u []byte) bool { return slices.Equal(t, u) }); i >= 0 {
		return uint64(i)
	}
	b.types = append(b.types, t)
	return uint64(len(b.types) - 1)
}

// Import adds an imported function and returns its index.
func (b *Builder) Import(module, name string, s Sig) int {
	b.imports = append(b.imports, slices.Concat(text(module), text(name), []byte{0}, U(b.typeOf(s))))
	b.count++
	return b.count - 1
}

// Func adds a function without locals and returns its index; the body comes
// without its final end.
func (b *Builder) Func(s Sig, body ...byte) int { return b.FuncLocals(s, 0, body...) }

// FuncLocals is Func with a number of i32 locals.
func (b *Builder) FuncLocals(s Sig, locals uint64, body ...byte) int {
	b.funcs = append(b.funcs, U(b.typeOf(s)))
	decl := []byte{0}
	if locals > 0 {
		decl = slices.Concat([]byte{1}, U(locals), []byte{byte(wasmfile.I32)})
	}
	body = slices.Concat(decl, body, []byte{0x0b})
	b.bodies = append(b.bodies, slices.Concat(U(uint64(len(body))), body))
	b.count++
	return b.count - 1
}

// Action adds an exported function that takes nothing and returns an i32.
func (b *Builder) Action(name string, body ...byte) { b.Export(name, b.Func(">i", body...)) }

// Export exports a function.
func (b *Builder) Export(name string, function int) {
	b.exports = append(b.exports, slices.Concat(text(name), []byte{0}, U(uint64(function))))
}

// Table adds a table of functions without a maximum.
func (b *Builder) Table(minimum uint64) {
	b.tables = append(b.tables, slices.Concat([]byte{0x70, 0}, U(minimum)))
}

// Memory adds the memory, in pages, exported as "memory".
func (b *Builder) Memory(pages uint64) {
	b.memory = U(pages)
	b.exports = append(b.exports, slices.Concat(text("memory"), []byte{2, 0}))
}

// Global adds a mutable global of a type, by its binary code, and returns its
// index; initial is an expression without its end.
func (b *Builder) Global(kind byte, initial []byte) int {
	b.globals = append(b.globals, slices.Concat([]byte{kind, 1}, initial, []byte{0x0b}))
	return len(b.globals) - 1
}

// Start sets the start function.
func (b *Builder) Start(function int) { b.start = U(uint64(function)) }

// Data puts bytes into the memory at an offset.
func (b *Builder) Data(offset uint64, p []byte) {
	b.datas = append(b.datas, slices.Concat([]byte{0}, I32(int64(offset)), []byte{0x0b}, U(uint64(len(p))), p))
}

// Passive adds bytes that memory.init can copy.
func (b *Builder) Passive(p []byte) {
	b.passive = true
	b.datas = append(b.datas, slices.Concat([]byte{1}, U(uint64(len(p))), p))
}

// Elements puts functions into the table at an offset.
func (b *Builder) Elements(offset uint64, functions ...int) {
	e := slices.Concat([]byte{0}, I32(int64(offset)), []byte{0x0b}, U(uint64(len(functions))))
	for _, f := range functions {
		e = append(e, U(uint64(f))...)
	}
	b.elems = append(b.elems, e)
}

// ExportGlobal exports a global.
func (b *Builder) ExportGlobal(name string, global int) {
	b.exports = append(b.exports, slices.Concat(text(name), []byte{3}, U(uint64(global))))
}

// Custom adds a custom section.
func (b *Builder) Custom(name string, p []byte) {
	b.customs = append(b.customs, slices.Concat(text(name), p))
}

// Bytes returns the module.
func (b *Builder) Bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, p []byte) { out = slices.Concat(out, []byte{id}, U(uint64(len(p))), p) }
	vector := func(id byte, items [][]byte) {
		if len(items) > 0 {
			section(id, slices.Concat(U(uint64(len(items))), slices.Concat(items...)))
		}
	}
	vector(1, b.types)
	vector(2, b.imports)
	vector(3, b.funcs)
	vector(4, b.tables)
	if b.memory != nil {
		limits := slices.Concat([]byte{0}, b.memory)
		if b.MemoryMax > 0 {
			limits = slices.Concat([]byte{1}, b.memory, U(b.MemoryMax))
		}
		vector(5, [][]byte{limits})
	}
	vector(6, b.globals)
	vector(7, b.exports)
	if b.start != nil {
		section(8, b.start)
	}
	vector(9, b.elems)
	if b.passive {
		section(12, U(uint64(len(b.datas))))
	}
	vector(10, b.bodies)
	vector(11, b.datas)
	for _, c := range b.customs {
		section(0, c)
	}
	return out
}

// U is an unsigned LEB128 integer.
func U(v uint64) []byte {
	var out []byte
	for v >= 0x80 {
		out = append(out, byte(v)|0x80)
		v >>= 7
	}
	return append(out, byte(v))
}

func signed(v int64) []byte {
	var out []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}

// I32 is the instruction i32.const.
func I32(v int64) []byte { return append([]byte{0x41}, signed(v)...) }

// I64 is the instruction i64.const.
func I64(v int64) []byte { return append([]byte{0x42}, signed(v)...) }

// Call is the instruction call.
func Call(function int) []byte { return append([]byte{0x10}, U(uint64(function))...) }

// Code joins instructions.
func Code(parts ...[]byte) []byte { return slices.Concat(parts...) }

func text(s string) []byte { return slices.Concat(U(uint64(len(s))), []byte(s)) }
