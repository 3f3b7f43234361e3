//go:build !linux

package engine

import (
	"bytes"
	"errors"
)

// region is a buffer of Go's that grows by copying.
type region struct {
	most uint64
	buf  []byte
}

func reserve(most uint64) (*region, error) { return &region{most: max(most, pageBytes)}, nil }

func (r *region) limit() uint64         { return r.most }
func (r *region) bytes(n uint64) []byte { return r.buf[:n:n] }
func (r *region) release()              { r.buf = nil }

func (r *region) commit(n uint64) error {
	next := make([]byte, n)
	copy(next, r.buf)
	r.buf = next
	return nil
}

// image is a copy of what a memory holds after initialisation.
type image struct {
	size  uint64
	small []byte
}

func newImage(memory []byte, _ *pageMap) (*image, error) {
	return &image{size: uint64(len(memory)), small: bytes.Clone(memory)}, nil
}

func (m *image) close()                  {}
func (m *image) adopt(r *region) error   { return m.restore(r) }
func (m *image) restore(r *region) error { copy(r.buf, m.small); return nil }
func (m *image) private() int64          { return int64(m.size) }

// pageMap is what other systems do not have.
type pageMap struct{}

func openPageMap() (*pageMap, error) { return nil, errors.New("the system does not list pages") }

func (*pageMap) close() {}
