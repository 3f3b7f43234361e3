package wasmfile

import "opsconductor.dev/host/automation"

// maxPages is the size of the address space.
const maxPages = 65536

// module writes the module anew, section by section; custom sections are left out:
// names and debug information would speak of other indexes.
func (in *instrumenter) module() ([]byte, *automation.Error) {
	var content [13]*section
	for i := range in.f.sections {
		s := &in.f.sections[i]
		if s.id != 0 {
			content[s.id] = s
		}
	}
	in.callees = make([]callee, len(in.f.funcs))
	in.frames = make([]uint32, in.f.defined)
	in.address = make([]bool, len(in.f.funcs))
	for i := range in.imported() {
		in.callees[i] = callee{light: true}
	}
	// What functions need of each other and of the rest comes first.
	r := &reader{b: in.b}
	elements := in.elements(r, content[9])
	globals := in.globalSection(r, content[6])
	in.offsets(r, content[11])
	in.survey(r)
	if r.err != nil {
		return nil, r.err
	}
	body := in.code(r) // it adds types
	out := append(make([]byte, 0, len(in.b)+len(in.b)/2), in.b[:8]...)
	for _, id := range []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11} {
		s := content[id]
		switch id {
		case 1:
			out = appendSection(out, 1, in.extended(s, len(in.added), in.added...))
		case 2:
			out = appendSection(out, 2, in.extended(s, 2, in.imports(TickImport), in.imports(DeepImport)))
		case 3:
			n, types := in.helperTypes()
			out = appendSection(out, 3, in.extended(s, n, types))
		case 6:
			out = appendSection(out, 6, globals)
		case 7:
			out = appendSection(out, 7, in.exportSection(r, s))
		case 9:
			if s != nil {
				out = appendSection(out, 9, elements)
			}
		case 10:
			out = appendSection(out, 10, body)
		default:
			out = in.unchanged(out, r, s)
		}
	}
	return out, r.err
}

// unchanged writes the sections that stay, or nearly.
func (in *instrumenter) unchanged(out []byte, r *reader, s *section) []byte {
	if s == nil {
		return out
	}
	switch s.id {
	case 4:
		return appendSection(out, 4, in.f.tables(in.b[s.body:s.end], in.o.TableElements))
	case 5:
		return appendSection(out, 5, in.memories(r))
	case 8:
		in.sub(r, s)
		start := r.u32()
		if uint64(start) >= uint64(len(in.f.funcs)) {
			r.fail("function %d does not exist", start)
		}
		return appendSection(out, 8, appendULEB(nil, uint64(in.shifted(start))))
	}
	return append(out, in.b[s.start:s.end]...)
}

// sub points r at the content of a section, keeping its fault.
func (in *instrumenter) sub(r *reader, s *section) {
	*r = reader{b: in.b[:s.end], pos: s.body, err: r.err}
}

// extended is the content of a section that is a vector, with more at its end.
func (in *instrumenter) extended(s *section, n int, more ...[]byte) []byte {
	var have uint32
	var old []byte
	if s != nil {
		r := &reader{b: in.b[:s.end], pos: s.body}
		have = r.u32()
		old = in.b[r.pos:s.end]
	}
	out := append(appendULEB(nil, uint64(have)+uint64(n)), old...)
	for _, m := range more {
		out = append(out, m...)
	}
	return out
}

func (in *instrumenter) imports(name string) []byte {
	out := append([]byte{byte(len(HostModule))}, HostModule...)
	out = append(append(out, byte(len(name))), name...)
	return appendULEB(append(out, byte(Func)), uint64(in.typeOf(FuncType{})))
}

// typeOf returns the index of a type, adding it if the module has none like it.
func (in *instrumenter) typeOf(t FuncType) int {
	for i, u := range in.f.types {
		if t.Equal(u) {
			return i
		}
	}
	in.f.types = append(in.f.types, t)
	out := []byte{0x60}
	for _, side := range [][]ValueType{t.Params, t.Results} {
		out = appendULEB(out, uint64(len(side)))
		for _, v := range side {
			out = append(out, byte(v))
		}
	}
	in.added = append(in.added, out)
	return len(in.f.types) - 1
}

func (in *instrumenter) memories(r *reader) []byte {
	out := appendULEB(nil, uint64(len(in.f.Memories)))
	for _, e := range in.f.Memories {
		top := max(e.Min, in.o.MemoryPages)
		if e.HasMax {
			top = min(e.Max, top)
		}
		if e.HasMax && e.Max > maxPages {
			r.fail("a memory has a maximum of %d pages; there are %d at most", e.Max, maxPages)
		}
		out = append(out, 1)
		out = appendULEB(out, uint64(e.Min))
		out = appendULEB(out, uint64(top))
	}
	return out
}

// globalSection is the global section with fuel and depth at its end.
func (in *instrumenter) globalSection(r *reader, s *section) []byte {
	var out []byte
	n := 0
	if s != nil {
		in.sub(r, s)
		n = int(r.u32())
	}
	out = appendULEB(out, uint64(n)+2)
	for range n {
		out = append(out, r.skip(2)...)
		out = in.constant(out, r)
	}
	out = append(out, byte(I64), 1, 0x42, 0, 0x0b)
	return append(out, byte(I32), 1, 0x41, 0, 0x0b)
}

func (in *instrumenter) exportSection(r *reader, s *section) []byte {
	added, n := in.exports()
	if s == nil {
		return append(appendULEB(nil, uint64(n)), added...)
	}
	in.sub(r, s)
	have := r.u32()
	out := appendULEB(nil, uint64(have)+uint64(n))
	for range have {
		from := r.pos
		r.name()
		kind := Kind(r.byte())
		out = append(out, in.b[from:r.pos]...)
		i := r.u32()
		if kind == Func {
			i = uint32(in.shifted(i))
		}
		if kind == Global && uint64(i) >= uint64(in.first) {
			r.fail("global %d does not exist", i)
		}
		out = appendULEB(out, uint64(i))
	}
	return append(out, added...)
}

// constant copies a constant expression, with the functions in it renumbered.
func (in *instrumenter) constant(out []byte, r *reader) []byte {
	c := &code{reader: r, limits: in.f.limits}
	for r.err == nil {
		c.next()
		switch op := c.now.op; {
		case op == 0xd2:
			in.take(r, c.now.a)
			out = appendULEB(append(out, op), uint64(in.shifted(c.now.a)))
			continue
		case op == 0x23 && uint64(c.now.a) >= uint64(in.first):
			r.fail("global %d does not exist", c.now.a)
		case op == 0x0b:
			return append(out, op)
		case op >= 0x41 && op <= 0x44, op == 0x23, op == 0xd0, op == 0xfd && c.now.sub == 12:
		default:
			r.fail("instruction 0x%02x is not constant", op)
		}
		if r.err == nil {
			out = append(out, r.b[c.now.at:r.pos]...)
		}
	}
	return out
}

// elements is the element section, renumbered.
func (in *instrumenter) elements(r *reader, s *section) []byte {
	if s == nil {
		return nil
	}
	in.sub(r, s)
	n := r.u32()
	out := appendULEB(nil, uint64(n))
	for ; n > 0 && r.err == nil; n-- {
		out = in.segment(out, r)
	}
	if r.err == nil && r.pos != s.end {
		r.fail("bytes are left over in the element section")
	}
	return out
}

// segment copies an element segment (WebAssembly Core Specification 2.0, 5.5.12).
func (in *instrumenter) segment(out []byte, r *reader) []byte {
	flags := r.u32()
	if flags > 7 {
		r.fail("an element segment of unknown kind %d", flags)
		return out
	}
	out = append(out, byte(flags))
	active, explicit, expressions := flags&1 == 0, flags&2 != 0, flags&4 != 0
	if active && explicit {
		out = appendULEB(out, uint64(r.u32())) // the table
	}
	if active {
		out = in.constant(out, r)
	}
	if !active || explicit {
		out = append(out, r.byte()) // the type of the elements
	}
	n := r.count("elements", len(r.b))
	out = appendULEB(out, uint64(n))
	for ; n > 0 && r.err == nil; n-- {
		if expressions {
			out = in.constant(out, r)
			continue
		}
		i := r.u32()
		in.take(r, i)
		out = appendULEB(out, uint64(in.shifted(i)))
	}
	return out
}

// offsets looks through the data segments: where they begin must not be one of the
// globals that are added.
func (in *instrumenter) offsets(r *reader, s *section) {
	if s == nil {
		return
	}
	in.sub(r, s)
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		flags := r.u32()
		if flags == 2 {
			r.u32()
		}
		if flags != 1 {
			in.constant(nil, r)
		}
		r.skip(uint64(r.u32()))
	}
}
