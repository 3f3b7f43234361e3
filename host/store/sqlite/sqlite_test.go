package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"sync"
	"testing"

	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	var paths sync.Map // store → path
	storetest.Run(t, storetest.Backend{
		TwoHours: `7200000000`,
		Open: func(t testing.TB) store.Store {
			path := filepath.Join(t.TempDir(), "ops.db")
			db := open(t, path)
			paths.Store(store.Store(db), path)
			return db
		},
		Exec: func(t testing.TB, st store.Store, statement string) error {
			path, _ := paths.Load(st)
			return execute(t, path.(string), statement)
		},
	})
}

func open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// execute runs a statement on the file, past the store.
func execute(t testing.TB, path, statement string) error {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	_, err = raw.ExecContext(t.Context(), statement)
	return err
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b testing.TB) store.Store { return open(b, filepath.Join(b.TempDir(), "ops.db")) })
}
