package postgres_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/storetest"
)

// pooled returns the URL of a database through a pooler with two connections: migrating needs them.
func pooled(t *testing.T, direct string) *url.URL {
	t.Helper()
	if shared.own == nil {
		t.Skip("DATABASE_URL is set: the pooler stands before a private cluster")
	}
	pooler, err := shared.own.StartPooler(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	through, err := url.Parse(pooler.URL(u.Path[1:]))
	if err != nil {
		t.Fatal(err)
	}
	return through
}

// TestNewsPastAPooler: behind a pooler, news comes by the direct URL.
func TestNewsPastAPooler(t *testing.T) {
	t.Parallel()
	direct := database(t)
	through := pooled(t, direct).String()
	set := func(c *postgres.Config) { c.ListenURL, c.Poll = direct, time.Hour }
	here, there := open(t, through, set), open(t, through, set)
	inbox, stop := there.Wake(store.TopicInbox)
	defer stop()
	heard := 0
	for n := 0; heard < 3 && n < 20; n++ { // the first ones may be before it listens, or that it listens
		accept(t, here, storetest.RunOn(time.Now(), n))
		late := time.NewTimer(time.Second)
		select {
		case <-inbox:
			heard++
		case <-late.C:
		}
		late.Stop()
	}
	if heard < 3 {
		t.Errorf("heard %d times of 20 runs; want each heard", heard)
	}
}

// TestAPoolerNeedsAnotherMode: without the mode that leaves nothing prepared, the
// error says what to set.
func TestAPoolerNeedsAnotherMode(t *testing.T) {
	t.Parallel()
	u := pooled(t, database(t))
	q := u.Query()
	q.Del("default_query_exec_mode")
	u.RawQuery = q.Encode()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: u.String()})
	if err == nil {
		defer func() { _ = db.Close() }()
		failed := make(chan error, 8*20)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					if _, err := db.Hosts(t.Context()); err != nil {
						failed <- err
					}
				}
			})
		}
		wg.Wait()
		close(failed)
		err = <-failed
	}
	if automation.CodeOf(err) != automation.CodeUnavailable || !strings.Contains(automation.AsError(err).Suggestion, "cache_describe") {
		t.Errorf("got %v; want unavailable, and the mode to set", err)
	}
}
