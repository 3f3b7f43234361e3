// Package pdk is the little of an Extism plugin kit that the guests of the tests
// need.
package pdk

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env input_load_u8
func inputLoad(offset uint64) uint32

//go:wasmimport extism:host/env alloc
func alloc(n uint64) uint64

//go:wasmimport extism:host/env length
func length(offset uint64) uint64

//go:wasmimport extism:host/env load_u8
func load(offset uint64) uint32

//go:wasmimport extism:host/env store_u8
func store(offset uint64, v uint32)

//go:wasmimport extism:host/env output_set
func outputSet(offset, n uint64)

//go:wasmimport extism:host/env error_set
func errorSet(offset uint64)

//go:wasmimport extism:host/env var_get
func varGet(name uint64) uint64

//go:wasmimport extism:host/env var_set
func varSet(name, value uint64)

//go:wasmimport extism:host/env log_info
func logInfo(offset uint64)

// Input returns the action's input.
func Input() []byte {
	b := make([]byte, inputLength())
	for i := range b {
		b[i] = byte(inputLoad(uint64(i)))
	}
	return b
}

// Put copies bytes into the memory that guest and host share.
func Put(b []byte) uint64 {
	at := alloc(uint64(len(b)))
	for i, c := range b {
		store(at+uint64(i), uint32(c))
	}
	return at
}

// Output sets the action's output.
func Output(b []byte) { outputSet(Put(b), uint64(len(b))) }

// SetErrorString sets the action's error.
func SetErrorString(s string) { errorSet(Put([]byte(s))) }

// Log logs a line.
func Log(s string) { logInfo(Put([]byte(s))) }

// Var returns a variable; nil without one.
func Var(name string) []byte {
	at := varGet(Put([]byte(name)))
	if at == 0 {
		return nil
	}
	return get(at)
}

// SetVar sets a variable.
func SetVar(name string, value []byte) { varSet(Put([]byte(name)), Put(value)) }

// Ask calls a host function.
func Ask(f func(uint64) uint64, request []byte) []byte { return get(f(Put(request))) }

func get(at uint64) []byte {
	b := make([]byte, length(at))
	for i := range b {
		b[i] = byte(load(at + uint64(i)))
	}
	return b
}
