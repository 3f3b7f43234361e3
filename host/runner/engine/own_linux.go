//go:build linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// span is a range of bytes of a memory, on the borders of pages.
type span struct{ from, to int }

// pageMap asks the kernel which pages of private mappings of a file are no more
// the file's: whatever was written to one since it was mapped or dropped, the
// process has a page of its own in its place. Linux 6.7 and later answer
// (Documentation/admin-guide/mm/pagemap.rst, PAGEMAP_SCAN). Safe for concurrent use.
type pageMap struct {
	file    *os.File
	buffers sync.Pool // of *[scanRegions]scanRegion, which the kernel fills: never on a stack, which may move
}

// scanRegions is how many ranges one question is answered with.
const scanRegions = 64

const pageMapFile = "/proc/self/pagemap"

// openPageMap returns an error where the kernel does not answer.
func openPageMap() (*pageMap, error) {
	f, err := os.Open(pageMapFile)
	if err != nil {
		return nil, fmt.Errorf("open the page map: %w", err)
	}
	m := &pageMap{file: f, buffers: sync.Pool{New: func() any { return new([scanRegions]scanRegion) }}}
	probe, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		m.close()
		return nil, fmt.Errorf("map a page: %w", err)
	}
	defer unix.Munmap(probe) //nolint:errcheck // a page
	probe[0] = 1
	owned := 0
	if err := m.own(probe, func(span) error { owned++; return nil }); err != nil || owned != 1 {
		m.close()
		return nil, errors.Join(errors.New("the kernel does not list pages"), err)
	}
	return m, nil
}

func (m *pageMap) close() { _ = m.file.Close() }

// The ioctl PAGEMAP_SCAN of linux/fs.h.
const (
	pagemapScan = 0xc0606610

	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
)

type scanArguments struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages               uint64
	categoryInverted, categoryMask, categoryAnyOf, returnedCategoriesMask uint64
}

type scanRegion struct{ start, end, _ uint64 } // the last: its categories

// own calls each for the ranges of a mapping whose pages are the process's own, in
// memory or swapped out, from the first to the last. Nobody may write meanwhile.
func (m *pageMap) own(memory []byte, each func(span) error) error {
	found := m.buffers.Get().(*[scanRegions]scanRegion)
	defer m.buffers.Put(found)
	base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))) //nolint:gosec // the address of a mapping, which does not move
	end := base + uint64(len(memory))
	for at := base; at < end; {
		a := scanArguments{
			start: at, end: end, vecLen: scanRegions,
			categoryInverted: pageIsFile, categoryMask: pageIsFile, categoryAnyOf: pageIsPresent | pageIsSwapped,
			returnedCategoriesMask: pageIsPresent | pageIsSwapped,
		}
		a.size, a.vec = uint64(unsafe.Sizeof(a)), uint64(uintptr(unsafe.Pointer(found)))                   //nolint:gosec // found is on the heap, which does not move
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, m.file.Fd(), pagemapScan, uintptr(unsafe.Pointer(&a))) //nolint:gosec // what the ioctl takes
		runtime.KeepAlive(found)
		if errno != 0 {
			return fmt.Errorf("list the pages of a memory: %w", errno)
		}
		for _, r := range found[:n] {
			if err := each(span{int(r.start - base), int(r.end - base)}); err != nil {
				return err
			}
		}
		if a.walkEnd <= at {
			return errors.New("list the pages of a memory: no progress")
		}
		at = a.walkEnd
	}
	return nil
}
