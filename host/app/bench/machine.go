package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load is the average number of running processes of the last minute; 0 where
// Linux's /proc is not.
func load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}

// processor is the name of the machine's processor; "" where it can't be read.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return ""
}

// sqliteVersion is that of the module SQLite comes in.
func sqliteVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "SQLite"
	}
	for _, m := range info.Deps {
		if m.Path == "modernc.org/sqlite" {
			return "SQLite of modernc.org/sqlite " + m.Version
		}
	}
	return "SQLite"
}

// status reads a line of /proc/self/status in MiB, like VmRSS; 0 where there is none.
func status(name string) float64 { return statusOf("self", name) }

// statusOf is status of the process of an id.
func statusOf(pid, name string) float64 {
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024
		}
	}
	return 0
}

// forget gives free memory back and begins the process's peak anew.
func forget() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200) // where it can't, the peak is the whole process's
}

// allocated counts the allocations of the process: how many, and their bytes.
func allocated() (count, size uint64) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs, m.TotalAlloc
}

// processorTime is what the process has spent so far, in user and system.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
