package wasmfile

import (
	"unicode/utf8"

	"opsconductor.dev/host/automation"
)

// reader walks bytes; the first fault sticks, and every later read gives zero.
type reader struct {
	b    []byte
	pos  int
	base int // offset of b in the file, for messages
	err  *automation.Error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = automation.Errorf(automation.CodeBadPlugin, "at byte %d: "+format, append([]any{r.base + r.pos}, args...)...)
	}
}

// cut is a fault that a file has when its end is missing.
func (r *reader) cut(format string, args ...any) {
	if r.err == nil {
		r.fail(format, args...)
		r.err.Suggestion = "the file may have been cut off on its way: compare its size with what the toolchain wrote, and upload it again"
	}
}

func (r *reader) done() bool { return r.err != nil || r.pos >= len(r.b) }

func (r *reader) byte() byte {
	if r.err != nil || r.pos >= len(r.b) {
		r.cut("the module ends too early")
		return 0
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

func (r *reader) skip(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)-r.pos) {
		r.cut("%d bytes are announced, but the module or section ends before", n)
		return nil
	}
	p := r.b[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return p
}

// uleb reads an unsigned LEB128 integer of at most the given bits.
func (r *reader) uleb(bits uint) uint64 {
	var v uint64
	for shift := uint(0); shift < bits; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			if bits-shift < 7 && c>>(bits-shift) != 0 {
				r.fail("an integer has more than %d bits", bits)
			}
			return v
		}
	}
	r.fail("an integer has more than %d bits", bits)
	return 0
}

func (r *reader) u32() uint32 { return uint32(r.uleb(32)) }

// sleb reads a signed LEB128 integer of at most the given bits.
func (r *reader) sleb(bits uint) int64 {
	var v int64
	for shift := uint(0); shift < bits; shift += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		if c&0x80 == 0 {
			if shift+7 < 64 && c&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.fail("an integer has more than %d bits", bits)
	return 0
}

// count reads the length of a vector and holds it against a bound and against
// what the bytes left could hold.
func (r *reader) count(what string, limit int) int {
	n := r.u32()
	switch {
	case r.err != nil:
		return 0
	case uint64(n) > uint64(limit):
		r.limit(what, uint64(n), uint64(limit))
		return 0
	case uint64(n) > uint64(len(r.b)-r.pos):
		r.fail("%d %s are announced, but the section ends before", n, what)
		return 0
	}
	return int(n)
}

func (r *reader) limit(what string, got, limit uint64) {
	if r.err == nil {
		r.fail("%d %s, more than the limit of %d", got, what, limit)
		r.err.Suggestion = "make the module smaller, or raise the host's limit for plugins"
	}
}

func (r *reader) name() string {
	n := r.u32()
	if n > 4096 {
		r.limit("bytes in a name", uint64(n), 4096)
		return ""
	}
	s := r.skip(uint64(n))
	if !utf8.Valid(s) {
		r.fail("a name is not UTF-8")
		return ""
	}
	return string(s)
}

func appendULEB(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendSLEB(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
