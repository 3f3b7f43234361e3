//go:build unix

package privatepg_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/store/postgres/privatepg"
)

// TestLookAndHold: what is written is seen, by table and in the log, partitions
// under their table; and a held transaction keeps rows that were deleted.
func TestLookAndHold(t *testing.T) {
	t.Parallel()
	cluster, err := privatepg.Start(t.Context(), privatepg.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	url := cluster.URL("postgres")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the cluster goes with it
	do := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TABLE plain (n int); CREATE TABLE days (n int) PARTITION BY RANGE (n); CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (1000000)")
	before, err := privatepg.Look(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	do("INSERT INTO plain SELECT generate_series(1, 1000); INSERT INTO days SELECT generate_series(1, 1000)")
	after, err := privatepg.Look(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if after.WAL <= before.WAL || !strings.Contains(after.Version, ".") && after.Version == "" {
		t.Errorf("got %+v after %+v; want more in the log, and a version", after, before)
	}
	for _, name := range []string{"plain", "days"} {
		if after.Tables[name] <= before.Tables[name] {
			t.Errorf("%s: got %d bytes after %d", name, after.Tables[name], before.Tables[name])
		}
	}
	if _, apart := after.Tables["days_1"]; apart {
		t.Error("a partition is counted apart from its table")
	}
	release, err := privatepg.Hold(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	do("DELETE FROM plain")
	do("VACUUM plain")
	beside, drop, err := privatepg.Beside(t.Context(), url, "other")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := privatepg.Look(t.Context(), beside); err != nil || len(other.Tables) != 0 {
		t.Errorf("the other database has %v, %v; want no table", other.Tables, err)
	}
	if err := drop(); err != nil {
		t.Error(err)
	}
	if _, err := privatepg.Look(t.Context(), beside); err == nil {
		t.Error("the other database is still there")
	}
	held, err := privatepg.Look(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	do("VACUUM plain")
	free, err := privatepg.Look(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if held.Tables["plain"] < after.Tables["plain"] || free.Tables["plain"] >= held.Tables["plain"] {
		t.Errorf("got %d bytes with the transaction and %d without; want what was deleted kept while it is open", held.Tables["plain"], free.Tables["plain"])
	}
}
