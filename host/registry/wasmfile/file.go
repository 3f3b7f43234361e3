package wasmfile

import (
	"slices"

	"opsconductor.dev/host/automation"
)

// Limits are the bounds of what Parse accepts. Every field counts.
type Limits struct {
	Bytes         int // of the whole file
	Types         int
	Imports       int
	Functions     int   // defined, without imports
	FunctionBytes int   // of one function's body
	Locals        int   // of one function
	Blocks        int   // structured control instructions of one function
	Nesting       int   // of blocks
	CompileCost   int64 // see File.CompileCost
	Globals       int
	Exports       int
	Tables        int
	TableElements int // the minimum of one table, and the maximum that growth may reach
	MemoryPages   int // the minimum of the memory, in pages of 64 KiB
	Segments      int // data and element segments, each
	CustomBytes   int // of the custom section that holds the manifest
}

// DefaultLimits returns bounds that every guest of the supported toolchains
// passes with room to spare.
func DefaultLimits() Limits {
	return Limits{
		Bytes: 24 << 20, Types: 4096, Imports: 256, Functions: 65536, FunctionBytes: 128 << 10, Locals: 1024,
		Blocks: 2048, Nesting: 2048, CompileCost: 100_000_000, Globals: 4096, Exports: 4096, Tables: 8, TableElements: 100_000,
		MemoryPages: 512, Segments: 65536, CustomBytes: 1 << 20,
	}
}

// ValueType is the binary code of a value type: 0x7f i32, 0x7e i64, 0x7d f32, 0x7c f64 …
type ValueType byte

// The value types that signatures of plugins use.
const (
	I32  ValueType = 0x7f
	I64  ValueType = 0x7e
	F32  ValueType = 0x7d
	F64  ValueType = 0x7c
	v128 ValueType = 0x7b
)

// FuncType is the signature of a function.
type FuncType struct{ Params, Results []ValueType }

// Equal reports whether two signatures are the same.
func (t FuncType) Equal(u FuncType) bool {
	return slices.Equal(t.Params, u.Params) && slices.Equal(t.Results, u.Results)
}

// Kind says what an import or export is.
type Kind byte

// The kinds of imports and exports.
const (
	Func   Kind = 0
	Table  Kind = 1
	Memory Kind = 2
	Global Kind = 3
)

// String returns the kind's name in the WebAssembly text format.
func (k Kind) String() string {
	switch k {
	case Func:
		return "func"
	case Table:
		return "table"
	case Memory:
		return "memory"
	case Global:
		return "global"
	}
	return "unknown"
}

// Import is one import; Type is set for functions.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         FuncType
}

// Export is one export; Type is set for functions.
type Export struct {
	Name string
	Kind Kind
	Type FuncType
}

// Extent is the size that a table or memory declares; HasMax says whether Max counts.
type Extent struct {
	Min, Max uint32
	HasMax   bool
}

// GlobalType is the type of a global.
type GlobalType struct {
	Type    ValueType
	Mutable bool
}

// File is what a module declares.
type File struct {
	Imports  []Import
	Exports  []Export
	Tables   []Extent
	Memories []Extent
	Globals  []GlobalType // defined, without imports
	HasStart bool
	// Lasting: a function changes a table, or drops a segment, so that running it
	// leaves more behind than what memory and globals hold.
	Lasting bool
	// Functions defined, the bytes of the largest body, the deepest nesting and the
	// most blocks of one function.
	Functions, LargestBody, DeepestNesting, MostBlocks, MostLocals int
	// CompileCost estimates what a compiler that is quadratic needs: the sum, over
	// functions, of blocks times blocks and locals. A million takes about 0.2 s.
	CompileCost int64
	// CodeBytes and DataBytes are the sizes of these sections.
	CodeBytes, DataBytes int

	limits   Limits
	types    []FuncType
	funcs    []uint32 // type indexes: imports, then defined
	defined  int      // functions that the function section announces
	bodies   int
	code     []body
	customs  []section
	sections []section
}

type section struct {
	id         byte
	name       string // of a custom section
	start, end int    // with the header
	body       int    // where the content begins (after a custom section's name)
}

// Sections is how many sections the file has.
func (f *File) Sections() int { return len(f.sections) }

// Export returns the export with a name.
func (f *File) Export(name string) (Export, bool) {
	for _, e := range f.Exports {
		if e.Name == name {
			return e, true
		}
	}
	return Export{}, false
}

func bad(suggestion, format string, args ...any) *automation.Error {
	err := automation.Errorf(automation.CodeBadPlugin, format, args...)
	err.Suggestion = suggestion
	return err
}
