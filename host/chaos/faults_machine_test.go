package chaos_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// memoryGroups is where control groups for memory are, and the file of their limit.
func memoryGroups() (dir, limit string) {
	for dir, limit := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"} {
		probe := filepath.Join(dir, fmt.Sprintf("opsconductor-chaos-probe-%d", time.Now().UnixNano()))
		if os.Mkdir(probe, 0o755) != nil {
			continue
		}
		_, err := os.Stat(filepath.Join(probe, limit))
		_ = os.Remove(probe)
		if err == nil {
			return dir, limit
		}
	}
	return "", ""
}

func withMemoryGroups(t *testing.T, _ *plan) {
	t.Helper()
	if dir, _ := memoryGroups(); dir == "" {
		t.Skip("control groups for memory can't be made here")
	}
}

// outOfMemory lets the leader have a little more memory than it has: the kernel kills it.
func outOfMemory(d *deployment, round int) time.Time {
	h := d.lead()
	dir, limit := memoryGroups()
	group := filepath.Join(dir, fmt.Sprintf("opsconductor-chaos-%d-%d", h.pid(), round))
	if err := os.Mkdir(group, 0o755); err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = os.Remove(group) }()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(group, name), []byte(text), 0o600); err != nil {
			d.t.Error(err)
		}
	}
	put(limit, fmt.Sprint(1<<20)) // beyond what it has: what a group has is counted from its entry on
	put("cgroup.procs", fmt.Sprint(h.pid()))
	state := h.ended()
	at := time.Now()
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		d.t.Errorf("host %s ended with %s; want it killed", h.name, state)
	}
	if len(d.hosts) > 1 {
		d.another(h)
	}
	h.start()
	return at
}

// hostClock is in the environment of a host that was built to have its clock moved:
// the path of a file with seconds.
const hostClock = "OPSCONDUCTOR_CHAOS_CLOCK"

// movable is added to the standard library's package time in the binary that has its
// clock moved. The product's own binary has nothing of it.
const movable = `package time

import (
	"sync/atomic"
	"syscall"
)

// movedBy is by how many seconds the clock was moved. Now only reads it: it may be
// called where there is no stack for more.
var movedBy atomic.Int64

func init() {
	if name, ok := syscall.Getenv("OPSCONDUCTOR_CHAOS_CLOCK"); ok {
		go follow(name)
	}
}

// follow reads the seconds from a file, again and again.
func follow(name string) {
	for ; ; Sleep(50 * Millisecond) {
		fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var b [32]byte
		n, _ := syscall.Read(fd, b[:])
		syscall.Close(fd)
		var by, sign int64 = 0, 1
		for _, c := range b[:max(n, 0)] {
			if c == '-' {
				sign = -1
			} else if c >= '0' && c <= '9' {
				by = by*10 + int64(c-'0')
			}
		}
		movedBy.Store(sign * by)
	}
}
`

// withHostClock builds the hosts over a package time whose wall clock can be moved
// while they run. (The vDSO gives a Go program its time: nothing outside can move it
// for one process alone.)
func withHostClock(t *testing.T, p *plan) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	b, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const call = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	if strings.Count(string(b), call) != 1 {
		t.Skip("this Go's package time is not the one that can be moved")
	}
	text := strings.Replace(string(b), call, "\tsec, nsec, mono := runtimeNow()\n\tsec += movedBy.Load()\n\tif mono == 0 {", 1)
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": text, "moved.go": movable} {
		replace[filepath.Join(folder, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	p.overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(p.overlay, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	p.clock = filepath.Join(dir, "clock")
}

// moveHostClock moves the leader's wall clock: half an hour ahead, then back a little,
// by turns.
func moveHostClock(d *deployment, round int) time.Time {
	h := d.lead()
	b, _ := os.ReadFile(h.clock)
	var by int
	_, _ = fmt.Sscan(string(b), &by)
	step := 1800
	if round%2 == 1 {
		step = -20
	}
	if err := os.WriteFile(h.clock, []byte(fmt.Sprint(by+step)), 0o600); err != nil {
		d.t.Fatal(err)
	}
	pause(shorter)
	// The last word is a fact by that clock: the recovery of this row is no time.
	return time.Now().Add(-time.Hour)
}

// fakeClock is the library that moves a dynamically linked program's clock.
func fakeClock() string {
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

func withDatabaseClock(t *testing.T, p *plan) {
	t.Helper()
	library := fakeClock()
	if library == "" {
		t.Skip("libfaketime is not here: apt-get install libfaketime")
	}
	p.clock = filepath.Join(shared(t), "clock")
	setDatabaseClock(t, p.clock, 0)
	p.pg.Env = []string{"LD_PRELOAD=" + library, "FAKETIME_TIMESTAMP_FILE=" + p.clock, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"}
}

func setDatabaseClock(t *testing.T, file string, seconds int) {
	t.Helper()
	if err := os.WriteFile(file, fmt.Appendf(nil, "%+d\n", seconds), 0o644); err != nil { // the server is another user's
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
}

// moveDatabaseClock moves the clock that leases go by ahead by a minute, time and
// again: a jump is felt when another host looks before the leader has renewed its
// lease. In every other round it moves the clock back again, once.
func moveDatabaseClock(d *deployment, round int) time.Time {
	at := time.Now()
	const jumps = 8
	for n := range jumps {
		seconds := 60 * (n + 1)
		if round%2 == 1 {
			seconds = 0
		}
		setDatabaseClock(d.t, d.plan.clock, seconds)
		pause(pastTheLease / jumps)
	}
	return at
}
