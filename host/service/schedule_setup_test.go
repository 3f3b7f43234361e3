package service_test

import (
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/postgres/privatepg"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/vault"
)

// scheduled is two hosts' services over one store, with one clock.
type scheduled struct {
	*testing.T
	a, b  *service.Service
	store store.Store
	clock *clock
}

// onBothStores runs tests on SQLite and on PostgreSQL.
func onBothStores(t *testing.T, tests map[string]func(*scheduled)) {
	t.Helper()
	cluster, err := privatepg.Start(t.Context(), privatepg.Config{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, test := range tests {
		t.Run(name+" on sqlite", func(t *testing.T) {
			t.Parallel()
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "db")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			test(newScheduled(t, db))
		})
		t.Run(name+" on postgres", func(t *testing.T) {
			t.Parallel()
			url, err := cluster.CreateDatabase(t.Context(), strings.NewReplacer(" ", "_", ",", "").Replace(name))
			if err != nil {
				t.Fatal(err)
			}
			db, err := postgres.Open(t.Context(), postgres.Config{URL: url, MaxConns: 6})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			test(newScheduled(t, db))
		})
	}
}

func newScheduled(t *testing.T, st store.Store) *scheduled {
	t.Helper()
	f := &scheduled{T: t, store: st, clock: &clock{now: time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)}}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	key, err := vault.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	seal, err := vault.New(key)
	if err != nil {
		t.Fatal(err)
	}
	host := func() *service.Service {
		return service.New(service.Deps{Store: st, Vault: seal, Registry: manifests{}, Now: f.clock.Now, Version: "test"})
	}
	f.a, f.b = host(), host()
	m := manifest("core", "1.0.0")
	m.Actions[0].Target, m.Actions[0].Input = false, []byte(`{"type":"object"}`)
	if _, _, err := f.a.EnsureBuiltin(t.Context(), artifact(m, "")); err != nil {
		t.Fatal(err)
	}
	return f
}

const nightly = "schema: opsconductor/v1\nname: report\nsteps: [{id: a, uses: core.act@1, with: {}}]\n"

func (f *scheduled) create(change func(*service.ScheduleRequest)) automation.Schedule {
	f.Helper()
	r := service.ScheduleRequest{Name: "nightly", Definition: nightly, Cron: "30 2 * * *", TimeZone: "Europe/Berlin"}
	if change != nil {
		change(&r)
	}
	s, created, err := f.a.CreateSchedule(f.Context(), admin(), r, "")
	if err != nil || !created {
		f.Fatalf("create: %v, created %v", err, created)
	}
	return s
}

// until sets the clock and fires what is due.
func (f *scheduled) until(text string) time.Time {
	f.Helper()
	f.clock.mu.Lock()
	f.clock.now = f.at(text)
	f.clock.mu.Unlock()
	next, err := f.a.FireDue(f.Context())
	if err != nil {
		f.Fatalf("fire at %s: %v", text, err)
	}
	return next
}

func (f *scheduled) at(text string) time.Time {
	f.Helper()
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		f.Fatal(err)
	}
	return out
}

func (f *scheduled) now() automation.Schedule {
	f.Helper()
	s, err := f.a.Schedule(f.Context(), submitter(), "nightly")
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// runs returns all runs, the oldest first.
func (f *scheduled) runs() []automation.Run {
	f.Helper()
	list, err := f.a.ListRuns(f.Context(), submitter(), service.RunQuery{}, automation.Page{Limit: 1000})
	if err != nil {
		f.Fatal(err)
	}
	out := make([]automation.Run, len(list))
	for i, r := range list {
		out[len(list)-1-i] = r
	}
	return out
}

func (f *scheduled) wantRuns(what string, want int) []automation.Run {
	f.Helper()
	got := f.runs()
	if len(got) != want {
		f.Fatalf("%s: got %d runs; want %d", what, len(got), want)
	}
	return got
}

// end ends a run as its leader does.
func (f *scheduled) end(run automation.RunID) {
	f.Helper()
	epoch, err := f.store.Lead(f.Context(), 0, "h", 0, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	err = f.store.Append(f.Context(), store.Batch{
		Host: "h", Epoch: epoch, Entries: []automation.Entry{{Run: run, Facts: []automation.Fact{{Kind: automation.FactCancelAsked, At: f.clock.Now()}}}},
		Runs: []automation.RunUpdate{{Run: run, State: automation.RunSucceeded, Ended: f.clock.Now()}},
	})
	if err != nil {
		f.Fatal(err)
	}
	if err := f.store.Resign(f.Context(), 0, "h", epoch); err != nil {
		f.Fatal(err)
	}
}
