//go:build linux

package engine

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// copyBytes is up to which size a memory is put back by copying: for a small one
// that takes less time than the page faults of a new mapping.
const copyBytes = 192 << 10

// region is reserved address space, of which the beginning is memory.
type region struct{ all []byte }

func reserve(most uint64) (*region, error) {
	all, err := unix.Mmap(-1, 0, int(max(most, pageBytes)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of address space: %w", most, err)
	}
	return &region{all: all}, nil
}

func (r *region) limit() uint64         { return uint64(len(r.all)) }
func (r *region) bytes(n uint64) []byte { return r.all[:n:n] }

func (r *region) commit(n uint64) error {
	if n == 0 {
		return nil
	}
	if err := unix.Mprotect(r.all[:n], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("commit %d bytes of memory: %w", n, err)
	}
	return nil
}

func (r *region) release() { _ = unix.Munmap(r.all) }

// image is what a memory holds after initialisation: pages that all guests of a
// module map privately, so that each has a copy only of what it writes.
type image struct {
	size  uint64
	small []byte
	file  *os.File
	pages []byte   // of the file, to copy from
	own   *pageMap // nil: the kernel does not say what was written, and everything is dropped
	heat  heat
}

// newImage copies a memory. Pages of zeros take no room.
func newImage(memory []byte, own *pageMap) (*image, error) {
	m := &image{size: uint64(len(memory)), own: own}
	if len(memory) <= copyBytes {
		m.small = bytes.Clone(memory)
		return m, nil
	}
	fd, err := unix.MemfdCreate("opsconductor-plugin", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make the image of a memory: %w", err)
	}
	m.file = os.NewFile(uintptr(fd), "opsconductor-plugin")
	if err := m.fill(memory); err != nil {
		m.close()
		return nil, fmt.Errorf("fill the image of a memory: %w", err)
	}
	if m.pages, err = unix.Mmap(fd, 0, len(memory), unix.PROT_READ, unix.MAP_PRIVATE); err != nil {
		m.close()
		return nil, fmt.Errorf("map the image of a memory: %w", err)
	}
	return m, nil
}

func (m *image) fill(memory []byte) error {
	if err := m.file.Truncate(int64(len(memory))); err != nil {
		return err
	}
	zeros := make([]byte, os.Getpagesize())
	for at := 0; at < len(memory); at += len(zeros) {
		page := memory[at:min(at+len(zeros), len(memory))]
		if bytes.Equal(page, zeros[:len(page)]) {
			continue
		}
		if _, err := m.file.WriteAt(page, int64(at)); err != nil {
			return err
		}
	}
	// Nobody changes it from here on, not even a guest that escaped.
	_, err := unix.FcntlInt(m.file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	return err
}

func (m *image) close() {
	if m.pages != nil {
		_ = unix.Munmap(m.pages)
		m.pages = nil
	}
	if m.file != nil {
		_ = m.file.Close()
	}
}

// adopt puts the image in place of a region's memory for the first time.
func (m *image) adopt(r *region) error {
	if m.file == nil {
		return m.restore(r)
	}
	at := unsafe.Pointer(unsafe.SliceData(r.all)) //nolint:gosec // the address of a mapping, which does not move
	_, err := unix.MmapPtr(int(m.file.Fd()), 0, at, uintptr(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("map the image of a memory: %w", err)
	}
	return nil
}

// restore undoes all writes to a region's memory since it adopted the image.
func (m *image) restore(r *region) error {
	if m.file == nil {
		copy(r.all[:m.size], m.small)
		return nil
	}
	if err := m.putBack(r.all[:m.size]); err != nil {
		return fmt.Errorf("put a memory back: %w", err)
	}
	return nil
}

func (m *image) putBack(memory []byte) error {
	if m.own == nil {
		return unix.Madvise(memory, unix.MADV_DONTNEED)
	}
	if m.heat.due() {
		if err := m.heat.look(memory, m.pages, m.own); err != nil {
			return err
		}
	}
	hot := m.heat.hot.Load()
	if hot == nil {
		return unix.Madvise(memory, unix.MADV_DONTNEED)
	}
	return hot.putBack(memory, m.pages, m.own)
}

// private is about how much memory of its own an idle guest's region has.
func (m *image) private() int64 {
	if m.file == nil {
		return int64(m.size)
	}
	if hot := m.heat.hot.Load(); hot != nil {
		return hot.bytes
	}
	return 0
}
