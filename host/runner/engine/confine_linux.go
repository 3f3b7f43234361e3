//go:build linux

package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sandbox process gives its rights up in two steps. enclose does what holds for
// one thread alone, before the program starts itself anew, so that all threads of
// the new one have it; seal does the rest, before the first byte from the host is
// read.

// enclose gives up capabilities, the chance of new ones, every descriptor but those
// that are kept, and by Landlock the file system and the network, and starts the program
// anew. It returns only when that does not work.
func enclose(b Bounds) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	if err := unix.CloseRange(uint(b.Keep), 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close descriptors: %w", err)
	}
	if err := landlock(); err != nil && !errors.Is(err, errNoLandlock) {
		return err
	}
	return syscall.Exec(self, append(slices.Clip(os.Args), sealedArgument), []string{}) //nolint:gosec // this program
}

const self = "/proc/self/exe"

// seal bounds the process and closes the system calls. It returns what closes
// them, for the record.
func seal(b Bounds) (string, error) {
	debug.SetMemoryLimit(int64(b.Memory / 2)) //nolint:gosec // some GiB
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: b.Files, unix.RLIMIT_DATA: b.Memory, unix.RLIMIT_MEMLOCK: 0}
	if b.CPU > 0 {
		limits[unix.RLIMIT_CPU] = uint64(b.CPU / time.Second)
	}
	if b.ReadOnly {
		limits[unix.RLIMIT_FSIZE] = 0
	}
	for resource, most := range limits {
		l := unix.Rlimit{Cur: most, Max: most}
		if err := unix.Setrlimit(resource, &l); err != nil {
			return "", fmt.Errorf("bound the process: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return "", fmt.Errorf("forbid others to look in: %w", err)
	}
	var by []string
	if landlockVersion() > 0 {
		by = append(by, "landlock")
	}
	err := seccomp()
	switch {
	case err == nil:
		by = append(by, "seccomp")
	case !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS): // a kernel without it
		return "", fmt.Errorf("close the system calls: %w", err)
	}
	return strings.Join(by, "+"), nil
}

var errNoLandlock = errors.New("the kernel has no Landlock")

func landlockVersion() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// landlock leaves the thread, and what it starts, nothing of the file system but
// what starting this program anew needs, and no TCP.
func landlock() error {
	version := landlockVersion()
	if version < 1 {
		return errNoLandlock
	}
	// The kernel refuses rights that it does not know.
	rules := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1}
	for _, later := range []struct {
		since int
		right uint64
	}{{2, unix.LANDLOCK_ACCESS_FS_REFER}, {3, unix.LANDLOCK_ACCESS_FS_TRUNCATE}, {5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV}} {
		if version >= later.since {
			rules.Handled_access_fs |= later.right
		}
	}
	size := unsafe.Sizeof(rules.Handled_access_fs)
	if version >= 4 {
		rules.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		size += unsafe.Sizeof(rules.Handled_access_net)
	}
	if version >= 6 {
		rules.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
		size += unsafe.Sizeof(rules.Scoped)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), size, 0) //nolint:gosec // a system call
	if errno != 0 {
		return fmt.Errorf("make a Landlock ruleset: %w", errno)
	}
	defer unix.Close(int(fd)) //nolint:errcheck // nothing is lost
	// The program, and for one that is linked to them the loader and the libraries; and
	// the list of its own pages.
	for _, path := range []string{self, "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", pageMapFile} {
		if err := landlockRead(int(fd), path); err != nil {
			return err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("restrict by Landlock: %w", errno)
	}
	return nil
}

// landlockRead lets files be read and started, if they are there.
func landlockRead(ruleset int, path string) error {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil //nolint:nilerr // not on this machine
	}
	defer f.Close() //nolint:errcheck // nothing is lost
	rule := unix.LandlockPathBeneathAttr{
		Allowed_access: unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE, Parent_fd: int32(f.Fd()), //nolint:gosec // a descriptor
	}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 { //nolint:gosec // a system call
		return fmt.Errorf("allow %s by Landlock: %w", path, errno)
	}
	return nil
}
