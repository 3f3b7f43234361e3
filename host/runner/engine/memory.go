package engine

import (
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
)

// budget is the memory of one instance: wazero asks it for every linear memory
// (the guest's and the kernel's) and for every growth. The buffers are Go's own,
// so that a guest that is still running never loses its memory under its feet.
// Allocate and Reallocate run on the goroutine of the guest.
type budget struct {
	limit   int64
	used    int64
	sizes   *sizes
	next    int // which memory of the instance is allocated next
	peak    atomic.Int64
	refused atomic.Bool
}

type linear struct {
	b     *budget
	index int
	buf   []byte
}

// sizes remembers how large the memories of a module's instances became, in the
// order in which they are made, so that the next instance asks for that much at
// once and need not move.
type sizes [2]atomic.Int64

// maxHint bounds that, so that one attempt that took much does not make every
// other one after it slow.
const maxHint = 8 << 20

var (
	_ experimental.MemoryAllocator = (*budget)(nil)
	_ experimental.LinearMemory    = (*linear)(nil)
)

// Allocate implements experimental.MemoryAllocator.
func (b *budget) Allocate(_, _ uint64) experimental.LinearMemory {
	b.next++
	return &linear{b: b, index: min(b.next-1, len(b.sizes)-1)}
}

// Reallocate grows the memory, or returns nil when the budget is spent.
func (l *linear) Reallocate(size uint64) []byte {
	have := uint64(len(l.buf))
	if size <= have {
		return l.buf
	}
	if !l.b.take(int64(size - have)) {
		return nil
	}
	if size > uint64(cap(l.buf)) {
		room := max(size, min(uint64(l.b.sizes[l.index].Load()), uint64(l.b.limit), maxHint))
		if have > 0 {
			room = max(size, min(have+have/4, have+uint64(max(0, l.b.limit-l.b.used))))
			l.b.sizes[l.index].Store(int64(room))
		}
		next := make([]byte, size, room)
		copy(next, l.buf)
		l.buf = next
		return next
	}
	l.buf = l.buf[:size]
	return l.buf
}

// take notes that so many bytes more are used; false: the budget has not so many.
func (b *budget) take(n int64) bool {
	if n > max(0, b.limit-b.used) {
		b.refused.Store(true)
		return false
	}
	b.used += n
	b.peak.Store(max(b.peak.Load(), b.used))
	return true
}

// begin makes it the budget of another attempt, which has used so much already.
func (b *budget) begin(limit, used int64) {
	b.limit, b.used = limit, used
	b.peak.Store(used)
	b.refused.Store(false)
}

// Free leaves the buffer to the garbage collector.
func (l *linear) Free() { l.buf = nil }
