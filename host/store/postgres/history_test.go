package postgres_test

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/store/storetest"
)

// histories is how many random histories TestHistories compares; more of them
// for a longer look.
var histories = flag.Uint64("histories", 4, "how many random histories to compare")

// TestHistories: the same random history leaves the same in both stores, and
// each of its acts has the same outcome.
func TestHistories(t *testing.T) {
	t.Parallel()
	for seed := range *histories {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			lite, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ops.db")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = lite.Close() })
			want, err := storetest.History(t.Context(), lite, seed, 400)
			if err != nil {
				t.Fatalf("seed %d on SQLite: %v", seed, err)
			}
			got, err := storetest.History(t.Context(), open(t, database(t)), seed, 400)
			if err != nil {
				t.Fatalf("seed %d on PostgreSQL: %v", seed, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("seed %d (-SQLite +PostgreSQL):\n%s", seed, diff)
			}
		})
	}
}
