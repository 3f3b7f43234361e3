package wasmfile

import (
	"slices"
	"strconv"
)

// ExposeGlobals returns a module with the same globals and exports as the one
// that the File was parsed from (Tame's result, say), with an export for every
// mutable global beside: the prefix and the global's number among those that the
// module defines. The names must be free; imported globals are not supported.
func (f *File) ExposeGlobals(b []byte, prefix string) []byte {
	var added []byte
	n := 0
	for i, g := range f.Globals {
		if g.Mutable {
			name := prefix + strconv.Itoa(i)
			added = append(appendULEB(added, uint64(len(name))), name...)
			added = appendULEB(append(added, byte(Global)), uint64(i))
			n++
		}
	}
	if n == 0 {
		return b
	}
	out := slices.Grow(slices.Clone(b[:8]), len(b)+len(added)+16)
	done := false
	for r := (&reader{b: b, pos: 8}); !r.done(); {
		start := r.pos
		id := r.byte()
		content := r.skip(uint64(r.u32()))
		if r.err != nil {
			break
		}
		switch {
		case id == 7:
			out, done = withExports(out, content, n, added), true
			continue
		case !done && order(id) > order(7):
			out, done = withExports(out, []byte{0}, n, added), true
		}
		out = append(out, b[start:r.pos]...)
	}
	if !done {
		out = withExports(out, []byte{0}, n, added)
	}
	return out
}

// withExports appends an export section with n exports more.
func withExports(out, content []byte, n int, added []byte) []byte {
	r := &reader{b: content}
	exports := appendULEB(nil, uint64(r.u32())+uint64(n))
	return appendSection(out, 7, append(append(exports, content[r.pos:]...), added...))
}
