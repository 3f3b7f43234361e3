package wasmfile

import "slices"

// survey walks all functions for what they need of each other.
func (in *instrumenter) survey(r *reader) {
	m := &meter{in: in}
	for i := range in.f.code {
		if !in.walk(r, m, i, 0) {
			return
		}
		in.callees[in.imported()+i] = m.settle()
		in.frames[i] = uint32(frameBytes + slotBytes*m.slots)
		in.info.LargestFrame = max(in.info.LargestFrame, frameBytes+slotBytes*m.slots)
		in.info.Loops += m.loops
	}
	for i, taken := range in.address {
		if taken && i >= in.imported() {
			in.callees[i] = callee{own: true}
		}
	}
}

// walk meters one function; r takes its fault.
func (in *instrumenter) walk(r *reader, m *meter, i, frame int) bool {
	b := in.f.code[i]
	size := &reader{b: in.b, pos: b.start}
	size.u32()
	c := &code{reader: &reader{b: in.b[size.pos:b.end], base: size.pos}, limits: in.f.limits}
	c.declarations()
	params := in.f.types[in.f.funcs[in.imported()+i]].Params
	m.reset(c.pos, frame)
	m.locals = len(params) + c.locals
	for c.depth = 1; c.depth > 0 && c.err == nil; {
		c.next()
		m.step(c)
	}
	m.slots += c.slots
	for _, p := range params {
		m.slots += p.slots()
	}
	if c.err != nil && r.err == nil {
		r.err = c.err
	}
	return r.err == nil
}

// code is the content of the code section.
func (in *instrumenter) code(r *reader) []byte {
	helpers := in.helperBodies()
	out := make([]byte, 0, in.f.CodeBytes*3/2)
	out = appendULEB(out, uint64(in.f.defined+len(helpers)))
	m := &meter{in: in}
	var body []byte
	for i := range in.f.code {
		if !in.walk(r, m, i, int(in.frames[i])) {
			return nil
		}
		m.settle()
		m.place(in.callees[in.imported()+i].own)
		b := in.f.code[i]
		size := &reader{b: in.b, pos: b.start}
		size.u32()
		body = in.function(body[:0], m, in.b[size.pos:b.end])
		out = appendULEB(out, uint64(len(body)))
		out = append(out, body...)
	}
	for _, h := range helpers {
		out = appendULEB(out, uint64(len(h)))
		out = append(out, h...)
	}
	return out
}

// function writes a body with its charges and edits.
func (in *instrumenter) function(out []byte, m *meter, b []byte) []byte {
	out = slices.Grow(out, 2*len(b))
	at, e := 0, 0
	if m.local {
		r := &reader{b: b}
		out = appendULEB(out, uint64(r.u32())+1)
		out = append(out, b[r.pos:m.stretches[0].at]...)
		out = append(out, 1, byte(I64))
		at = m.stretches[0].at
	}
	edits := func(until int) {
		for ; e < len(m.edits) && m.edits[e].at < until; e++ {
			x := m.edits[e]
			if !m.applies(x) {
				continue
			}
			out = append(out, b[at:x.at]...)
			out = in.edit(out, m, x)
			at = x.end
		}
	}
	for i := range m.stretches {
		s := &m.stretches[i]
		charged := !s.gone && (s.total() > 0 || s.checks)
		if !charged && !s.deep {
			continue
		}
		edits(s.at)
		out = append(out, b[at:s.at]...)
		at = s.at
		if s.deep {
			out = in.deepen(out, m.frame, opI32Add)
		}
		if charged {
			out = in.site(out, m, s)
		}
	}
	edits(len(b) + 1)
	return append(out, b[at:]...)
}

// applies reports whether an edit is needed, now that the loops are known.
func (m *meter) applies(x edit) bool {
	switch x.kind {
	case editCall, editDeep, editBack, editQuery, editSwap:
		return true
	case editEnter, editExit:
		return m.stretches[x.index].root == x.index
	case editLeave:
		root := m.stretches[x.index].root
		return root != unreached && x.level < m.stretches[root].level
	case editNone:
	}
	return false
}

func (in *instrumenter) edit(out []byte, m *meter, x edit) []byte {
	switch x.kind {
	case editCall:
		return appendULEB(out, uint64(x.index))
	case editDeep:
		return in.deepen(out, m.frame, opI32Add)
	case editBack:
		return in.deepen(out, m.frame, opI32Sub)
	case editQuery, editSwap:
		return appendULEB(append(out, opCall), uint64(in.helper(helper(x.index))))
	case editEnter:
		return in.toLocal(out, m)
	case editLeave:
		return in.toGlobal(out, m)
	case editExit:
		return in.toGlobal(append(out, opEnd), m)
	case editNone:
	}
	return out
}

func (in *instrumenter) deepen(out []byte, frame int, op byte) []byte {
	out = appendULEB(append(out, opGlobalGet), uint64(in.depth()))
	out = append(appendSLEB(append(out, opI32Const), int64(frame)), op)
	return appendULEB(append(out, opGlobalSet), uint64(in.depth()))
}

func (in *instrumenter) toLocal(out []byte, m *meter) []byte {
	out = appendULEB(append(out, opGlobalGet), uint64(in.fuel()))
	return appendULEB(append(out, opLocalSet), uint64(m.locals))
}

func (in *instrumenter) toGlobal(out []byte, m *meter) []byte {
	out = appendULEB(append(out, opLocalGet), uint64(m.locals))
	return appendULEB(append(out, opGlobalSet), uint64(in.fuel()))
}

// site charges a stretch, and looks at what is left where it has to.
func (in *instrumenter) site(out []byte, m *meter, s *stretch) []byte {
	in.info.Charges++
	if s.checks {
		in.info.Checks++
	}
	if s.root == unreached {
		out = in.charge(out, s.total())
		if s.checks {
			out = in.check(out)
		}
		return out
	}
	out = appendULEB(append(out, opLocalGet), uint64(m.locals))
	out = append(appendSLEB(append(out, opI64Const), int64(s.total())), opI64Sub)
	out = appendULEB(append(out, opLocalSet), uint64(m.locals))
	if !s.checks {
		return out
	}
	return in.poll(out, m, true)
}

// charge takes units of the fuel.
func (in *instrumenter) charge(out []byte, units int) []byte {
	out = appendULEB(append(out, opGlobalGet), uint64(in.fuel()))
	out = append(appendSLEB(append(out, opI64Const), int64(units)), opI64Sub)
	return appendULEB(append(out, opGlobalSet), uint64(in.fuel()))
}

// check calls the poll helper while the fuel is used up.
func (in *instrumenter) check(out []byte) []byte { return in.poll(out, nil, false) }

// poll is check for fuel in the local or the global. It is a loop, and not an if,
// for the sake of wazero's compiler: where the two ways of an if come together
// again it takes values from the stack, because one of them has called, and so
// the way that nearly always is taken would read and write memory too. Here all
// that is done on the way back to the loop's head.
func (in *instrumenter) poll(out []byte, m *meter, local bool) []byte {
	out = append(out, opLoop, blockEmpty)
	if local {
		out = appendULEB(append(out, opLocalGet), uint64(m.locals))
	} else {
		out = appendULEB(append(out, opGlobalGet), uint64(in.fuel()))
	}
	out = append(out, opI64Const, 0, opI64LtS, opIf, blockEmpty)
	if local {
		out = in.toGlobal(out, m)
	}
	out = appendULEB(append(out, opCall), uint64(in.helper(helperPoll)))
	if local {
		out = in.toLocal(out, m)
	}
	return append(out, opBr, 1, opEnd, opEnd)
}

// Opcodes that the instrumentation writes.
const (
	opLoop       byte = 0x03
	opIf         byte = 0x04
	opElse       byte = 0x05
	opEnd        byte = 0x0b
	opBr         byte = 0x0c
	opBrIf       byte = 0x0d
	opCall       byte = 0x10
	opLocalGet   byte = 0x20
	opLocalSet   byte = 0x21
	opLocalTee   byte = 0x22
	opGlobalGet  byte = 0x23
	opGlobalSet  byte = 0x24
	opMemorySize byte = 0x3f
	opMemoryGrow byte = 0x40
	opI32Const   byte = 0x41
	opI64Const   byte = 0x42
	opI32LeU     byte = 0x4d
	opI32GtU     byte = 0x4b
	opI32Eq      byte = 0x46
	opI64LtS     byte = 0x53
	opI64LeU     byte = 0x58
	opI32Add     byte = 0x6a
	opI32Sub     byte = 0x6b
	opI32And     byte = 0x71
	opI64Add     byte = 0x7c
	opI64Sub     byte = 0x7d
	opI64Shl     byte = 0x86
	opI64ShrU    byte = 0x88
	opI64Extend  byte = 0xad // i64.extend_i32_u
	opSelect     byte = 0x1b
	blockEmpty   byte = 0x40
)
