package chaos_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// inWorld is set in the process that has a network and mounts of its own.
const inWorld = "OPSCONDUCTOR_CHAOS_WORLD"

// TestMain runs the tests in a network and with mounts of their own, where this
// account may make them (root on Linux): faults of networks and disks touch nothing
// else, and nothing of them is left when the tests end, however they end.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(inWorld) != "" {
		os.Exit(inside(m))
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inWorld+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Setpgid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "a network of their own for the tests:", err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}()
	_ = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // hosts that a failed test has left
	os.Exit(cmd.ProcessState.ExitCode())
}

// address is where everything but the hosts is: what hosts reach through a network
// of their own, where there is one.
var address = "127.0.0.1"

func inside(m *testing.M) int {
	if os.Getenv(inWorld) != "" {
		for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", "10.99.0.1/32", "dev", "lo"}} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "ip %v: %v: %s\n", args, err, out)
				return 1
			}
		}
		address = "10.99.0.1"
	}
	dir, err := os.MkdirTemp("", "opsconductor-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := ownJournals(dir); err != nil {
		fmt.Fprintln(os.Stderr, "a folder of their own for guarded commands:", err)
		return 1
	}
	programs.dir = dir
	return m.Run()
}

// ownJournals puts a folder of the tests in the place of that in which targets keep
// the journals of guarded commands, where the tests have mounts of their own.
func ownJournals(dir string) error {
	if os.Getenv(inWorld) == "" {
		return nil
	}
	journals := filepath.Join(dir, "journals")
	if err := os.Mkdir(journals, 0o700); err != nil {
		return err
	}
	base := fmt.Sprintf("/var/tmp/opsconductor-%d", os.Geteuid())
	if err := os.Mkdir(base, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return syscall.Mount(journals, base, "", syscall.MS_BIND, "")
}

// programs are the binaries that the tests run, built once.
var programs struct {
	dir string
	sync.Mutex
	built map[string]error
}

// compiled builds a program of this module and returns its path. overlay is a file
// for the go command's -overlay; "": the program as it is.
func compiled(t *testing.T, pkg, overlay string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	out := filepath.Join(programs.dir, filepath.Base(pkg))
	args := []string{"build", "-trimpath", "-o"}
	if overlay != "" {
		out += "-overlay"
	}
	args = append(args, out)
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if programs.built == nil {
		programs.built = map[string]error{}
	}
	err, done := programs.built[out]
	if !done {
		var text []byte
		if text, err = exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
			err = fmt.Errorf("build %s: %w: %s", pkg, err, text)
		}
		programs.built[out] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const patience = 120 * time.Second // for what takes a moment on a busy machine

// eventually polls until check returns true.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen in %s", what, patience)
		}
		pause(50 * time.Millisecond)
	}
}

// pause lets time go by: how long a fault lasts is real time.
func pause(d time.Duration) { <-time.After(d) }
