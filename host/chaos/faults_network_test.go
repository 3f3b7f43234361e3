package chaos_test

import (
	"testing"
	"time"
)

// withWires skips the row where hosts can't have networks of their own.
func withWires(t *testing.T, _ *plan) {
	t.Helper()
	newWire(t)
}

// partition cuts the leader off from everything, in every other round a follower,
// until it is given up.
func partition(d *deployment, round int) time.Time {
	h := d.lead()
	if round%2 == 1 {
		h = d.other(h)
	}
	return d.cutOff(h, true, true)
}

// oneWay loses what the leader sends; in every other round, what is sent to it.
func oneWay(d *deployment, round int) time.Time {
	return d.cutOff(d.lead(), round%2 == 1, round%2 == 0)
}

func (d *deployment) cutOff(h *host, toHost, fromHost bool) time.Time {
	d.t.Helper()
	at := time.Now()
	if err := h.wire.lose(toHost, fromHost); err != nil {
		d.t.Error(err)
	}
	pause(pastTheLease)
	if err := h.wire.heal(toHost, fromHost); err != nil {
		d.t.Error(err)
	}
	pause(2 * time.Second)
	return at
}

// resetAll resets all connections to the database and to targets, again and again.
func resetAll(d *deployment, _ int) time.Time {
	for range 8 {
		for _, k := range append(d.links(), d.sites...) {
			k.reset()
		}
		pause(500 * time.Millisecond)
	}
	return time.Now()
}

// slowLink makes every message to the database and to targets, and each answer,
// take a tenth of a second.
func slowLink(d *deployment, _ int) time.Time {
	all := append(d.links(), d.sites...)
	for _, k := range all {
		k.delay.Store(int64(100 * time.Millisecond))
	}
	pause(pastTheLease)
	for _, k := range all {
		k.delay.Store(0)
	}
	return time.Now()
}

// turnCut is what a host says whose turn was cut in its commit.
const turnCut = "a turn was not committed|scheduling stopped"

// cutCommits lets the database commit and resets the connection instead of saying so,
// on all hosts, again and again: until it was a turn's, which the leases' renewals and
// the submissions leave to chance.
func cutCommits(d *deployment, _ int) time.Time {
	for k := 0; k < 10 || k < 50 && !d.said(turnCut); k++ {
		for _, k := range d.links() {
			k.cut.Store(true)
		}
		pause(600 * time.Millisecond)
	}
	at, cuts := time.Now(), int64(0)
	for _, k := range d.links() {
		k.cut.Store(false)
		cuts += k.cuts.Load()
	}
	if cuts == 0 {
		d.t.Error("no commit was cut: the fault is none")
	}
	d.t.Logf("%d commits were cut so far", cuts)
	return at
}
