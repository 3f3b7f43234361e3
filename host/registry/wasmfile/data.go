package wasmfile

import (
	"cmp"
	"slices"
)

// mergeGap is how many zeros may be put between two data segments to make them
// one: about what a segment costs in the file and, many times, in an engine.
const mergeGap = 64

// segment is an active data segment of memory 0 at a constant offset.
type segment struct {
	offset uint32
	bytes  []byte
}

// MergeData returns a module that does what b does, with fewer data segments: those that lie beside each other, but for a few bytes, become one.
// Go's linker writes tens of thousands, and wazero keeps a slice for each in every
// instance. A module whose segments overlap or can be used by instructions (it has
// a data count section) is returned as it is.
func MergeData(b []byte) []byte {
	if len(b) < 8 {
		return b
	}
	for r := (&reader{b: b, pos: 8}); !r.done(); {
		start := r.pos
		id := r.byte()
		content := r.skip(uint64(r.u32()))
		if r.err != nil || id == 12 {
			return b
		}
		if id != 11 {
			continue
		}
		merged, ok := mergeSegments(content)
		if !ok {
			return b
		}
		out := slices.Grow(slices.Clone(b[:start]), len(merged)+len(b)-r.pos+16)
		return append(appendSection(out, 11, merged), b[r.pos:]...)
	}
	return b
}

// mergeSegments returns the content of a data section with fewer segments; false
// when it can't be done.
func mergeSegments(content []byte) ([]byte, bool) {
	segments, ok := activeSegments(content)
	if !ok {
		return nil, false
	}
	// Where none overlap, their order does not matter.
	slices.SortStableFunc(segments, func(a, b segment) int { return cmp.Compare(a.offset, b.offset) })
	var merged []segment
	for _, s := range segments {
		if len(merged) == 0 {
			merged = append(merged, segment{s.offset, slices.Clone(s.bytes)})
			continue
		}
		last := &merged[len(merged)-1]
		end := uint64(last.offset) + uint64(len(last.bytes))
		if uint64(s.offset) < end {
			return nil, false
		}
		gap := uint64(s.offset) - end
		if gap > mergeGap {
			merged = append(merged, segment{s.offset, slices.Clone(s.bytes)})
			continue
		}
		last.bytes = append(append(last.bytes, make([]byte, gap)...), s.bytes...)
	}
	out := appendULEB(nil, uint64(len(merged)))
	for _, s := range merged {
		out = append(out, 0, 0x41)
		out = append(appendOffset(out, s.offset), 0x0b)
		out = append(appendULEB(out, uint64(len(s.bytes))), s.bytes...)
	}
	return out, true
}

func activeSegments(content []byte) ([]segment, bool) {
	r := &reader{b: content}
	n := r.u32()
	var out []segment
	for ; n > 0 && r.err == nil; n-- {
		if r.byte() != 0 || r.byte() != 0x41 { // active in memory 0, i32.const
			return nil, false
		}
		offset := r.offset()
		if r.byte() != 0x0b {
			return nil, false
		}
		out = append(out, segment{offset, r.skip(uint64(r.u32()))})
	}
	return out, r.err == nil && r.pos == len(content)
}

// offset reads the number of an i32.const.
func (r *reader) offset() uint32 {
	var v uint64
	for shift := uint(0); shift < 35; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			if c&0x40 != 0 {
				v |= ^uint64(0) << (shift + 7)
			}
			return uint32(v)
		}
	}
	r.fail("an integer has more than 32 bits")
	return 0
}

// appendOffset appends the number of an i32.const, always in five bytes.
func appendOffset(out []byte, v uint32) []byte {
	signed := int64(int32(v))
	for range 4 {
		out = append(out, byte(signed&0x7f)|0x80)
		signed >>= 7
	}
	return append(out, byte(signed&0x7f))
}
