package postgres_test

import (
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
)

// silent makes the polls so rare that only notifications can wake.
func silent(c *postgres.Config) { c.Poll = time.Hour }

// TestNewsReachesOtherProcesses: what one process commits wakes another one's
// waiters of that topic, also after the connection that listens was cut.
func TestNewsReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	url := database(t)
	here, there := open(t, url, silent), open(t, url, silent)
	inbox, stop := there.Wake(store.TopicInbox)
	defer stop()
	entries, stop := there.Wake(store.TopicEntries)
	defer stop()
	plan := automation.Digest(strings.Repeat("a", 64))
	if err := here.PutPlan(t.Context(), automation.DefaultTenant, plan, []byte("{}"), time.Now()); err != nil {
		t.Fatal(err)
	}
	accept := func() automation.RunID {
		now := time.Now()
		run := automation.Run{ID: automation.NewID[automation.RunID](), Tenant: automation.DefaultTenant, PlanHash: plan, Created: now}
		act := automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: "run.submit", At: now}
		if _, _, err := here.Accept(t.Context(), run, act); err != nil {
			t.Fatal(err)
		}
		return run.ID
	}
	hear(t, "that the listener is there", inbox)
	drain(inbox, entries)
	run := accept()
	hear(t, "a run that another process accepted", inbox)
	hear(t, "its entry", entries)

	epoch, err := here.Lead(t.Context(), 0, "h", 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	drain(inbox, entries)
	b := store.Batch{Host: "h", Epoch: epoch, Entries: []automation.Entry{{Run: run, Facts: []automation.Fact{{Kind: automation.FactTimerFired}}}}}
	if err := here.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	hear(t, "an entry of the leader", entries)
	select {
	case <-inbox:
		t.Error("an entry of the leader woke a waiter of the inbox")
	default:
	}

	cut := `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`
	if err := execute(url, cut); err != nil {
		t.Fatal(err)
	}
	hear(t, "that news may have been lost", inbox)
	hear(t, "that it listens again", inbox)
	drain(inbox, entries)
	accept()
	hear(t, "a run, after the connection was cut", inbox)
}

// TestEachTopicReachesOtherProcesses: what is said of a topic is heard as that one.
func TestEachTopicReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	url := database(t)
	here, there := open(t, url, silent), open(t, url, silent)
	ctx, now := t.Context(), time.Now()
	epoch, err := here.Lead(ctx, 0, "leader", 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	deliver := func(host automation.HostID) error {
		to := store.Delivery{Host: host, Epoch: 1, Kind: store.DeliverIntent}
		return here.Append(ctx, store.Batch{Host: "leader", Epoch: epoch, Deliveries: []store.Delivery{to}})
	}
	news := []struct {
		topic store.Topic
		make  func() error
	}{
		{store.TopicHosts, func() error { _, err := here.RegisterHost(ctx, automation.Host{ID: "h", Name: "h"}); return err }},
		{store.HostTopic("h"), func() error { return deliver("h") }},
		{store.TopicReports, func() error {
			return here.PutReports(ctx, 0, store.Cursor{Host: "h", Epoch: 1}, []store.Report{{Number: 1, Command: "c"}})
		}},
		{store.TopicSettings, func() error {
			w := automation.Window{ID: "w", Tenant: automation.DefaultTenant, Name: "w", Created: now, Updated: now}
			act := automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: "window.create", At: now}
			_, _, err := here.CreateWindow(ctx, w, act)
			return err
		}},
		{store.TopicQuestions, func() error {
			return here.Ask(ctx, store.Question{ID: "q", Tenant: automation.DefaultTenant, Run: "r", At: now})
		}},
	}
	heard := make([]<-chan struct{}, len(news))
	for i, n := range news {
		c, stop := there.Wake(n.topic)
		defer stop()
		heard[i] = c
	}
	listens(t, there, deliver)
	for i, n := range news {
		drain(heard...)
		if err := n.make(); err != nil {
			t.Fatalf("news of %s: %v", n.topic, err)
		}
		hear(t, "news of "+string(n.topic), heard[i])
		told(there)
		for j, c := range heard {
			if len(c) > 0 {
				t.Errorf("news of %s woke a waiter of %s", n.topic, news[j].topic)
			}
		}
	}
}

// listens waits until a store hears what other processes tell, and has heard all
// that they told before: once one of two topics alone has news, it was no call to
// look at all of them.
func listens(t *testing.T, db *postgres.DB, deliver func(automation.HostID) error) {
	t.Helper()
	first, stop := db.Wake(store.HostTopic("first"))
	defer stop()
	second, stop := db.Wake(store.HostTopic("second"))
	defer stop()
	for all := true; all; all = len(second) > 0 {
		drain(first, second)
		if err := deliver("first"); err != nil {
			t.Fatal(err)
		}
		hear(t, "that the listener is there", first)
		told(db)
	}
}

// told returns when a signal that is under way has reached all of its waiters.
func told(db *postgres.DB) {
	_, stop := db.Wake(store.TopicAll)
	stop()
}

// TestPollWakes: without any news, everyone is asked to look now and then.
func TestPollWakes(t *testing.T) {
	t.Parallel()
	db := open(t, database(t), func(c *postgres.Config) { c.Poll = 20 * time.Millisecond })
	inbox, stop := db.Wake(store.TopicInbox)
	defer stop()
	for range 3 {
		hear(t, "a hint to look", inbox)
	}
}

func hear(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	select {
	case <-c:
	case <-late.C:
		t.Fatalf("not heard: %s", what)
	}
}

func drain(channels ...<-chan struct{}) {
	for _, c := range channels {
		select {
		case <-c:
		default:
		}
	}
}
