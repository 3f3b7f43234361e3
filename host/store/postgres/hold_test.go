package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
)

// TestReaperWaitsForTheHostsCommit: who raises a host's epoch waits for a commit
// of the host that has passed the fence, so that its reports are there after it.
func TestReaperWaitsForTheHostsCommit(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, url)
	if _, err := db.RegisterHost(t.Context(), automation.Host{ID: "h", Name: "h"}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT hold_host('h', 1)`); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan error, 1)
	go func() { reaped <- db.ReapHost(t.Context(), "h", 1, automation.HostLost) }()
	// In the transaction the first answer would be every answer.
	watcher, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watcher.Close(t.Context()) }()
	waits := func() (n int) {
		err := watcher.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE hosts%' AND datname = current_database()`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for waits() == 0 {
		select {
		case err := <-reaped:
			t.Fatalf("the reaper did not wait: %v", err)
		case <-look.C:
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-reaped; err != nil {
		t.Error(err)
	}
}
