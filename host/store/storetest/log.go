package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func appendAndRead(t *testing.T, b Backend) {
	f := setup(t, b)
	one, two := f.accept(), f.accept()
	epoch := f.lead("h")
	first := []automation.Entry{granted(one.ID, 0), granted(two.ID, 0), granted(one.ID, 1)}
	started := start().Add(time.Minute)
	f.must(f.st.Append(t.Context(), store.Batch{
		Host: "h", Epoch: epoch, Entries: first,
		Runs: []automation.RunUpdate{{Run: one.ID, State: automation.RunRunning, Started: started}},
	}))
	for i, want := range []int64{3, 4, 5} {
		if first[i].Seq != want || first[i].Shard != 0 {
			t.Errorf("entry %d has number %d in shard %d; want %d in 0", i, first[i].Seq, first[i].Shard, want)
		}
	}
	got := f.entries(one.ID)
	equal(t, "entries of the first run", got[1:], []automation.Entry{first[0], first[2]})
	accepted := automation.Fact{Kind: automation.FactRunAccepted, At: one.Created, Tenant: tenant, Plan: f.plan, By: "ann"}
	equal(t, "its first entry", got[0], automation.Entry{Seq: 1, Run: one.ID, Facts: []automation.Fact{accepted}})
	rest, err := f.st.RunEntries(t.Context(), tenant, one.ID, 1, 1)
	f.must(err)
	equal(t, "one entry after the first", rest, []automation.Entry{first[0]})

	problem := &automation.Error{Code: automation.CodeStepFailed, Message: "a step \x00 failed", Suggestion: "look"}
	end := []automation.Entry{{Run: one.ID, Facts: []automation.Fact{{Kind: automation.FactTimerFired, At: start()}}}}
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: end, Runs: []automation.RunUpdate{
		{Run: one.ID, State: automation.RunFailed, Error: problem, Ended: started.Add(time.Hour)},
	}}))
	want := one
	want.State, want.Error, want.Started, want.Ended, want.Seq = automation.RunFailed, problem, store.Moment(started), store.Moment(started.Add(time.Hour)), 6
	equal(t, "the record of the first run", f.record(one.ID), want)
	want = two
	want.Seq = 4
	equal(t, "the record of the second run", f.record(two.ID), want)
}

// appendWhole: a batch with one thing that can't be is not stored at all.
func appendWhole(t *testing.T, b Backend) {
	f := setup(t, b)
	run := f.accept()
	epoch := f.lead("h")
	ended := automation.RunUpdate{Run: run.ID, State: automation.RunSucceeded, Ended: start()}
	for name, bad := range map[string]struct {
		batch store.Batch
		code  automation.Code
	}{
		"an entry of no run":    {store.Batch{Entries: []automation.Entry{granted(run.ID, 0), granted("none", 0)}}, automation.CodeNotFound},
		"an update of no run":   {store.Batch{Entries: []automation.Entry{granted(run.ID, 0)}, Runs: []automation.RunUpdate{{Run: "none", State: automation.RunRunning}}}, automation.CodeNotFound},
		"a wrong transition":    {store.Batch{Entries: []automation.Entry{granted(run.ID, 0)}, Runs: []automation.RunUpdate{{Run: run.ID, State: automation.RunRejected, Ended: start()}}}, automation.CodeConflict},
		"no such state":         {store.Batch{Entries: []automation.Entry{granted(run.ID, 0)}, Runs: []automation.RunUpdate{{Run: run.ID, State: "gone"}}}, automation.CodeConflict},
		"an end without a time": {store.Batch{Entries: []automation.Entry{granted(run.ID, 0)}, Runs: []automation.RunUpdate{{Run: run.ID, State: automation.RunSucceeded}}}, automation.CodeInternal},
	} {
		bad.batch.Host, bad.batch.Epoch = "h", epoch
		wantCode(t, name, f.st.Append(t.Context(), bad.batch), bad.code)
		if bad.batch.Entries[0].Seq != 0 {
			t.Errorf("%s: an entry that was not stored has number %d", name, bad.batch.Entries[0].Seq)
		}
	}
	equal(t, "entries", len(f.entries(run.ID)), 1)
	equal(t, "the record", f.record(run.ID), run)

	// Several updates of one run in one batch are made in their order.
	after := granted(run.ID, 0)
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{after}, Runs: []automation.RunUpdate{
		{Run: run.ID, State: automation.RunPaused}, {Run: run.ID, State: automation.RunRunning, Started: start()}, ended,
	}}))
	got := f.record(run.ID)
	if got.State != automation.RunSucceeded || got.Started.IsZero() || got.Seq != 2 {
		t.Errorf("after three updates: %+v", got)
	}
}

func fence(t *testing.T, b Backend) {
	f := setup(t, b)
	run := f.accept()
	f.must(f.st.PutCommand(t.Context(), automation.Command{ID: "c1", Tenant: tenant, Run: run.ID, Kind: automation.FactCancelAsked, At: start()}, act("run.cancel")))
	old := f.lead("h")
	f.must(f.st.Resign(t.Context(), 0, "h", old))
	now := f.lead("h2")
	batch := func(host automation.HostID, epoch int64, shard int) store.Batch {
		return store.Batch{
			Shard: shard, Host: host, Epoch: epoch, Entries: []automation.Entry{granted(run.ID, 0)},
			Runs:     []automation.RunUpdate{{Run: run.ID, State: automation.RunRunning, Started: start()}},
			Commands: []automation.CommandID{"c1"},
			Logs:     []store.AttemptLogs{{Tenant: tenant, Attempt: automation.AttemptKey{Run: run.ID, Attempt: 1}, Lines: []automation.LogLine{{Message: "x"}}}},
		}
	}
	for name, stale := range map[string]store.Batch{
		"the last leader":        batch("h", old, 0),
		"another host":           batch("h3", now, 0),
		"an epoch of tomorrow":   batch("h2", now+1, 0),
		"a shard of nobody":      batch("h2", now, 7),
		"nobody":                 batch("", 0, 0),
		"a batch with no entry":  {Host: "h", Epoch: old, Commands: []automation.CommandID{"c1"}},
		"a batch of one command": {Host: "h2", Epoch: old, Commands: []automation.CommandID{"c1"}},
	} {
		err := f.st.Append(t.Context(), stale)
		wantErr(t, name, err, store.ErrFenced)
		wantCode(t, name, err, automation.CodeConflict)
	}
	equal(t, "the record after stale writes", f.record(run.ID), run)
	equal(t, "entries after stale writes", len(f.entries(run.ID)), 1)
	left, err := f.st.Commands(t.Context(), 0, 10)
	f.must(err)
	equal(t, "commands after stale writes", len(left), 1)
	logs, err := f.st.RunLogs(t.Context(), tenant, run.ID, automation.AttemptKey{}, 10)
	f.must(err)
	equal(t, "logs after stale writes", len(logs), 0)

	good := batch("h2", now, 0)
	f.must(f.st.Append(t.Context(), good))
	equal(t, "the number of the first good entry: stale ones took none", good.Entries[0].Seq, int64(2))
	left, err = f.st.Commands(t.Context(), 0, 10)
	f.must(err)
	equal(t, "commands after the good write", len(left), 0)
}

func replay(t *testing.T, b Backend) {
	f := setup(t, b)
	epoch := f.lead("h")
	var want []automation.Entry
	var open []automation.RunID
	for i := range 20 {
		run := f.accept()
		batch := store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{granted(run.ID, 0), granted(run.ID, 1)}}
		if i%2 == 0 {
			batch.Runs = []automation.RunUpdate{{Run: run.ID, State: automation.RunSucceeded, Ended: start()}}
		} else {
			open = append(open, run.ID)
		}
		f.must(f.st.Append(t.Context(), batch))
	}
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{granted(open[0], 2)}}))
	for _, id := range open {
		want = append(want, f.entries(id)...)
	}
	want = append(want[:3], append(want[4:], want[3])...) // the last entry of the first run came last of all
	var got []automation.Entry
	last, err := f.st.Replay(t.Context(), 0, func(e automation.Entry) error { got = append(got, e); return nil })
	f.must(err)
	equal(t, "the last number", last, int64(61))
	equal(t, "the entries of the open runs", got, want)

	// It is a snapshot: what is added while it is read is not in it.
	n := 0
	last, err = f.st.Replay(t.Context(), 0, func(automation.Entry) error {
		if n++; n == 1 {
			return f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{granted(open[1], 3)}})
		}
		return nil
	})
	f.must(err)
	equal(t, "entries of the snapshot", n, len(want))
	equal(t, "the last number of the snapshot", last, int64(61))

	enough := errors.New("enough")
	n = 0
	_, err = f.st.Replay(t.Context(), 0, func(automation.Entry) error { n++; return enough })
	wantErr(t, "a replay that is stopped", err, enough)
	equal(t, "entries of a replay that is stopped", n, 1)
	last, err = f.st.Replay(t.Context(), 5, func(automation.Entry) error { return enough })
	f.must(err)
	equal(t, "the last number of a shard that nobody uses", last, int64(0))
}

// replayIsASnapshot: its last number and its entries are of one moment, while
// the leader goes on.
func replayIsASnapshot(t *testing.T, b Backend) {
	f := setup(t, b)
	run, epoch := f.accept(), f.lead("h")
	stop := make(chan struct{})
	var leader sync.WaitGroup
	leader.Go(func() {
		for range 1000 { // enough to be under way, and a log that is read fast
			select {
			case <-stop:
				return
			default:
			}
			if err := f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{granted(run.ID, 0)}}); err != nil {
				t.Errorf("append: %v", err)
				return
			}
		}
	})
	for range 200 {
		n := int64(0)
		last, err := f.st.Replay(t.Context(), 0, func(automation.Entry) error { n++; return nil })
		if err != nil || n != last {
			t.Errorf("replay: %d entries and the last number %d, %v; want as many as it says", n, last, err)
		}
	}
	close(stop)
	leader.Wait()
}

func logs(t *testing.T, b Backend) {
	f := setup(t, b)
	run := f.accept()
	epoch := f.lead("h")
	line := func(text string) automation.LogLine {
		return automation.LogLine{At: start(), Level: "info", Message: text}
	}
	key := func(step, item, attempt int) automation.AttemptKey {
		return automation.AttemptKey{Run: run.ID, Step: step, Item: item, Attempt: attempt}
	}
	long := make([]automation.LogLine, 500)
	for i := range long {
		long[i] = line(fmt.Sprintf("line %d %s", i, strings.Repeat("ü", 20)))
	}
	want := []store.AttemptLogs{
		{Tenant: tenant, Attempt: key(0, 0, 1), Lines: []automation.LogLine{line("first"), line("with \x00 zero")}},
		{Tenant: tenant, Attempt: key(0, 0, 2), Lines: []automation.LogLine{line("second")}},
		{Tenant: tenant, Attempt: key(0, 10, 1), Lines: long},
		{Tenant: tenant, Attempt: key(2, 0, 1), Lines: []automation.LogLine{line("third")}},
	}
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Logs: []store.AttemptLogs{want[3], want[2], {Tenant: tenant, Attempt: key(5, 0, 1)}}}))
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Logs: []store.AttemptLogs{want[1], want[0], want[0]}}))
	got, err := f.st.RunLogs(t.Context(), tenant, run.ID, automation.AttemptKey{}, 10)
	f.must(err)
	equal(t, "logs", got, want)
	got, err = f.st.RunLogs(t.Context(), tenant, run.ID, key(0, 0, 1), 2)
	f.must(err)
	equal(t, "two logs after the first", got, want[1:3])
	_, err = f.st.RunLogs(t.Context(), tenant, "none", automation.AttemptKey{}, 10)
	wantCode(t, "logs of no run", err, automation.CodeNotFound)
	_, err = f.st.RunEntries(t.Context(), tenant, "none", 0, 10)
	wantCode(t, "entries of no run", err, automation.CodeNotFound)
}

func wake(t *testing.T, b Backend) {
	f := setup(t, b)
	epoch := f.lead("h")
	inbox, stopInbox := f.st.Wake(store.TopicInbox)
	news, stopNews := f.st.Wake(store.TopicEntries)
	defer stopNews()
	heard := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		case <-t.Context().Done():
			return false
		}
	}
	run := f.accept()
	if !heard(inbox) || !heard(news) {
		t.Error("a run that was accepted wakes the leader and the readers")
	}
	f.must(f.st.PutCommand(t.Context(), automation.Command{ID: "c", Tenant: tenant, Run: run.ID, Kind: automation.FactCancelAsked, At: start()}, act("run.cancel")))
	if !heard(inbox) {
		t.Error("a command wakes the leader")
	}
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{granted(run.ID, 0)}}))
	if !heard(news) {
		t.Error("the leader's entries wake the readers")
	}
	stopInbox()
	stopInbox()
	select { // one that came before
	case <-inbox:
	default:
	}
	f.accept()
	select {
	case <-inbox:
		t.Error("a channel that was given back received")
	default:
	}
}
