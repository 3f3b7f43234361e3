package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The shape of the memory of Extism's kernel 1.7: a page that begins with a root,
// blocks with a header each, and fifteen pages for a stack that count as memory.
const (
	arenaPages  = 16
	arenaRoot   = 65        // where the first block's header stands
	arenaHeader = 12        // bytes of a header
	arenaRoom   = 65472     // bytes for blocks before the first growth
	arenaSplit  = 128       // a free block is split when so much would be left of it
	arenaMost   = 1<<32 - 1 // offsets are 32 bits wide in truth
	arenaKept   = 64 << 10  // how much of a buffer is kept for the next attempt
	blockBytes  = 64        // what a block costs the host, with the copies that growing leaves,
	blocksFree  = 4096      // and how many are not counted
)

// arena is the memory through which guest and host pass blocks of bytes: Extism's
// kernel, which is a WebAssembly module, in Go. It gives the same offsets, sizes
// and answers; but where its blocks begin and end stands beside it and not in it,
// so that a guest that writes where it has no block spoils nothing, and a walk
// over the blocks always ends. An offset of no block has the length 0; what lies
// outside is 0, is ignored or traps, as in the kernel. Not safe for concurrent use.
type arena struct {
	budget *budget
	// edgeless: a test took the look at the edge out.
	edgeless bool
	buf      []byte // what was touched; the rest of the pages is zeros
	pages    uint64
	room     uint64 // bytes for blocks
	used     uint64 // of the room, from its start
	blocks   []block
	free     int

	input, inputLength, output, outputLength, failure uint64
}

// block is a block by the offset of its bytes; blocks are kept in that order.
type block struct {
	at, size, used uint32
	free           bool
}

var errOutside = errors.New("out of bounds memory access")

// begin makes the arena an empty one of its first size. What the last user left
// is overwritten.
func (a *arena) begin() {
	a.clear()
	if cap(a.buf) > arenaKept {
		a.buf = nil
	}
	a.pages, a.room = arenaPages, arenaRoom
}

// clear is the kernel's reset: no blocks, and zeros where they were.
func (a *arena) clear() {
	clear(a.buf)
	a.buf = a.buf[:0]
	if cap(a.blocks) > blocksFree {
		a.blocks = nil
	}
	a.blocks, a.free, a.used = a.blocks[:0], 0, 0
	a.input, a.inputLength, a.output, a.outputLength, a.failure = 0, 0, 0, 0, 0
}

func (a *arena) size() uint64 { return a.pages * pageBytes }

// alloc makes a block of n bytes and returns its offset; 0 when n is 0 or there
// is no room.
func (a *arena) alloc(n uint64) uint64 {
	if n == 0 || n > arenaMost-arenaHeader {
		return 0
	}
	need := n + arenaHeader
	if left := a.room - a.used - (arenaRoot - 1); need >= left {
		if at := a.reuse(n); at != 0 {
			return at
		}
		pages := (need - left + pageBytes - 1) / pageBytes
		if a.pages+pages > arenaMost/pageBytes || !a.budget.take(int64(pages)*pageBytes) {
			return 0
		}
		a.pages += pages
		a.room += pages * pageBytes
	}
	if !a.note() {
		return 0
	}
	at := arenaRoot + a.used + arenaHeader
	a.used += need
	a.blocks = append(a.blocks, block{at: uint32(at), size: uint32(n), used: uint32(n)})
	return at
}

// reuse gives a freed block that is large enough, or the end of one.
func (a *arena) reuse(n uint64) uint64 {
	if a.free == 0 || n+arenaHeader > a.used {
		return 0
	}
	i := slices.IndexFunc(a.blocks, func(b block) bool { return b.free && uint64(b.size) >= n })
	if i < 0 {
		return 0
	}
	b := &a.blocks[i]
	left := b.size - uint32(n)
	if left < arenaSplit {
		a.free--
		b.free, b.used = false, uint32(n)
		return uint64(b.at)
	}
	if !a.note() {
		return 0
	}
	b.size, b.used = left-arenaHeader, 0
	part := block{at: b.at + left, size: uint32(n), used: uint32(n)}
	a.blocks = slices.Insert(a.blocks, i+1, part)
	return uint64(part.at)
}

// note makes room for one more block in the list.
func (a *arena) note() bool { return len(a.blocks) < blocksFree || a.budget.take(blockBytes) }

// find returns the block in use at exactly this offset, or nil.
func (a *arena) find(at uint64) *block {
	if n := len(a.blocks); n > 0 && uint64(a.blocks[n-1].at) == at {
		if b := &a.blocks[n-1]; !b.free {
			return b
		}
		return nil
	}
	i, ok := slices.BinarySearchFunc(a.blocks, at, func(b block, at uint64) int {
		switch {
		case uint64(b.at) < at:
			return -1
		case uint64(b.at) > at:
			return 1
		}
		return 0
	})
	if !ok || a.blocks[i].free {
		return nil
	}
	return &a.blocks[i]
}

func (a *arena) release(at uint64) {
	b := a.find(at)
	if b == nil {
		return
	}
	b.free = true
	a.free++
	if a.input == at {
		a.inputLength = 0
	}
}

func (a *arena) lengthOf(at uint64) uint64 {
	if b := a.find(at); b != nil {
		return uint64(b.used)
	}
	return 0
}

// bytes returns n bytes at an offset for writing, within the size.
func (a *arena) bytes(at, n uint64) []byte {
	end := int(at + n)
	if end > len(a.buf) {
		a.buf = slices.Grow(a.buf, end-len(a.buf))[:end] // Grow leaves zeros: clear wiped what was used
	}
	return a.buf[at:end]
}

func (a *arena) inside(at, n uint64) bool {
	return at+n >= at && at+n <= a.size() || a.edgeless
}

// loadByte and storeByte pass over offsets outside, save the very end, where the
// kernel traps.
func (a *arena) loadByte(at uint64) byte {
	if at < arenaRoot-1 || at > a.size() {
		return 0
	}
	if at == a.size() {
		panic(errOutside)
	}
	if at >= uint64(len(a.buf)) {
		return 0
	}
	return a.buf[at]
}

func (a *arena) storeByte(at uint64, v byte) {
	if at < arenaRoot-1 || at > a.size() {
		return
	}
	if at == a.size() {
		panic(errOutside)
	}
	a.bytes(at, 1)[0] = v
}

// load64 and store64 look at the low half of an offset alone, as go-sdk does.
func (a *arena) load64(at uint64) uint64 {
	at &= arenaMost
	if !a.inside(at, 8) {
		panic(fmt.Errorf("could not read value at offset: %d", at))
	}
	if at+8 <= uint64(len(a.buf)) {
		return binary.LittleEndian.Uint64(a.buf[at:])
	}
	var b [8]byte
	if at < uint64(len(a.buf)) {
		copy(b[:], a.buf[at:])
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (a *arena) store64(at, v uint64) {
	at &= arenaMost
	if !a.inside(at, 8) {
		panic(fmt.Errorf("could not write value at offset: %d", at))
	}
	binary.LittleEndian.PutUint64(a.bytes(at, 8), v)
}

func (a *arena) inputByte(i uint64) byte {
	if i >= a.inputLength {
		return 0
	}
	return a.loadByte(a.input + i)
}

// setInput makes the block of the input.
func (a *arena) setInput(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	at, ok := a.put(b)
	a.input, a.inputLength = at, uint64(len(b))
	return ok
}

// setOutput notes where the output is; what lies outside the blocks is passed over.
func (a *arena) setOutput(at, n uint64) {
	end := arenaRoot + a.room
	last := at + n - 1
	if at >= arenaRoot && at < end && last >= arenaRoot && last < end {
		a.output, a.outputLength = at, n
	}
}

func (a *arena) setFailure(at uint64) {
	if at == 0 || at >= arenaRoot && at < arenaRoot+a.room {
		a.failure = at
	}
}

// copyOf copies n bytes at an offset, of which the low halves count; false when
// they are not inside.
func (a *arena) copyOf(at, n uint64) ([]byte, bool) {
	at, n = at&arenaMost, n&arenaMost
	if !a.inside(at, n) {
		return nil, false
	}
	b := make([]byte, n)
	if at < uint64(len(a.buf)) {
		copy(b, a.buf[at:])
	}
	return b, true
}

// The exchange of host calls.

func (a *arena) length(at uint64) (uint64, error) { return a.lengthOf(at), nil }

func (a *arena) read(at uint64) ([]byte, error) {
	b, ok := a.copyOf(at, a.lengthOf(at))
	if !ok {
		return nil, errors.New("invalid memory block")
	}
	return b, nil
}

func (a *arena) put(b []byte) (uint64, bool) {
	at := a.alloc(uint64(len(b)))
	if at == 0 {
		return 0, false
	}
	copy(a.bytes(at, uint64(len(b))), b)
	return at, true
}
