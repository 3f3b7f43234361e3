package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func leadership(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	lead := func(host automation.HostID, epoch int64, ttl time.Duration) (int64, error) {
		return f.st.Lead(ctx, 0, host, epoch, ttl)
	}
	one, err := lead("h1", 0, time.Hour)
	f.must(err)
	equal(t, "the first epoch", one, int64(1))
	again, err := lead("h1", one, time.Hour)
	f.must(err)
	equal(t, "the epoch of a renewal", again, one)
	_, err = lead("h2", 0, time.Hour)
	wantErr(t, "somebody else leads", err, store.ErrFenced)
	_, err = lead("h2", one, time.Hour)
	wantErr(t, "somebody else leads at this epoch", err, store.ErrFenced)
	restarted, err := lead("h1", 0, time.Hour)
	f.must(err)
	equal(t, "the epoch of a host that comes back", restarted, one+1)

	f.must(f.st.Resign(ctx, 0, "h1", one)) // over: changes nothing
	_, err = lead("h2", 0, time.Hour)
	wantErr(t, "after an old resignation", err, store.ErrFenced)
	f.must(f.st.Resign(ctx, 0, "h1", restarted))
	two, err := lead("h2", 0, time.Millisecond)
	f.must(err)
	equal(t, "the epoch after a resignation", two, restarted+1)
	var three int64
	eventually(t, "a lead that runs out", func() bool {
		var err error
		three, err = lead("h3", 0, time.Hour)
		return err == nil
	})
	equal(t, "the epoch after a lead that ran out", three, two+1)
	_, err = lead("h2", two, time.Hour)
	wantErr(t, "a renewal that comes too late", err, store.ErrFenced)
	fresh, err := f.st.Lead(ctx, 9, "h2", 0, time.Hour)
	f.must(err)
	equal(t, "the first epoch of another shard", fresh, int64(1))

	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := f.st.Lead(ctx, 10, automation.HostID(rune('a'+i)), 0, time.Hour); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	equal(t, "how many of eight lead", won.Load(), int64(1))
}

// laterFormat: a host does not lead where a leader wrote facts of a later format, and
// takes nothing from the one that leads.
func laterFormat(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	epoch, err := f.st.Lead(ctx, 0, "h1", 0, time.Hour)
	f.must(err)
	f.must(b.Exec(t, f.st, fmt.Sprintf(`UPDATE shards SET facts_format = %d WHERE shard = 0`, automation.FactsFormat+1)))
	for _, host := range []automation.HostID{"h1", "h2"} {
		_, err = f.st.Lead(ctx, 0, host, epoch, time.Hour)
		wantErr(t, "lead with an earlier format", err, store.ErrOutdated)
	}
	f.must(b.Exec(t, f.st, fmt.Sprintf(`UPDATE shards SET facts_format = %d WHERE shard = 0`, automation.FactsFormat)))
	again, err := f.st.Lead(ctx, 0, "h1", epoch, time.Hour)
	f.must(err)
	equal(t, "the epoch after all that", again, epoch)
}

func hosts(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	before := time.Now().Add(-time.Minute)
	h, err := f.st.RegisterHost(ctx, automation.Host{ID: "h2", Name: "b", Version: "v1", Slots: 8})
	f.must(err)
	if h.Epoch != 1 || h.Heartbeat.Before(before) || h.Heartbeat.After(time.Now().Add(time.Minute)) {
		t.Errorf("a new host: %+v", h)
	}
	_, err = f.st.RegisterHost(ctx, automation.Host{ID: "h1", Name: "a", Slots: 1})
	f.must(err)
	h, err = f.st.RegisterHost(ctx, automation.Host{ID: "h2", Name: "c", Version: "v2", Slots: 9})
	f.must(err)
	if h.Epoch != 2 || h.Name != "c" || h.Version != "v2" || h.Slots != 9 {
		t.Errorf("a host that comes back: %+v", h)
	}
	f.must(f.st.Heartbeat(ctx, "h2", 2, automation.Beat{State: automation.HostLive}))
	wantErr(t, "a heartbeat of the last epoch", f.st.Heartbeat(ctx, "h2", 1, automation.Beat{State: automation.HostLive}), store.ErrFenced)
	wantErr(t, "a heartbeat of nobody", f.st.Heartbeat(ctx, "h9", 1, automation.Beat{State: automation.HostLive}), store.ErrFenced)
	wantErr(t, "reaping at an old epoch", f.st.ReapHost(ctx, "h2", 1, automation.HostLost), store.ErrFenced)
	f.must(f.st.ReapHost(ctx, "h2", 2, automation.HostLost))
	wantErr(t, "reaping twice", f.st.ReapHost(ctx, "h2", 2, automation.HostLost), store.ErrFenced)
	wantErr(t, "a heartbeat of a host that was reaped", f.st.Heartbeat(ctx, "h2", 2, automation.Beat{State: automation.HostLive}), store.ErrFenced)
	all, err := f.st.Hosts(ctx)
	f.must(err)
	if len(all) != 2 || all[0].ID != "h1" || all[1].ID != "h2" || all[1].Epoch != 3 || all[1].Name != "c" {
		t.Errorf("hosts: %+v", all)
	}
	if all[1].State != automation.HostLost || all[1].Leads || all[1].Age < 0 || all[1].Age > time.Minute {
		t.Errorf("the host that was reaped: %+v", all[1])
	}
	h, err = f.st.RegisterHost(ctx, automation.Host{ID: "h1", Name: "a", Queues: []string{"default", "dmz"}})
	f.must(err)
	equal(t, "the queues of a host", h.Queues, []string{"default", "dmz"})
	f.lead("h1")
	f.must(f.st.Heartbeat(ctx, "h1", h.Epoch, automation.Beat{State: automation.HostDraining, AtWork: 7}))
	all, err = f.st.Hosts(ctx)
	f.must(err)
	if got := all[0]; !got.Leads || got.State != automation.HostDraining || got.AtWork != 7 || !got.Serves("dmz") {
		t.Errorf("the host that leads and drains: %+v", got)
	}
	f.must(f.st.ReapHost(ctx, "h1", h.Epoch, automation.HostStopped))
	h, err = f.st.RegisterHost(ctx, automation.Host{ID: "h1", Name: "a"})
	f.must(err)
	if h.State != automation.HostLive || h.AtWork != 0 {
		t.Errorf("a host that comes back: %+v", h)
	}
	beat := all[1].Heartbeat
	eventually(t, "a later heartbeat", func() bool {
		f.must(f.st.Heartbeat(ctx, "h2", 3, automation.Beat{State: automation.HostLive}))
		all, err := f.st.Hosts(ctx)
		f.must(err)
		return all[1].Heartbeat.After(beat)
	})
}
