package postgres_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/postgres/privatepg"
)

// TestServerGone: when the server ends, calls fail with unavailable, and no
// goroutine or call hangs.
func TestServerGone(t *testing.T) {
	t.Parallel()
	cluster, err := privatepg.Start(t.Context(), privatepg.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	db := open(t, cluster.URL("postgres"))
	if _, err := db.RegisterHost(t.Context(), automation.Host{ID: "h"}); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 10 { // connections of the pool first, then new ones
		err := db.Heartbeat(t.Context(), "h", 1, automation.Beat{State: automation.HostLive})
		if automation.CodeOf(err) != automation.CodeUnavailable {
			t.Errorf("without a server: got %v; want unavailable", err)
		}
	}
	if err := db.Heartbeat(t.Context(), "h", 1, automation.Beat{State: automation.HostLive}); !automation.Retryable(err) {
		t.Errorf("a connection that was refused: got %v; want an error that says try again", err)
	}
}

// TestOpenSaysWhatIsWrong: each wrong URL has its own error, and none of them
// shows the password, whichever way it is printed.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	const password = "s3cret-pass" //nolint:gosec // a password of nothing
	for name, tt := range map[string]struct {
		url  string
		code automation.Code
	}{
		"nobody listens":  {"postgres://u:" + password + "@" + closedPort + "/db", automation.CodeUnavailable},
		"no such socket":  {"postgres://u:" + password + "@/db?host=" + t.TempDir(), automation.CodeUnavailable},
		"a wrong escape":  {"postgres://u:" + password + "%zz@" + closedPort + "/db", automation.CodeInvalid},
		"a wrong port":    {"postgres://u:" + password + "@localhost:port/db", automation.CodeInvalid},
		"a wrong setting": {"host=localhost password=" + password + " sslmode=perhaps", automation.CodeInvalid},
		"no such database": {
			strings.Replace(shared.admin, "/postgres", "/no_such_database", 1), automation.CodeUnavailable,
		},
	} {
		db, err := postgres.Open(t.Context(), postgres.Config{URL: tt.url})
		if err == nil {
			_ = db.Close()
		}
		if automation.CodeOf(err) != tt.code {
			t.Errorf("%s: got %v; want code %s", name, err, tt.code)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, password) {
				t.Errorf("%s: the error shows the password: %s", name, text)
			}
		}
	}
}

// TestOpenTogether: processes that start at the same time on an empty database
// make its schema once.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	url := database(t)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			if err := db.Ping(t.Context()); err != nil {
				t.Errorf("ping: %v", err)
			}
			if err := db.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
}

// TestMigrationsAreHeld: a database of another text or of a newer version is refused.
func TestMigrationsAreHeld(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"another text":    `UPDATE migrations SET hash = 'x' WHERE number = 1`,
		"a newer version": `INSERT INTO migrations VALUES (1000, 'later', 'x', now())`,
	} {
		url := database(t)
		if err := open(t, url).Close(); err != nil {
			t.Fatal(err)
		}
		if err := open(t, url).Close(); err != nil { // again: nothing to do
			t.Fatal(err)
		}
		if err := execute(url, tamper); err != nil {
			t.Fatal(err)
		}
		if _, err := postgres.Open(t.Context(), postgres.Config{URL: url}); automation.CodeOf(err) != automation.CodeUnavailable {
			t.Errorf("%s: got %v; want it refused", name, err)
		}
	}
}

// TestCommitsAreDurable: a server whose default is to lose commits is overruled.
func TestCommitsAreDurable(t *testing.T) {
	t.Parallel()
	url := database(t)
	name := url[strings.LastIndex(url, "/opsconductor_test_")+1:]
	name, _, _ = strings.Cut(name, "?")
	if err := execute(url, fmt.Sprintf(`ALTER DATABASE %q SET synchronous_commit = off`, name)); err != nil {
		t.Fatal(err)
	}
	db := open(t, url)
	got, err := postgres.Setting(t.Context(), db, "synchronous_commit")
	if err != nil || got != "on" {
		t.Errorf("synchronous_commit is %q, %v; want on", got, err)
	}
}

// TestZeroBytesAreRefused: PostgreSQL has no zero byte in a text; the error says so.
func TestZeroBytesAreRefused(t *testing.T) {
	t.Parallel()
	db := open(t, database(t))
	a := automation.Asset{ID: "a", Tenant: automation.DefaultTenant, Name: "a\x00b", Protocol: automation.ProtocolNone, Created: time.Now(), Updated: time.Now()}
	act := automation.Act{Tenant: automation.DefaultTenant, By: "ann", Action: "asset.create", At: time.Now()}
	if _, _, err := db.CreateAsset(t.Context(), a, act); automation.CodeOf(err) != automation.CodeInvalid {
		t.Errorf("got %v; want invalid", err)
	}
}
