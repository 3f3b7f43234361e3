//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The parts of struct seccomp_data that the filter looks at: the number of the
// system call, the architecture, and the low halves of the first two arguments.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16
	dataArg1   = 24
)

const refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// seccomp closes every system call but those that Go's runtime and the engine need
// to compute, for all threads. Nothing opens a file, a socket or a process.
func seccomp() error {
	filter := filterOf(uint32(os.Getpid()))                                                                                                         //nolint:gosec // a process's number is positive
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}                                                                         //nolint:gosec // less than 4096
	at, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))) //nolint:gosec // a system call
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	if at != 0 {
		return fmt.Errorf("thread %d has another filter", at)
	}
	return nil
}

// filterOf is the program, for a process with a number.
func filterOf(pid uint32) []unix.SockFilter {
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	give := func(v uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v} }
	// unless skips n instructions when the value is not k.
	unless := func(k uint32, n uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: n}
	}
	p := []unix.SockFilter{
		load(dataArch), unless(auditArch, 1),
		{Code: unix.BPF_JMP | unix.BPF_JA, K: 1},
		give(unix.SECCOMP_RET_KILL_PROCESS),
		load(dataNumber),
	}
	for _, nr := range append(portableCalls(), archCalls()...) {
		p = append(p, unless(nr, 1), give(unix.SECCOMP_RET_ALLOW))
	}
	return append(p,
		// A thread, and no process; clone3 hides its flags in memory.
		unless(unix.SYS_CLONE, 4), load(dataArg0),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_THREAD, Jf: 1}, give(unix.SECCOMP_RET_ALLOW), give(refuse),
		unless(unix.SYS_CLONE3, 1), give(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)),
		// Signals to itself.
		unless(unix.SYS_TGKILL, 4), load(dataArg0), unless(pid, 1), give(unix.SECCOMP_RET_ALLOW), give(refuse),
		// The question which pages of its own memory were written to. Other requests may
		// change what a descriptor is, or reach a device.
		unless(unix.SYS_IOCTL, 4), load(dataArg1), unless(pagemapScan, 1), give(unix.SECCOMP_RET_ALLOW), give(refuse),
		give(refuse),
	)
}

// portableCalls have the same names everywhere.
func portableCalls() []uint32 {
	return []uint32{
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_CLOSE, unix.SYS_FCNTL,
		unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_MREMAP, unix.SYS_MINCORE, unix.SYS_BRK,
		unix.SYS_MEMFD_CREATE, unix.SYS_FTRUNCATE,
		unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP,
		unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_GETRANDOM,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
		unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
	}
}
