//go:build linux

package engine

import (
	"bytes"
	"cmp"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// How it is learned which pages calls write to.
const (
	// hotMax is how many pages of its own an idle guest keeps at the most.
	hotMax = 160
	// The first calls are all looked at, later ones are from time to time: not every
	// second or fourth, of which a caller who takes turns would always show the same.
	hotFirst, hotEvery = 8, 127
	// A page's score goes a quarter of the way to scoreMost with each look that finds it
	// written, and of the way to 0 with each other one. It is hot from scoreHot on.
	scoreMost, scoreHot = 1024, 300
)

// heat is what an image knows of the pages that calls write to. What a call wrote
// is put back on every page, hot or not: by copying the image's bytes to a hot
// one, which stays the guest's own, so that the next call that writes to it has no
// page fault; by dropping any other one. Safe for concurrent use.
type heat struct {
	calls atomic.Int64
	hot   atomic.Pointer[hotSet]

	mu     sync.Mutex
	scores []uint16 // by page
}

// hotSet says of each page whether it is hot. It does not change.
type hotSet struct {
	page  int // bytes
	is    []bool
	bytes int64
}

// due reports whether the pages of this call are to be looked at.
func (h *heat) due() bool {
	n := h.calls.Add(1)
	return n <= hotFirst || n%hotEvery == 0
}

// look takes into account which pages a call has written to, before they are put
// back: those that differ from the image, or became the guest's own with it.
func (h *heat) look(memory, image []byte, own *pageMap) error {
	if !h.mu.TryLock() {
		return nil // somebody looks already
	}
	defer h.mu.Unlock()
	page, hot := os.Getpagesize(), h.hot.Load()
	written := make([]bool, len(memory)/page)
	err := own.own(memory, func(s span) error {
		for at := s.from; at < s.to; at += page {
			written[at/page] = !hot.has(at/page) || !bytes.Equal(memory[at:at+page], image[at:at+page])
		}
		return nil
	})
	if err != nil {
		return err
	}
	if h.scores == nil {
		h.scores = make([]uint16, len(written))
	}
	for i, w := range written {
		if w {
			h.scores[i] += (scoreMost - h.scores[i]) / 4
		} else {
			h.scores[i] -= h.scores[i] / 4
		}
	}
	if next := hotOf(h.scores, page); hot == nil || !slices.Equal(hot.is, next.is) {
		h.hot.Store(next)
	}
	return nil
}

// hotOf makes the pages with the highest scores hot.
func hotOf(scores []uint16, page int) *hotSet {
	var pages []int
	for i, s := range scores {
		if s >= scoreHot {
			pages = append(pages, i)
		}
	}
	if len(pages) > hotMax {
		slices.SortStableFunc(pages, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
		pages = pages[:hotMax]
	}
	h := &hotSet{page: page, is: make([]bool, len(scores)), bytes: int64(len(pages) * page)}
	for _, i := range pages {
		h.is[i] = true
	}
	return h
}

func (h *hotSet) has(page int) bool { return h != nil && h.is[page] }

// putBack makes a private mapping of an image equal to it.
func (h *hotSet) putBack(memory, image []byte, own *pageMap) error {
	return own.own(memory, func(s span) error { return h.putBackSpan(memory, image, s) })
}

// putBackSpan puts back pages that are the guest's own.
func (h *hotSet) putBackSpan(memory, image []byte, s span) error {
	for at := s.from; at < s.to; {
		end, hot := at, h.has(at/h.page)
		for end < s.to && h.has(end/h.page) == hot {
			end += h.page
		}
		if hot {
			copy(memory[at:end], image[at:end])
		} else if err := unix.Madvise(memory[at:end], unix.MADV_DONTNEED); err != nil {
			return err
		}
		at = end
	}
	return nil
}
