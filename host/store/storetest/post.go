package storetest

import (
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// wholeAttempt has every field set, so that one which is not kept is missed.
func wholeAttempt(run automation.RunID, item int) automation.Attempt {
	return automation.Attempt{
		AttemptKey: automation.AttemptKey{Run: run, Step: 2, Item: item, Attempt: 3}, Tenant: tenant, Workflow: "w", StepID: "s",
		Plugin: "linux", Action: "disk", Digest: digest("plugin"), Effect: automation.EffectOnce, Input: []byte(`{"path":"/var"}`),
		Target: &automation.Target{
			ID: "a", Name: "web", Address: "10.0.0.1", Port: 22, Protocol: automation.ProtocolSSH, OS: "linux",
			Tags: []string{"x"}, Credential: "c", Vars: map[string]any{"n": float64(1)},
		},
		Timeout: time.Minute, Host: "h", HostEpoch: 1,
	}
}

func deliveries(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	for _, id := range []automation.HostID{"h", "h2"} {
		_, err := f.st.RegisterHost(ctx, automation.Host{ID: id, Name: string(id)})
		f.must(err)
	}
	epoch := f.lead("leader")
	wake, stop := f.st.Wake(store.HostTopic("h"))
	defer stop()
	others, stopOthers := f.st.Wake(store.HostTopic("h2"))
	defer stopOthers()
	drainWake(wake, others)

	run := f.accept()
	want := []store.Delivery{
		{Host: "h", Epoch: 1, Kind: store.DeliverAttempt, Attempt: wholeAttempt(run.ID, 0)},
		{Host: "h", Epoch: 1, Kind: store.DeliverCancel, Attempt: short(run.ID, 1), Error: automation.Errorf(automation.CodeCancelled, "by ann")},
		{Host: "h", Epoch: 1, Kind: store.DeliverIntent, Attempt: short(run.ID, 2)},
	}
	drainWake(wake, others)
	f.must(f.st.Append(ctx, store.Batch{Host: "leader", Epoch: epoch, Deliveries: want[:2]}))
	select {
	case <-wake:
	case <-ctx.Done():
		t.Fatal("a delivery wakes its host")
	}
	f.must(f.st.Append(ctx, store.Batch{Host: "leader", Epoch: epoch, Deliveries: append(want[2:], store.Delivery{Host: "h2", Epoch: 1, Kind: store.DeliverIntent})}))
	get := func(to store.Cursor, limit int) []store.Delivery {
		t.Helper()
		list, err := f.st.Deliveries(ctx, 0, to, limit)
		f.must(err)
		return list
	}
	got := get(store.Cursor{Host: "h", Epoch: 1}, 10)
	if len(got) != 3 || got[0].Number >= got[1].Number || got[1].Number >= got[2].Number {
		t.Fatalf("deliveries: %+v; want three in the order of their commits", got)
	}
	for i := range got {
		want[i].Number = got[i].Number
	}
	equal(t, "deliveries", got, want)
	equal(t, "the deliveries after the first", get(store.Cursor{Host: "h", Epoch: 1, Number: got[0].Number}, 1), want[1:2])
	equal(t, "deliveries to another epoch", len(get(store.Cursor{Host: "h", Epoch: 2}, 10)), 0)

	err := f.st.Append(ctx, store.Batch{Host: "leader", Epoch: epoch + 1, Deliveries: want})
	wantErr(t, "a delivery of a leader whose epoch is over", err, store.ErrFenced)
	f.must(f.st.PutReports(ctx, 0, store.Cursor{Host: "h", Epoch: 1, Number: got[1].Number}, nil))
	equal(t, "what is left after two were taken", get(store.Cursor{Host: "h", Epoch: 1}, 10), want[2:])
	f.must(f.st.ReapHost(ctx, "h2", 1, automation.HostLost))
	_, err = f.st.RegisterHost(ctx, automation.Host{ID: "h", Name: "h"})
	f.must(err)
	for _, host := range []automation.HostID{"h", "h2"} {
		equal(t, "what was delivered to an epoch that is over", len(get(store.Cursor{Host: host, Epoch: 1}, 10)), 0)
	}
}

func drainWake(list ...<-chan struct{}) {
	for _, c := range list {
		select {
		case <-c:
		default:
		}
	}
}

// short is what a report and a cancel keep of an attempt.
func short(run automation.RunID, item int) automation.Attempt {
	return automation.Attempt{AttemptKey: wholeAttempt(run, item).AttemptKey, Host: "h", HostEpoch: 1}
}

func reports(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	_, err := f.st.RegisterHost(ctx, automation.Host{ID: "h", Name: "h"})
	f.must(err)
	epoch := f.lead("leader")
	run := f.accept()
	wake, stop := f.st.Wake(store.TopicReports)
	defer stop()
	drainWake(wake)
	attempt := func(item int) automation.Attempt {
		a := short(run.ID, item)
		a.Tenant, a.StepID = tenant, "s"
		return a
	}
	outcome := &automation.Outcome{
		State: automation.ItemFailed, Output: []byte(`{"n":1}`), Error: automation.Errorf(automation.CodeTimeout, "late"),
		StartedAt: start(), EndedAt: start().Add(time.Second), Usage: automation.Usage{HostCalls: 2},
		Logs: []automation.LogLine{{At: start(), Level: "info", Message: "hello"}},
	}
	want := []store.Report{
		{Host: "h", Epoch: 1, Number: 1, Attempt: attempt(0), Command: digest("command")},
		{Host: "h", Epoch: 1, Number: 2, Attempt: attempt(0), Outcome: outcome},
		{Host: "h", Epoch: 1, Number: 3, Attempt: attempt(1), Outcome: outcome},
	}
	at := func(number int64) store.Cursor { return store.Cursor{Host: "h", Epoch: 1, Number: number} }
	f.must(f.st.PutReports(ctx, 0, at(0), want[:2]))
	select {
	case <-wake:
	case <-ctx.Done():
		t.Fatal("a report wakes the leader")
	}
	f.must(f.st.PutReports(ctx, 0, at(0), []store.Report{{Number: 2, Attempt: attempt(7), Command: "again"}, want[2]}))
	get := func(after store.Cursor, limit int) []store.Report {
		t.Helper()
		list, err := f.st.Reports(ctx, 0, []store.Cursor{{Host: "none"}, after}, limit)
		f.must(err)
		return list
	}
	equal(t, "reports", get(store.Cursor{Host: "h"}, 10), want)
	equal(t, "two reports", get(store.Cursor{Host: "h"}, 2), want[:2])
	equal(t, "the reports after the first", get(at(1), 10), want[1:])
	list, err := f.st.Reports(ctx, 1, []store.Cursor{{Host: "h"}}, 10)
	f.must(err)
	equal(t, "reports to another shard", len(list), 0)

	err = f.st.Append(ctx, store.Batch{Host: "leader", Epoch: epoch + 1, Read: []store.Cursor{at(3)}})
	wantErr(t, "reading as a leader whose epoch is over", err, store.ErrFenced)
	f.must(f.st.Append(ctx, store.Batch{Host: "leader", Epoch: epoch, Read: []store.Cursor{at(1)}}))
	equal(t, "reports after the first was read", get(store.Cursor{Host: "h"}, 10), want[1:])

	_, err = f.st.RegisterHost(ctx, automation.Host{ID: "h", Name: "h"})
	f.must(err)
	wantErr(t, "a report of an epoch that is over", f.st.PutReports(ctx, 0, at(0), []store.Report{{Number: 4, Attempt: attempt(4)}}), store.ErrFenced)
	next := store.Report{Host: "h", Epoch: 2, Number: 1, Attempt: attempt(5), Outcome: outcome}
	next.Attempt.HostEpoch = 2
	f.must(f.st.PutReports(ctx, 0, store.Cursor{Host: "h", Epoch: 2}, []store.Report{next}))
	equal(t, "the reports of both epochs", get(at(2), 10), []store.Report{want[2], next})
	f.must(f.st.Append(ctx, store.Batch{Host: "leader", Epoch: epoch, Read: []store.Cursor{{Host: "h", Epoch: 2, Number: 1}}}))
	equal(t, "reports after all were read", len(get(store.Cursor{Host: "h"}, 10)), 0)
}

// reportsBeforeTheReaper: when a host has been reaped, all that it reported before
// is there, and nothing comes after it.
func reportsBeforeTheReaper(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	for range 20 {
		h, err := f.st.RegisterHost(ctx, automation.Host{ID: "h", Name: "h"})
		f.must(err)
		begun := make(chan struct{})
		var stored int64
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := int64(1); ; n++ {
				r := store.Report{Number: n, Attempt: automation.Attempt{AttemptKey: automation.AttemptKey{Run: "r", Attempt: 1}}, Command: "c"}
				if f.st.PutReports(ctx, 0, store.Cursor{Host: "h", Epoch: h.Epoch}, []store.Report{r}) != nil {
					return
				}
				if stored = n; n == 3 {
					close(begun)
				}
			}
		})
		<-begun
		f.must(f.st.ReapHost(ctx, "h", h.Epoch, automation.HostLost))
		at, err := f.st.Reports(ctx, 0, []store.Cursor{{Host: "h", Epoch: h.Epoch}}, 1<<20)
		f.must(err)
		wg.Wait()
		if int64(len(at)) != stored {
			t.Errorf("%d reports are there when the host was reaped; %d were stored", len(at), stored)
		}
	}
}
