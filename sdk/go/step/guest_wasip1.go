package step

import "encoding/binary"

// The part of Extism's guest ABI that a plugin needs. Blocks of memory outside
// the module are named by their offset, and read and written in words.

//go:wasmimport extism:host/env input_length
func envInputLength() uint64

//go:wasmimport extism:host/env input_load_u64
func envInputLoad64(offset uint64) uint64

//go:wasmimport extism:host/env input_load_u8
func envInputLoad8(offset uint64) uint32

//go:wasmimport extism:host/env output_set
func envOutputSet(offset, length uint64)

//go:wasmimport extism:host/env error_set
func envErrorSet(offset uint64)

//go:wasmimport extism:host/env alloc
func envAlloc(length uint64) uint64

//go:wasmimport extism:host/env free
func envFree(offset uint64)

//go:wasmimport extism:host/env length
func envLength(offset uint64) uint64

//go:wasmimport extism:host/env load_u64
func envLoad64(offset uint64) uint64

//go:wasmimport extism:host/env load_u8
func envLoad8(offset uint64) uint32

//go:wasmimport extism:host/env store_u64
func envStore64(offset, value uint64)

//go:wasmimport extism:host/env store_u8
func envStore8(offset uint64, value uint32)

// guestDone is what Run returns after a success.
const guestDone int32 = 0

func guestInput() []byte {
	return load(envInputLength(), 0, envInputLoad64, envInputLoad8)
}

func guestOutput(b []byte) {
	envOutputSet(store(b), uint64(len(b)))
}

func guestError(b []byte) {
	envErrorSet(store(b))
}

func guestCall(imported func(uint64) uint64, request []byte) []byte {
	in := store(request)
	out := imported(in)
	envFree(in)
	if out == 0 {
		return nil
	}
	answer := load(envLength(out), out, envLoad64, envLoad8)
	envFree(out)
	return answer
}

func load(length, offset uint64, load64 func(uint64) uint64, load8 func(uint64) uint32) []byte {
	b := make([]byte, length)
	i := uint64(0)
	for ; i+8 <= length; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], load64(offset+i))
	}
	for ; i < length; i++ {
		b[i] = byte(load8(offset + i))
	}
	return b
}

func store(b []byte) uint64 {
	offset := envAlloc(uint64(len(b)))
	i := 0
	for ; i+8 <= len(b); i += 8 {
		envStore64(offset+uint64(i), binary.LittleEndian.Uint64(b[i:]))
	}
	for ; i < len(b); i++ {
		envStore8(offset+uint64(i), uint32(b[i]))
	}
	return offset
}
