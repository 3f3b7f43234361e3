package wasmfile

import "slices"

// Custom returns the contents of the custom sections with a name, in the order
// of the file; they share memory with b, the bytes that the File was parsed from.
func (f *File) Custom(b []byte, name string) [][]byte {
	var out [][]byte
	for _, s := range f.customs {
		if s.name == name {
			out = append(out, b[s.body:s.end:s.end])
		}
	}
	return out
}

// SetCustom returns a copy of b, from which the File was parsed, whose only
// custom section with the name holds data; it stands at the end.
func (f *File) SetCustom(b []byte, name string, data []byte) []byte {
	out := slices.Clone(b[:8])
	for _, s := range f.sections {
		if s.id != 0 || s.name != name {
			out = append(out, b[s.start:s.end]...)
		}
	}
	body := appendULEB(nil, uint64(len(name)))
	body = append(append(body, name...), data...)
	return appendSection(out, 0, body)
}

// Tame returns b, from which the File was parsed, changed in two ways that the
// module cannot tell but by their effect. Every table gets a maximum of at most
// tableElements: one that declares none could be grown to any size. And an empty
// loop is put at the head of every function that calls others, unless it comes to
// a loop first, and before every bulk operation: wazero looks at the context at
// loops only, so a chain of calls without one could not be stopped.
func (f *File) Tame(b []byte, tableElements uint32) []byte {
	out := slices.Grow(slices.Clone(b[:8]), len(b)+len(b)/16)
	for _, s := range f.sections {
		switch s.id {
		case 4:
			out = appendSection(out, 4, f.tables(b[s.body:s.end], tableElements))
		case 10:
			out = appendSection(out, 10, f.checkpoints(b))
		default:
			out = append(out, b[s.start:s.end]...)
		}
	}
	return out
}

func appendSection(out []byte, id byte, content []byte) []byte {
	out = append(out, id)
	out = appendULEB(out, uint64(len(content)))
	return append(out, content...)
}

func (f *File) tables(content []byte, limit uint32) []byte {
	r := &reader{b: content}
	out := appendULEB(nil, uint64(r.u32()))
	for _, e := range f.Tables {
		kind := r.byte()
		r.extent()
		top := max(e.Min, limit)
		if e.HasMax {
			top = min(e.Max, top)
		}
		out = append(out, kind, 1)
		out = appendULEB(out, uint64(e.Min))
		out = appendULEB(out, uint64(top))
	}
	return out
}

// checkpoints returns the content of the code section with checkpoints in it.
func (f *File) checkpoints(b []byte) []byte {
	checkpoint := []byte{0x03, 0x40, 0x0b} // loop, without a result; end
	out := appendULEB(nil, uint64(len(f.code)))
	for _, c := range f.code {
		if len(c.checkpoints) == 0 {
			out = append(out, b[c.start:c.end]...)
			continue
		}
		r := &reader{b: b, pos: c.start}
		size := r.u32() + uint32(len(c.checkpoints)*len(checkpoint))
		out = appendULEB(out, uint64(size))
		at := r.pos
		for _, p := range c.checkpoints {
			out = append(append(out, b[at:p]...), checkpoint...)
			at = p
		}
		out = append(out, b[at:c.end]...)
	}
	return out
}
