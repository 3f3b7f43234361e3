package wasmfile

// helper is a function that the instrumentation adds.
type helper int

// The helpers. Swapped for their instruction: copy, fill, grow. Before the
// instruction, passing on the length on top of the stack: bytes, elements.
const (
	helperPoll helper = iota
	helperCopy        // memory.copy, and fill next to it as their opcodes are
	helperFill
	helperGrow
	helperBytes
	helperElements
	helperCount
)

const (
	bulkChunk    = 1 << 20 // bytes that are copied or filled without a look at the fuel
	bytesPerUnit = 3       // two to this power
	unitsPerPage = 2048    // of memory.grow
)

// helper is the index of a helper in the new module.
func (in *instrumenter) helper(h helper) int {
	n := len(in.f.funcs) + 2
	for i := range h {
		if i == helperPoll || in.helpers[i] {
			n++
		}
	}
	return n
}

func (in *instrumenter) eachHelper(do func(helper)) {
	for h := range helperCount {
		if h == helperPoll || in.helpers[h] {
			do(h)
		}
	}
}

// helperTypes are the entries of the function section.
func (in *instrumenter) helperTypes() (n int, out []byte) {
	in.eachHelper(func(h helper) {
		out = appendULEB(out, uint64(in.typeOf(h.signature())))
		n++
	})
	return n, out
}

func (h helper) signature() FuncType {
	switch h {
	case helperCopy, helperFill:
		return FuncType{Params: []ValueType{I32, I32, I32}}
	case helperGrow, helperBytes, helperElements:
		return FuncType{Params: []ValueType{I32}, Results: []ValueType{I32}}
	case helperPoll, helperCount:
	}
	return FuncType{}
}

// helperBodies writes the helpers.
func (in *instrumenter) helperBodies() (out [][]byte) {
	in.typeOf(FuncType{}) // of the imports
	in.eachHelper(func(h helper) {
		in.typeOf(h.signature())
		var b []byte
		switch h {
		case helperPoll:
			b = in.pollBody()
		case helperCopy:
			b = in.bulk([]byte{0xfc, 10, 0, 0}, true)
		case helperFill:
			b = in.bulk([]byte{0xfc, 11, 0}, false)
		case helperGrow:
			b = in.grow()
		case helperBytes:
			b = in.query(uint32(len(in.b)), bytesPerUnit)
		case helperElements:
			b = in.query(in.o.TableElements, 0)
		case helperCount:
		}
		out = append(out, append(b, opEnd))
	})
	return out
}

// pollBody: tick(); fuel += refill; if depth > stack bytes { deep() }.
func (in *instrumenter) pollBody() []byte {
	out := appendULEB([]byte{0, opCall}, uint64(in.tick()))
	if in.o.Refill > 0 {
		out = in.charge(out, -int(in.o.Refill))
	}
	out = appendULEB(append(out, opGlobalGet), uint64(in.depth()))
	out = append(appendSLEB(append(out, opI32Const), int64(int32(in.o.StackBytes))), opI32GtU, opIf, blockEmpty, opCall)
	return append(appendULEB(out, uint64(in.deep())), opEnd)
}

// chargeLocal takes local >> shift of the fuel and looks whether any is left.
func (in *instrumenter) chargeLocal(out []byte, local byte, shift int64) []byte {
	out = appendULEB(append(out, opGlobalGet), uint64(in.fuel()))
	out = append(out, opLocalGet, local, opI64Extend)
	out = append(appendSLEB(append(out, opI64Const), shift), opI64ShrU, opI64Sub)
	return in.check(appendULEB(append(out, opGlobalSet), uint64(in.fuel())))
}

// query: charge(min(n, most) >> shift); return n. More than most fails anyway.
func (in *instrumenter) query(most uint32, shift int64) []byte {
	limit := appendSLEB([]byte{opI32Const}, int64(int32(most)))
	out := append([]byte{1, 1, byte(I32), opLocalGet, 0}, limit...) // one local more: what is charged
	out = append(append(append(out, opLocalGet, 0), limit...), opI32LeU, opSelect, opLocalSet, 1)
	return append(in.chargeLocal(out, 1, shift), opLocalGet, 0)
}

// grow: if memory.grow(pages) worked { charge(pages) }.
func (in *instrumenter) grow() []byte {
	out := []byte{1, 1, byte(I32), opLocalGet, 0, opMemoryGrow, 0, opLocalTee, 1, opI32Const, 0x7f, opI32Eq, opIf, blockEmpty, opElse}
	out = appendULEB(append(out, opGlobalGet), uint64(in.fuel()))
	out = append(out, opLocalGet, 0, opI64Extend)
	out = append(appendSLEB(append(out, opI64Const), unitsPerPage), 0x7e, opI64Sub) // i64.mul
	out = in.check(appendULEB(append(out, opGlobalSet), uint64(in.fuel())))
	return append(out, opEnd, opLocalGet, 1)
}

// bulk does what op does to (to, from or value, n), in pieces: a fault is one of
// the whole, before anything is written, and a copy's pieces are taken from the
// end that does not overwrite what is still to be read.
func (in *instrumenter) bulk(op []byte, moves bool) []byte {
	out := append([]byte{0}, in.longer()...)
	out = append(out, opIf, blockEmpty)
	out = inBounds(out, 0)
	if moves {
		out = append(inBounds(out, 1), opI32And)
	}
	out = append(out, opIf, blockEmpty)
	if moves {
		out = append(out, opLocalGet, 0, opLocalGet, 1, opI32LeU, opIf, blockEmpty)
	}
	out = in.upwards(out, op, moves)
	if moves {
		out = append(in.downwards(append(out, opElse), op), opEnd)
	}
	out = append(out, opElse, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2)
	out = append(append(out, op...), opEnd, opEnd)
	out = in.chargeLocal(out, 2, bytesPerUnit)
	return append(append(out, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2), op...)
}

// longer: n > bulkChunk.
func (in *instrumenter) longer() []byte { return append(appendChunk([]byte{opLocalGet, 2}), opI32GtU) }

// inBounds: local + n <= memory.size * 65536.
func inBounds(out []byte, local byte) []byte {
	out = append(out, opLocalGet, local, opI64Extend, opLocalGet, 2, opI64Extend, opI64Add)
	return append(out, opMemorySize, 0, opI64Extend, opI64Const, 16, opI64Shl, opI64LeU)
}

func appendChunk(out []byte) []byte { return appendSLEB(append(out, opI32Const), bulkChunk) }

// step adds a chunk to a local, or takes it away.
func step(out []byte, local, op byte) []byte {
	return append(appendChunk(append(out, opLocalGet, local)), op, opLocalSet, local)
}

func (in *instrumenter) again(out []byte) []byte {
	out = in.check(in.charge(out, bulkChunk>>bytesPerUnit))
	return append(append(out, in.longer()...), opBrIf, 0, opEnd)
}

func (in *instrumenter) upwards(out, op []byte, moves bool) []byte {
	out = appendChunk(append(out, opLoop, blockEmpty, opLocalGet, 0, opLocalGet, 1))
	out = step(append(out, op...), 0, opI32Add)
	if moves {
		out = step(out, 1, opI32Add)
	}
	return in.again(step(out, 2, opI32Sub))
}

func (in *instrumenter) downwards(out, op []byte) []byte {
	out = step(append(out, opLoop, blockEmpty), 2, opI32Sub)
	out = append(out, opLocalGet, 0, opLocalGet, 2, opI32Add, opLocalGet, 1, opLocalGet, 2, opI32Add)
	return in.again(append(appendChunk(out), op...))
}
