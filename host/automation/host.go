package automation

import (
	"slices"
	"time"
)

// HostState says what a host's row was last told.
type HostState string

// The states of hosts.
const (
	HostLive     HostState = "live"     // it takes attempts
	HostDraining HostState = "draining" // it finishes what it has and takes no more
	HostStopped  HostState = "stopped"  // it left by itself
	HostLost     HostState = "lost"     // its heartbeat stopped, and it was reaped
)

// DefaultQueue is the task queue of attempts that name none, and of hosts that do
// not say what they serve.
const DefaultQueue = "default"

// QueueRule is how a task queue may be named.
const QueueRule = "up to 63 lower-case letters, digits, - and _, a letter first"

// IsQueue reports whether s may name a task queue.
func IsQueue(s string) bool {
	if s == "" || len(s) > 63 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// QueueLoad is what waits in a task queue.
type QueueLoad struct {
	Queue   string
	Waiting int // items that are ready, or parked on a limit
}

// Host is one process that executes attempts, as its row has it.
type Host struct {
	ID        HostID
	Name      string
	Epoch     int64 // grows by one whenever the host starts, leaves or is reaped
	Version   string
	Slots     int
	Queues    []string // the task queues that it serves, sorted
	State     HostState
	AtWork    int           // attempts at work, by its last heartbeat
	Heartbeat time.Time     // by the database's clock
	Age       time.Duration // of the heartbeat when the row was read, by the database's clock
	Leads     bool          // it holds the leadership of a shard
}

// Serves reports whether the host serves a task queue.
func (h *Host) Serves(queue string) bool { return slices.Contains(h.Queues, queue) }

// Beat is what a heartbeat says.
type Beat struct {
	State  HostState // live or draining
	AtWork int
}
