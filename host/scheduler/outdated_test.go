package scheduler_test

import (
	"testing"

	"opsconductor.dev/host/automation"
)

// TestOutdatedHost: a host that may not lead, as a newer version has, carries out
// attempts beside one that does.
func TestOutdatedHost(t *testing.T) {
	t.Parallel()
	f := setupPostgres(t)
	l := newLedger()
	old := f.join("old", hostSettings{slots: 4, old: true, execute: l.acting("old", nil)})
	f.joined(old)
	wait, let := hold()
	f.leads(f.join("new", hostSettings{slots: 1, execute: l.acting("new", wait)}))
	id := f.submit(wide(automation.EffectOnce, 9))
	f.eventually("the old host did its share", func() bool { begun, _ := l.of("old"); return begun >= 4 })
	let()
	f.await(id, func(r automation.Run) bool { return r.State == automation.RunSucceeded })
	l.once(t, 9)
	if f.row(old.id).Leads {
		t.Error("the old host leads")
	}
}
