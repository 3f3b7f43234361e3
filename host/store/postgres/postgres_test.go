package postgres_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/postgres/privatepg"
	"opsconductor.dev/host/store/storetest"
)

// server is the PostgreSQL that the tests use: DATABASE_URL's, or one of their own.
type server struct {
	admin string // URL of a database in which databases can be made
	own   *privatepg.Cluster
}

var shared server //nolint:gochecknoglobals // one server for the test binary

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	shared.admin = os.Getenv("DATABASE_URL")
	if shared.admin == "" {
		own, err := privatepg.Start(context.Background(), settings())
		if err != nil {
			fmt.Fprintln(os.Stderr, "start PostgreSQL:", err)
			return 1
		}
		shared.own, shared.admin = own, own.URL("postgres")
	}
	code := m.Run()
	if shared.own != nil {
		if err := shared.own.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
			return 1
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// settings leaves the disk out of it, which no test can see, but for benchmarks.
func settings() privatepg.Config {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		return privatepg.Config{}
	}
	return privatepg.Config{Settings: map[string]string{"fsync": "off", "full_page_writes": "off"}}
}

// database makes a database for one test and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	name := "opsconductor_test_" + rand.Text()
	admin(t, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	t.Cleanup(func() { admin(t, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)") })
	u, err := url.Parse(shared.admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func admin(t testing.TB, statement string) {
	t.Helper()
	if err := execute(shared.admin, statement); err != nil {
		t.Fatal(err)
	}
}

// execute runs a statement on a database, past the store.
func execute(url, statement string) error {
	ctx := context.Background() // also after the test's own has ended
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

func open(t testing.TB, url string, set ...func(*postgres.Config)) *postgres.DB {
	t.Helper()
	config := postgres.Config{URL: url, MaxConns: 6}
	for _, s := range set {
		s(&config)
	}
	db, err := postgres.Open(t.Context(), config)
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

func TestStore(t *testing.T) {
	t.Parallel()
	var urls sync.Map // store → URL
	storetest.Run(t, storetest.Backend{
		TwoHours: `interval '2 hours'`,
		Open: func(t testing.TB) store.Store {
			url := database(t)
			db := open(t, url)
			urls.Store(store.Store(db), url)
			return db
		},
		Exec: func(_ testing.TB, st store.Store, statement string) error {
			url, _ := urls.Load(st)
			return execute(url.(string), statement)
		},
	})
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b testing.TB) store.Store { return open(b, database(b)) })
}
