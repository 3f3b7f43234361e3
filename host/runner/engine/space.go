package engine

import (
	"errors"

	"github.com/tetratelabs/wazero/experimental"
)

// space is the linear memory of one guest of the native engine: address space for
// all that it may grow to, so that it never moves, and a budget that is shared
// with its arena. The guest's goroutine calls Allocate and Reallocate.
type space struct {
	budget budget
	most   uint64 // the largest memory of the deployment
	region *region
	size   uint64
	err    error // of the operating system
}

var (
	_ experimental.MemoryAllocator = (*space)(nil)
	_ experimental.LinearMemory    = (*space)(nil)
)

// Allocate implements experimental.MemoryAllocator. It is called once: modules
// have one memory.
func (s *space) Allocate(_, most uint64) experimental.LinearMemory {
	if s.region == nil {
		s.region, s.err = reserve(min(most, s.most))
	} else {
		s.err = errors.New("a second memory")
	}
	return s
}

// Reallocate grows the memory, or returns nil when the budget is spent.
func (s *space) Reallocate(size uint64) []byte {
	if s.err != nil || size > s.region.limit() {
		s.budget.refused.Store(true)
		return nil
	}
	if size > s.size {
		if !s.budget.take(int64(size - s.size)) {
			return nil
		}
		if s.err = s.region.commit(size); s.err != nil {
			return nil
		}
		s.size = size
	}
	return s.region.bytes(s.size)
}

// Free does nothing: wazero calls it when the module is closed, and the guest may
// still run then. The guest's owner calls release.
func (s *space) Free() {}

// release gives the memory back. Nobody may look at it afterwards.
func (s *space) release() {
	if s.region != nil {
		s.region.release()
		s.region = nil
	}
}
