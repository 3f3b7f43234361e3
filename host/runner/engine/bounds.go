package engine

import (
	"os"
	"time"
)

// Bounds are what a child process of this program may have, when it has given up its
// rights: a sandbox process, or one that vets a plugin. Its processes are bounded by
// the system calls that are left to it, which start threads alone.
type Bounds struct {
	// Keep is how many descriptors it keeps, from 0 on.
	Keep int
	// Memory is the bytes that it may write to, and Files how many descriptors it may have.
	Memory, Files uint64
	// CPU is the processor time that it has; 0: no bound.
	CPU time.Duration
	// ReadOnly: it cannot make a file longer.
	ReadOnly bool
}

// childBounds are those of a sandbox process as a whole; the engine's own limits bound
// each attempt, and end first.
func childBounds() Bounds { return Bounds{Keep: childFD + 1, Memory: 4 << 30, Files: 512} }

// Confine gives up, for good, all rights of this process but to compute, and to read
// and write the descriptors that it keeps: as a sandbox process does. To do so it
// starts the program anew with the same arguments and one more; the call in the new
// one returns. So it is the first thing that a program does. On systems other than
// Linux it does nothing.
func Confine(b Bounds) error {
	if !processes {
		return nil
	}
	if os.Args[len(os.Args)-1] != sealedArgument {
		return enclose(b)
	}
	_, err := seal(b)
	return err
}
