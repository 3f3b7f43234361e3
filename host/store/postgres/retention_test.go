package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/storetest"
)

// TestSweepGivesWayToAnOldTransaction: while somebody holds a snapshot of the runs,
// a sweep gives up soon and nobody's commit waits for it; when they let go, it works.
func TestSweepGivesWayToAnOldTransaction(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, url)
	now := time.Now()
	accept(t, db, storetest.RunOn(now, 1))
	epoch, err := db.Lead(t.Context(), 0, "h", 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	end(t, db, epoch, storetest.RunOn(now, 1))
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	old, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	seen := func() (n int) {
		if err := old.QueryRow(t.Context(), `SELECT count(*) FROM runs JOIN entries ON run_id = id`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := seen(); got != 1 {
		t.Fatalf("the old transaction sees %d entries; want 1", got)
	}
	sweep := store.Sweep{Now: now.AddDate(0, 0, 40), Before: now.AddDate(0, 0, 10)}
	began := time.Now()
	swept := make(chan store.Swept, 1)
	go func() {
		done, err := db.Sweep(t.Context(), sweep)
		if err != nil {
			t.Errorf("sweep: %v", err)
		}
		swept <- done
	}()
	var done store.Swept
	var slowest time.Duration
	for n, over := 2, false; !over; n++ {
		before := time.Now()
		accept(t, db, storetest.RunOn(now.AddDate(0, 0, 2), n))
		slowest = max(slowest, time.Since(before))
		select {
		case done = <-swept:
			over = true
		default:
		}
	}
	if took := time.Since(began); !done.PutOff || done.Runs != 0 || took > 5*time.Second {
		t.Errorf("beside an old transaction: %+v after %s; want it put off soon", done, took)
	}
	if slowest > time.Second {
		t.Errorf("a commit waited for %s", slowest)
	}
	if got := seen(); got != 1 {
		t.Errorf("the old transaction sees %d entries; want what it saw", got)
	}
	if err := old.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	done, err = db.Sweep(t.Context(), sweep)
	if err != nil || done.PutOff || done.Runs != 1 {
		t.Errorf("after the old transaction: %+v, %v; want its run removed", done, err)
	}
}

// TestRunsWithoutAPartition: a run of a day that has no partition is stored, told
// of, and moved when its day gets one.
func TestRunsWithoutAPartition(t *testing.T) {
	t.Parallel()
	db := open(t, database(t))
	now := time.Now()
	run := storetest.RunOn(now.AddDate(0, 0, 30), 1)
	accept(t, db, run)
	for _, c := range []struct {
		day  int
		want int64
	}{{0, 1}, {20, 1}, {25, 0}, {25, 0}} {
		done, err := db.Sweep(t.Context(), store.Sweep{Now: now.AddDate(0, 0, c.day)})
		if err != nil || done.Misplaced != c.want || done.PutOff {
			t.Errorf("on day %d: %+v, %v; want %d misplaced", c.day, done, err, c.want)
		}
	}
	entries, err := db.RunEntries(t.Context(), automation.DefaultTenant, run, 0, 10)
	if err != nil || len(entries) != 1 {
		t.Errorf("got %d entries of the run, %v; want the one that it had", len(entries), err)
	}
}

func accept(t *testing.T, db *postgres.DB, id automation.RunID) {
	t.Helper()
	at := time.Now()
	plan := automation.Digest("0000000000000000000000000000000000000000000000000000000000000000")
	if err := db.PutPlan(t.Context(), automation.DefaultTenant, plan, []byte("{}"), at); err != nil {
		t.Fatal(err)
	}
	run := automation.Run{ID: id, Tenant: automation.DefaultTenant, Workflow: "w", PlanHash: plan, By: "ann", Created: at}
	act := automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: "run.submit", At: at}
	if _, _, err := db.Accept(t.Context(), run, act); err != nil {
		t.Fatal(err)
	}
}

func end(t *testing.T, db *postgres.DB, epoch int64, id automation.RunID) {
	t.Helper()
	err := db.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Runs: []automation.RunUpdate{{Run: id, State: automation.RunFailed, Ended: time.Now()}}})
	if err != nil {
		t.Fatal(err)
	}
}
