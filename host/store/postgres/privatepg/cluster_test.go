//go:build unix

package privatepg_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/store/postgres/privatepg"
)

func TestClusterStartsServesAndIsGone(t *testing.T) {
	t.Parallel()
	cluster, err := privatepg.Start(t.Context(), privatepg.Config{Settings: map[string]string{"work_mem": "5MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	url, err := cluster.CreateDatabase(t.Context(), `odd "name"`)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "work_mem": "5MB", "listen_addresses": ""} {
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	var folder string
	if err := conn.QueryRow(t.Context(), "SHOW data_directory").Scan(&folder); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := cluster.DropDatabase(t.Context(), `odd "name"`); err != nil {
		t.Error(err)
	}
	if err := cluster.Stop(); err != nil {
		t.Error(err)
	}
	if err := cluster.Stop(); err != nil {
		t.Errorf("stopping again: %v", err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
	if _, err := pgx.Connect(t.Context(), url); err == nil {
		t.Error("it still answers")
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := privatepg.Start(t.Context(), privatepg.Config{Programs: t.TempDir()})
	if !errors.Is(err, privatepg.ErrNotInstalled) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("without programs: got %v; want the package to install", err)
	}
	_, err = privatepg.Start(t.Context(), privatepg.Config{Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("with a wrong setting: got %v; want the server's own words", err)
	}
}
