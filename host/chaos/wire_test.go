package chaos_test

import (
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
)

// wire is a network of a host's own: a cable between it and the world, on which
// packets can be lost either way without either side being told.
type wire struct {
	number       int
	inner, outer string // addresses of its ends
	pid          int
}

// nowhere is a hardware address that nobody has: what is sent there is lost.
const nowhere = "02:00:00:00:00:99"

// wires counts the wires, each of which has a network of its own number.
var wires atomic.Int64

// newWire returns a wire; it is there once the host's process is.
func newWire(t *testing.T) *wire {
	t.Helper()
	if os.Getenv(inWorld) == "" {
		t.Skip("faults of a network take networks of their own, which root on Linux may make")
	}
	number := int(wires.Add(1))
	return &wire{number: number, inner: fmt.Sprintf("10.99.%d.2", number), outer: fmt.Sprintf("10.99.%d.1", number)}
}

func (w *wire) name() string { return fmt.Sprintf("chaos%d", w.number) }

// command runs a program in a network of its own, once start has laid the wire.
func (w *wire) command(args []string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", `read -r _ && exec "$@"`, "sh"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return cmd
}

// start starts what command returned, lays the wire and lets it go on.
func (w *wire) start(cmd *exec.Cmd) error {
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.pid = cmd.Process.Pid
	pid := fmt.Sprint(w.pid)
	inside := []string{"nsenter", "-t", pid, "-n", "ip"}
	for _, args := range [][]string{
		{"ip", "link", "add", w.name(), "type", "veth", "peer", "name", "eth0", "netns", pid},
		{"ip", "addr", "add", w.outer + "/24", "dev", w.name()},
		{"ip", "link", "set", w.name(), "up"},
		append(inside, "link", "set", "lo", "up"),
		append(inside, "addr", "add", w.inner+"/24", "dev", "eth0"),
		append(inside, "link", "set", "eth0", "up"),
		append(inside, "route", "add", "default", "via", w.outer),
	} {
		if err := shell(args...); err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return err
		}
	}
	_, err = fmt.Fprintln(in)
	return err
}

// lose loses what the world sends to the host (toHost), what the host sends, or both.
func (w *wire) lose(toHost, fromHost bool) error {
	if toHost {
		if err := shell("ip", "neigh", "replace", w.inner, "lladdr", nowhere, "dev", w.name(), "nud", "permanent"); err != nil {
			return err
		}
	}
	if fromHost {
		return shell("nsenter", "-t", fmt.Sprint(w.pid), "-n", "ip", "neigh", "replace", w.outer, "lladdr", nowhere, "dev", "eth0", "nud", "permanent")
	}
	return nil
}

// heal ends lose.
func (w *wire) heal(toHost, fromHost bool) error {
	if toHost {
		if err := shell("ip", "neigh", "del", w.inner, "dev", w.name()); err != nil {
			return err
		}
	}
	if fromHost {
		return shell("nsenter", "-t", fmt.Sprint(w.pid), "-n", "ip", "neigh", "del", w.outer, "dev", "eth0")
	}
	return nil
}

func shell(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}
