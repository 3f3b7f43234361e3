//go:build linux

package engine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// spawner starts processes from one thread, which lasts as long as the engine: the
// kernel ends a child with the thread that started it.
type spawner struct {
	work chan func()
	wg   sync.WaitGroup
}

func newSpawner() *spawner {
	s := &spawner{work: make(chan func())}
	s.wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for w := range s.work {
			w()
		}
	})
	return s
}

// close ends the thread. No process is left, and none is started any more.
func (s *spawner) close() {
	close(s.work)
	s.wg.Wait()
}

// spawn starts a process with an empty environment and a socket to it.
func (s *spawner) spawn(argv []string) (*exec.Cmd, net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "sandbox"), os.NewFile(uintptr(pair[1]), "host")
	defer ours.Close()   //nolint:errcheck // FileConn has its own
	defer theirs.Close() //nolint:errcheck // the child has its own
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // this program; child.kill ends it
	cmd.Env, cmd.Dir, cmd.ExtraFiles = []string{}, "/", []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	s.work <- func() { done <- cmd.Start() }
	if err := <-done; err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("start a sandbox process: %w", err)
	}
	return cmd, conn, nil
}

// childArguments start this program as a sandbox process.
func childArguments() []string { return []string{self, ChildCommand} }

// processes says whether this system can run plugins in processes.
const processes = true
