package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"opsconductor.dev/host/runner/engine"
)

// The programs that the test binary can be instead of a sandbox process.
const (
	probeCommand   = "test-probe"
	misdeedCommand = "test-misdeed"
)

func beChild(command string, args []string) bool {
	switch command {
	case probeCommand:
		probe(args)
	case misdeedCommand:
		engine.Misbehave(args[0], os.NewFile(3, "host"))
	default:
		return false
	}
	return true
}

// probe gives up rights as its first argument says, tries what an attacker would,
// and writes what came of it to descriptor 3.
func probe(args []string) {
	by := args[0]
	if by != "seccomp" && len(args) == 1 {
		fmt.Fprintln(os.Stderr, engine.Enclose())
		os.Exit(1)
	}
	exe, _ := os.Executable()
	found := map[string]string{}
	scan, unlisted := engine.PageMap()
	if by != "landlock" {
		if _, err := engine.Seal(); err != nil {
			found["seal"] = err.Error()
		}
	}
	tries := attempts(exe)
	tries["may list its pages"] = func() error {
		if unlisted != nil {
			return unlisted
		}
		return scan()
	}
	for name, try := range tries {
		if by == "landlock" && name == "start itself" {
			continue // it may, and the probe would be over
		}
		if err := try(); err != nil {
			found[name] = err.Error()
			var errno syscall.Errno
			if errors.As(err, &errno) {
				found[name] = unix.ErrnoName(errno)
			}
		} else {
			found[name] = "done"
		}
	}
	b, err := json.Marshal(found)
	if err != nil {
		os.Exit(1)
	}
	_, _ = unix.Write(3, b)
}

// attempts are what is tried. The ones that begin with "may" are what the engine
// needs.
func attempts(exe string) map[string]func() error {
	open := func(path string, flags int) func() error {
		return func() error {
			fd, err := unix.Open(path, flags, 0o600)
			if err == nil {
				_ = unix.Close(fd)
			}
			return err
		}
	}
	socket := func(family, kind int) func() error {
		return func() error {
			fd, err := unix.Socket(family, kind, 0)
			if err == nil {
				_ = unix.Close(fd)
			}
			return err
		}
	}
	return map[string]func() error{
		"read a file":   open("/etc/passwd", unix.O_RDONLY),
		"read a folder": open("/", unix.O_RDONLY|unix.O_DIRECTORY),
		"read memory":   open(fmt.Sprintf("/proc/%d/mem", os.Getppid()), unix.O_RDWR),
		"make a file":   open("/tmp/opsconductor-probe", unix.O_CREAT|unix.O_WRONLY),
		"read itself":   open(exe, unix.O_RDONLY),
		"make a folder": func() error { return unix.Mkdir(fmt.Sprintf("/tmp/opsconductor-probe-%d", os.Getpid()), 0o700) },
		"TCP":           socket(unix.AF_INET, unix.SOCK_STREAM),
		"UDP":           socket(unix.AF_INET, unix.SOCK_DGRAM),
		"local socket":  socket(unix.AF_UNIX, unix.SOCK_STREAM),
		"netlink":       socket(unix.AF_NETLINK, unix.SOCK_RAW),
		"connect": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			return unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}})
		},
		"exec":         func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
		"start itself": func() error { return unix.Exec(exe, []string{"x", "-test.list=^$"}, nil) },
		"fork": func() error {
			pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if errno != 0 {
				return errno
			}
			if pid == 0 {
				unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
			return nil
		},
		"signal its host": func() error { return unix.Kill(os.Getppid(), 0) },
		"signal a thread": func() error { return unix.Tgkill(os.Getppid(), os.Getppid(), 0) },
		"trace":           func() error { return unix.PtraceAttach(os.Getppid()) },
		"read its host":   func() error { return readOf(os.Getppid()) },
		"gain privileges": func() error { return unix.Setuid(0) },
		// On what is no mount: where the defence is broken on purpose nothing happens.
		"mount":         func() error { return unix.Mount("", "/proc/self", "", unix.MS_PRIVATE, "") },
		"new namespace": func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"raise a limit": func() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}) },
		"other ioctl":   func() error { _, err := unix.IoctlGetInt(3, unix.TIOCINQ); return err },
		"load code":     func() error { _, err := unix.Open("/proc/self/exe", unix.O_RDONLY, 0); return err },
		"may map code":  mapCode,
		"may start thread": func() error {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var other errgroup.Group
			other.Go(func() error { return nil })
			return other.Wait()
		},
	}
}

func readOf(pid int) error {
	var b [8]byte
	local := unix.Iovec{Base: &b[0], Len: 8}
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&b[0])), Len: 8}}, 0)
	return err
}

func mapCode() error {
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
}

// runProbe runs the probe with an empty environment and its result at descriptor 3.
func runProbe(t *testing.T, by string) map[string]string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", probeCommand, by)
	var said strings.Builder
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = []string{}, []*os.File{w}, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the probe: %v: %s", err, said.String())
	}
	found := map[string]string{}
	if err := json.Unmarshal(b, &found); err != nil {
		t.Fatalf("the probe said %q: %v", b, err)
	}
	return found
}

// TestConfinement: what a sandbox process can't do once it has given its rights up,
// by both means and by each alone.
func TestConfinement(t *testing.T) {
	t.Parallel()
	_, unlisted := engine.PageMap() // before Linux 6.7
	for by, allowed := range map[string]map[string]bool{
		"both":    {},
		"seccomp": {},
		// Landlock is about files, TCP, signals, and what can be traced. This program,
		// and the libraries that it is linked to, can be read and started.
		"landlock": {
			"read itself": true, "load code": true, "TCP": true, "UDP": true, "local socket": true, "netlink": true,
			"fork": true, "gain privileges": true, "new namespace": true, "raise a limit": true, "other ioctl": true,
		},
	} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			for name, got := range runProbe(t, by) {
				switch {
				case name == "may list its pages" && unlisted != nil:
				case strings.HasPrefix(name, "may"):
					if got != "done" {
						t.Errorf("%s: got %s, but the engine needs it", name, got)
					}
				case allowed[name]:
				case got != "EPERM" && got != "EACCES":
					t.Errorf("%s: got %s, want it to be refused", name, got)
				}
			}
		})
	}
}
