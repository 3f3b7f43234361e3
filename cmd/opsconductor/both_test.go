package main

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"opsconductor.dev/host/store/postgres/privatepg"
)

// cluster is the PostgreSQL server of the tests, started by the first that needs it.
var cluster struct { //nolint:gochecknoglobals // one server for the test binary
	sync.Once
	server *privatepg.Cluster
	err    error
}

// onBoth runs a test of the whole program on both stores. start starts a host on
// the test's own store; again, one that finds what the first has left.
func onBoth(t *testing.T, test func(t *testing.T, start func(args ...string) *server)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "host")
		test(t, func(args ...string) *server { return startDev(t, dir, args...) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dir, url := filepath.Join(t.TempDir(), "host"), database(t)
		test(t, func(args ...string) *server {
			return startDev(t, dir, append([]string{"--database-url", url}, args...)...)
		})
	})
}

// database makes a PostgreSQL database for a test.
func database(t *testing.T) string {
	t.Helper()
	cluster.Do(func() {
		cluster.server, cluster.err = privatepg.Start(context.Background(), privatepg.Config{Settings: map[string]string{"fsync": "off"}})
	})
	if cluster.err != nil {
		t.Fatalf("start PostgreSQL: %v", cluster.err)
	}
	url, err := cluster.server.CreateDatabase(t.Context(), "t"+strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	return url
}
