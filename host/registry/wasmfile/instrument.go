package wasmfile

import (
	"strconv"
	"strings"
)

// The names by which a host and an instrumented module meet.
const (
	// HostModule is the module of the two imports: Tick, called when the fuel is
	// used up, and Deep, called when the stack is; both take and return nothing.
	HostModule = "opsconductor:host"
	TickImport = "tick"
	DeepImport = "deep"
	// FuelExport is a mutable i64: what is left. Tick either adds to it until it is
	// positive, or ends the guest.
	FuelExport = "opsconductor.fuel"
	// DepthExport is a mutable i32: the estimated bytes of the frames on the stack.
	DepthExport = "opsconductor.depth"
	// GlobalExport and the index of a global make the name by which a mutable global
	// of the module's own is exported.
	GlobalExport = "opsconductor.g"
)

// InstrumentVersion names what Instrument and MergeData make of a module. It is
// another one whenever they make something else, for results are kept on disk.
const InstrumentVersion = 1

// Slice is how much fuel a tick should give at most: about ten microseconds of
// ordinary code. Depth is looked at when fuel is: a larger slice lets the stack
// grow further past its bound, by up to 64 bytes a unit.
const Slice = 50_000

// indirectCost is the fuel of a call through a table, on top of the call's own.
const indirectCost = 4

// Options of Instrument. Every field counts.
type Options struct {
	Limits Limits // of the module before
	// TableElements and MemoryPages are the largest maximum that a table and the
	// memory of the module keep.
	TableElements, MemoryPages uint32
	// StackBytes is the depth beyond which Deep is called.
	StackBytes uint32
	// Refill, if positive, is the fuel that the module gives itself after each tick,
	// for hosts that can't reach its globals: Tick then only looks whether to go on.
	Refill int64
}

// DefaultOptions returns options for wazero: endless recursion ends with less than
// 50 MB of host memory used.
func DefaultOptions() Options {
	l := DefaultLimits()
	return Options{Limits: l, TableElements: uint32(l.TableElements), MemoryPages: 4096, StackBytes: 16 << 20}
}

// Info is what Instrument found and did.
type Info struct {
	Functions   int // defined in the module
	Loops       int // that something branches back to
	Charges     int // places where fuel is charged
	Checks      int // of these, places that look whether fuel is left
	BytesBefore int
	BytesAfter  int
	// LargestFrame is the largest estimate of a function's frame, in bytes.
	LargestFrame int
	// Globals are the indexes of the mutable globals that are exported by
	// GlobalExport names, in order.
	Globals []uint32
	// Keeps says what of the module's state is held neither in its memory nor in
	// Globals; "": an instance whose memory has not grown is as new when these are
	// put back.
	Keeps string
}

// Resettable reports whether memory and globals are all the state there is.
func (i Info) Resettable() bool { return i.Keeps == "" }

// Instrument returns the module changed so that its execution is bounded, and what
// it found. The module calculates what it did before; fuel, depth and custom
// sections apart it cannot tell the difference:
//
//   - Each function charges fuel for the instructions that it executes, one unit
//     each or nearly, where a straight run of them begins; loops and functions look
//     whether any is left, and call Tick if not. What bulk operations and growth of
//     memory and tables do is charged by length, in pieces of a megabyte.
//   - Around calls the caller's frame is added to the depth. Deep is called when
//     the depth is over StackBytes at a look at the fuel.
//   - Mutable globals are exported; tables and memory get a maximum.
//
// Whatever runs without a look at the fuel takes well under a millisecond, but for
// a call of an import. The engine's own looks at the context (wazero's
// WithCloseOnContextDone) are not needed then, and cost much more. The work and the result are linear in the input, and the
// result is at most three times as large, and 64 KiB.
//
// Errors are *automation.Error with code bad_plugin. Types are not checked: a
// module that the engine would refuse is refused by it afterwards.
func Instrument(wasm []byte, o Options) ([]byte, Info, error) {
	f, err := Parse(wasm, o.Limits)
	if err != nil {
		return nil, Info{}, err
	}
	in := &instrumenter{
		f: f, b: wasm, o: o, types: len(f.types), info: Info{Functions: f.defined, BytesBefore: len(wasm)},
	}
	in.first = in.globals()
	if err := in.names(); err != nil {
		return nil, Info{}, err
	}
	out, fault := in.module()
	if fault != nil {
		return nil, Info{}, fault
	}
	if limit := 3*len(wasm) + 64<<10; len(out) > limit {
		return nil, Info{}, bad("build it with an ordinary toolchain, optimised",
			"with fuel metering the module has %d bytes, more than three times as many as without", len(out))
	}
	in.info.BytesAfter = len(out)
	return out, in.info, nil
}

// instrumenter holds what the functions of a module share.
type instrumenter struct {
	f     *File
	b     []byte
	o     Options
	info  Info
	types int // in the module as it came

	first   int      // the index of the first global that is added
	callees []callee // by function index
	frames  []uint32 // by index of the defined function
	address []bool   // by function index: it may be called indirectly
	helpers [helperCount]bool
	added   [][]byte // types that are put at the end
}

// imported is how many functions the module imports.
func (in *instrumenter) imported() int { return len(in.f.funcs) - in.f.defined }

func (in *instrumenter) tick() int { return in.imported() }
func (in *instrumenter) deep() int { return in.imported() + 1 }

// globals is how many globals the module has, those that it imports first.
func (in *instrumenter) globals() int { return in.importedGlobals() + len(in.f.Globals) }

func (in *instrumenter) importedGlobals() int {
	n := 0
	for _, im := range in.f.Imports {
		if im.Kind == Global {
			n++
		}
	}
	return n
}

func (in *instrumenter) fuel() int  { return in.first }
func (in *instrumenter) depth() int { return in.first + 1 }

// shifted is the index of a function after the two imports have been put in.
func (in *instrumenter) shifted(i uint32) int {
	if int(i) < in.imported() {
		return int(i)
	}
	return int(i) + 2
}

// take notes that a function's address is used.
func (in *instrumenter) take(r *reader, i uint32) {
	if uint64(i) >= uint64(len(in.address)) {
		r.fail("function %d does not exist", i)
		return
	}
	in.address[i] = true
}

// keeps notes state that is held neither in memory nor in globals.
func (in *instrumenter) keeps(what string) {
	if in.info.Keeps == "" {
		in.info.Keeps = what
	}
}

// names refuses modules that use the names of the instrumentation.
func (in *instrumenter) names() error {
	const suggestion = "upload the module as the toolchain wrote it"
	for _, im := range in.f.Imports {
		if im.Module == HostModule {
			return bad(suggestion, "the module imports from %s, which is for the host's own use", HostModule)
		}
		if im.Kind != Func {
			in.keeps("an imported " + im.Kind.String())
		}
	}
	if in.f.Lasting {
		in.keeps("a table that it changes, or a segment that it drops")
	}
	for _, e := range in.f.Exports {
		if strings.HasPrefix(e.Name, "opsconductor.") {
			return bad(suggestion, "the module exports a name that begins with opsconductor., which is for the host's own use")
		}
	}
	return nil
}

// exports lists the exports that are added, in the format of their section.
func (in *instrumenter) exports() (out []byte, n int) {
	add := func(name string, global int) {
		out = appendULEB(out, uint64(len(name)))
		out = append(append(out, name...), byte(Global))
		out = appendULEB(out, uint64(global))
		n++
	}
	imported := in.importedGlobals()
	add(FuelExport, in.fuel())
	add(DepthExport, in.depth())
	for i, g := range in.f.Globals {
		if !g.Mutable {
			continue
		}
		index := imported + i
		in.info.Globals = append(in.info.Globals, uint32(index))
		add(GlobalExport+strconv.Itoa(index), index)
		if g.Type != I32 && g.Type != I64 && g.Type != F32 && g.Type != F64 {
			in.keeps("a mutable global of a vector or reference type")
		}
	}
	return out, n
}
