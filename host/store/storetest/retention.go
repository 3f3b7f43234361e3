package storetest

import (
	"fmt"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// RunOn returns an identifier of a run that was created in the middle of a day.
func RunOn(day time.Time, n int) automation.RunID {
	return automation.FirstID[automation.RunID](store.DayOf(day).Add(12*time.Hour)) + automation.RunID(fmt.Sprintf("-7000-8000-%012x", n))
}

// acceptOn stores a run of a day, with something of all that is stored of runs.
func (f *fixture) acceptOn(day time.Time, n int, epoch int64) automation.RunID {
	f.t.Helper()
	run := f.run()
	run.ID, run.Created = RunOn(day, n), day
	_, _, err := f.st.Accept(f.t.Context(), run, keyed(act("run.submit"), string(run.ID), "r"))
	f.must(err)
	key := automation.AttemptKey{Run: run.ID, Attempt: 1}
	f.must(f.st.Append(f.t.Context(), store.Batch{
		Host: "h", Epoch: epoch, Entries: []automation.Entry{granted(run.ID, 0), granted(run.ID, 1)},
		Logs:      []store.AttemptLogs{{Tenant: tenant, Attempt: key, Lines: []automation.LogLine{{At: start(), Message: "x"}}}},
		Approvals: []automation.Approval{{Tenant: tenant, Run: run.ID, Step: "gate", State: automation.ApprovalPending, Requested: start(), Expires: start()}},
	}))
	return run.ID
}

func (f *fixture) end(run automation.RunID, epoch int64) {
	f.t.Helper()
	f.must(f.st.Append(f.t.Context(), store.Batch{Host: "h", Epoch: epoch, Runs: []automation.RunUpdate{{Run: run, State: automation.RunFailed, Ended: start()}}}))
}

// there reports whether a run is stored whole; a part of one is an error.
func (f *fixture) there(run automation.RunID) bool {
	f.t.Helper()
	_, err := f.st.Run(f.t.Context(), tenant, run)
	_, err2 := f.st.RunLogs(f.t.Context(), tenant, run, automation.AttemptKey{}, 10)
	if automation.CodeOf(err) == automation.CodeNotFound && automation.CodeOf(err2) == automation.CodeNotFound {
		return false
	}
	f.must(err)
	equal(f.t, "entries of a run that is there", len(f.entries(run)), 3)
	logs, err := f.st.RunLogs(f.t.Context(), tenant, run, automation.AttemptKey{}, 10)
	f.must(err)
	equal(f.t, "logs of a run that is there", len(logs), 1)
	return true
}

func (f *fixture) sweep(s store.Sweep) store.Swept {
	f.t.Helper()
	done, err := f.st.Sweep(f.t.Context(), s)
	f.must(err)
	if done.PutOff {
		f.t.Errorf("a sweep that nobody is in the way of was put off: %+v", done)
	}
	return done
}

// retention: days that are over are removed with all that is stored of their runs;
// runs that are open stay.
func retention(t *testing.T, b Backend) {
	f := setup(t, b)
	epoch, now := f.lead("h"), time.Now()
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	f.sweep(store.Sweep{Now: now})
	old, last := f.acceptOn(day(3), 1, epoch), f.acceptOn(day(3), 2, epoch)
	open, beside := f.acceptOn(day(4), 1, epoch), f.acceptOn(day(4), 2, epoch)
	young := f.acceptOn(day(5), 1, epoch)
	f.must(f.st.PutCommand(t.Context(), automation.Command{ID: "c", Tenant: tenant, Run: old, Kind: automation.FactCancelAsked, At: start()}, act("run.cancel")))
	for _, run := range []automation.RunID{old, last, beside, young} {
		f.end(run, epoch)
	}
	f.must(f.st.PutPlan(t.Context(), tenant, digest("unused"), []byte("{}"), start()))
	f.must(f.st.PutPlan(t.Context(), tenant, digest("wanted"), []byte("{}"), start()))
	f.must(f.st.PutPlan(t.Context(), tenant, digest("wanted"), []byte("{}"), day(40)))

	done := f.sweep(store.Sweep{Now: day(40)})
	equal(t, "what a sweep removes that is to keep everything", done, store.Swept{})
	sweep := store.Sweep{Now: day(40), Before: day(5)}
	done = f.sweep(sweep)
	equal(t, "runs that are open", done.Pinned, int64(1))
	equal(t, "runs in no partition", done.Misplaced, int64(0))
	equal(t, "plans without a run, of both tenants", done.Plans, int64(2))
	for run, want := range map[automation.RunID]bool{old: false, last: false, open: true, young: true} {
		if got := f.there(run); got != want {
			t.Errorf("run %s is there: %v; want %v", run, got, want)
		}
	}
	_, err := f.st.Plan(t.Context(), tenant, digest("unused"))
	wantCode(t, "a plan that no run has", err, automation.CodeNotFound)
	_, err = f.st.Plan(t.Context(), tenant, digest("wanted"))
	f.must(err)
	_, _, err = f.st.Accept(t.Context(), f.run(), keyed(act("run.submit"), string(old), "r"))
	wantCode(t, "the key of a run that was removed", err, automation.CodeNotFound)

	f.end(open, epoch)
	done.Runs += f.sweep(sweep).Runs
	equal(t, "runs that were removed in both sweeps", done.Runs, int64(4))
	for run, want := range map[automation.RunID]bool{open: false, beside: false, young: true} {
		if got := f.there(run); got != want {
			t.Errorf("run %s is there after the open one ended: %v; want %v", run, got, want)
		}
	}
	for _, table := range []string{"entries", "attempt_logs", "approvals", "commands"} {
		statement := fmt.Sprintf(`INSERT INTO windows (id) SELECT run_id FROM %s WHERE run_id <> '%s'`, table, young) // fails when there is one
		if err := b.Exec(t, f.st, statement); err != nil {
			t.Errorf("%s of runs that were removed are there: %v", table, err)
		}
	}
	equal(t, "what a third sweep removes", f.sweep(sweep).Runs, int64(0))
	f.acceptOn(day(41), 1, epoch) // the log goes on
}

// retentionOfKeys: keys go by their age.
func retentionOfKeys(t *testing.T, b Backend) {
	f := setup(t, b)
	for i := range 3 {
		a := keyed(act("run.submit"), fmt.Sprint("key", i), "r")
		a.At = start().Add(time.Duration(i) * time.Hour)
		_, _, err := f.st.Accept(t.Context(), f.run(), a)
		f.must(err)
	}
	equal(t, "keys", f.sweep(store.Sweep{Now: time.Now(), Keys: start().Add(90 * time.Minute)}).Keys, int64(2))
	for i, want := range []bool{true, true, false} {
		_, created, err := f.st.Accept(t.Context(), f.run(), keyed(act("run.submit"), fmt.Sprint("key", i), "r"))
		f.must(err)
		equal(t, fmt.Sprintf("key %d is free", i), created, want)
	}
}

// retentionOfSlices: more than one transaction takes.
func retentionOfSlices(t *testing.T, b Backend) {
	f := setup(t, b)
	epoch, now := f.lead("h"), time.Now()
	f.sweep(store.Sweep{Now: now})
	run := f.acceptOn(now.AddDate(0, 0, 3), 1, epoch)
	var entries []automation.Entry
	for i := range 2500 {
		entries = append(entries, granted(run, i))
	}
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: entries}))
	f.end(run, epoch)
	equal(t, "runs", f.sweep(store.Sweep{Now: now, Before: now.AddDate(0, 0, 4)}).Runs, int64(1))
	if err := b.Exec(t, f.st, `INSERT INTO windows (id) SELECT run_id FROM entries`); err != nil {
		t.Errorf("entries of the run are there: %v", err)
	}
}

// retentionOfHosts: rows of hosts that are gone are removed, and none of their
// epochs comes back.
func retentionOfHosts(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	for _, id := range []automation.HostID{"dead", "live", "unread", "fresh"} {
		for range 3 {
			_, err := f.st.RegisterHost(ctx, automation.Host{ID: id, Name: string(id)})
			f.must(err)
		}
	}
	f.must(f.st.PutReports(ctx, 0, store.Cursor{Host: "unread", Epoch: 3}, []store.Report{{Number: 1}}))
	for _, id := range []automation.HostID{"dead", "unread"} {
		f.must(f.st.ReapHost(ctx, id, 3, automation.HostLost))
	}
	equal(t, "hosts that went an hour ago", f.sweep(store.Sweep{Now: time.Now(), Gone: time.Hour}).Hosts, int64(0))
	f.must(f.st.ReapHost(ctx, "fresh", 3, automation.HostStopped))
	age := fmt.Sprintf(`UPDATE hosts SET heartbeat = heartbeat - %s WHERE id <> 'fresh'`, b.TwoHours)
	f.must(b.Exec(t, f.st, age))
	equal(t, "hosts", f.sweep(store.Sweep{Now: time.Now(), Gone: time.Hour}).Hosts, int64(1))
	all, err := f.st.Hosts(ctx)
	f.must(err)
	equal(t, "hosts that are left", len(all), 3)
	h, err := f.st.RegisterHost(ctx, automation.Host{ID: "dead", Name: "dead"})
	f.must(err)
	if h.Epoch <= 4 {
		t.Errorf("a host that was removed comes back at epoch %d, which it had before; want one above 4", h.Epoch)
	}
}
