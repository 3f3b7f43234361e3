package chaos_test

import (
	"syscall"
	"time"
)

// The times that faults last: a host is given up when it was silent for two leases
// of 4 s.
const (
	pastTheLease = 12 * time.Second
	shorter      = 6 * time.Second
)

// faults is the matrix.
func faults() []fault {
	return []fault{
		{name: "kill -9", store: "postgres", silent: time.Second, short: true, strike: killHosts},
		{name: "kill -9", store: "sqlite", short: true, strike: killAlone},
		{name: "SIGSTOP past the lease", store: "postgres", felt: "heartbeat has stopped", short: true, strike: stopPastLease},
		{name: "SIGTERM drain", store: "postgres", strike: drain},
		{name: "SIGTERM drain", store: "sqlite", strike: drain},
		{name: "OOM", store: "postgres", prepare: withMemoryGroups, strike: outOfMemory},
		{name: "OOM", store: "sqlite", prepare: withMemoryGroups, strike: outOfMemory},
		{name: "partition", store: "postgres", felt: "heartbeat has stopped", plan: plan{wires: true}, prepare: withWires, strike: partition},
		{name: "one-way drop", store: "postgres", felt: "heartbeat has stopped", plan: plan{wires: true}, prepare: withWires, strike: oneWay},
		{name: "reset", store: "postgres", felt: "a turn was not committed|scheduling stopped", strike: resetAll},
		{name: "reset", store: "sqlite", strike: resetAll},
		{name: "slow link", store: "postgres", strike: slowLink},
		{name: "slow link", store: "sqlite", strike: slowLink},
		{name: "slow database", store: "postgres", silent: 8 * time.Second, strike: slowDatabase},
		{name: "database crash", store: "postgres", silent: 2 * time.Second, strike: databaseCrash},
		{name: "database failover", store: "postgres", silent: 100 * time.Millisecond, felt: "a turn was not committed|scheduling stopped", plan: plan{standby: true}, strike: failover},
		{name: "cut in mid-COMMIT", store: "postgres", felt: turnCut, short: true, strike: cutCommits},
		{name: "disk full", store: "postgres", felt: "No space|disk full|full", prepare: withSmallDisk, strike: diskFull},
		{name: "disk full", store: "sqlite", felt: "No space|disk full|full", prepare: withSmallDisk, strike: diskFull},
		{name: "clock jump of a host", store: "postgres", moved: true, prepare: withHostClock, strike: moveHostClock},
		{name: "clock jump of a host", store: "sqlite", moved: true, prepare: withHostClock, strike: moveHostClock},
		{name: "clock jump of the database", store: "postgres", felt: "another host leads|lease is over|scheduling stopped", prepare: withDatabaseClock, strike: moveDatabaseClock},
	}
}

// killHosts kills the leader, and in every other round a second host with it.
func killHosts(d *deployment, round int) time.Time {
	leader := d.lead()
	victims := []*host{leader}
	if round%2 == 1 {
		victims = append(victims, d.other(leader))
	}
	for _, h := range victims {
		h.kill()
	}
	at := time.Now()
	d.another(leader)
	pause(time.Second)
	for _, h := range victims {
		h.start()
	}
	return at
}

// killAlone kills the only host there is and starts it again.
func killAlone(d *deployment, _ int) time.Time {
	at := time.Now()
	d.hosts[0].kill()
	d.hosts[0].start()
	return at
}

// stopPastLease pauses the leader, in every other round a follower, for so long that
// it is given up; then it goes on where it was.
func stopPastLease(d *deployment, round int) time.Time {
	h := d.lead()
	if round%2 == 1 {
		h = d.other(h)
	}
	at := time.Now()
	h.signal(syscall.SIGSTOP)
	pause(pastTheLease)
	h.signal(syscall.SIGCONT)
	pause(2 * time.Second)
	return at
}

// drain stops the leader as an upgrade does, and starts it again.
func drain(d *deployment, _ int) time.Time {
	h := d.lead()
	at := time.Now()
	h.signal(syscall.SIGTERM)
	if state := h.ended(); !state.Success() {
		d.t.Errorf("host %s drained and ended with %s", h.name, state)
	}
	h.start()
	return at
}
