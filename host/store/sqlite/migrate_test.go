package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store/sqlite"
)

// TestSchedulesAreKept: the migration that makes the table of schedules anew keeps
// them, their claimed times and their runs, and what the policy queue meant.
func TestSchedulesAreKept(t *testing.T) {
	t.Parallel()
	path, plan := filepath.Join(t.TempDir(), "db"), strings.Repeat("a", 64)
	err := sqlite.At(t.Context(), path, 14, `
		INSERT INTO plans VALUES ('t', '`+plan+`', x'00', 0);
		INSERT INTO schedules VALUES ('one', 't', 'one', 'd', NULL, '', '1h', 'UTC', 'skip', 'queue', '', 0, 5, 5, 4, 'run-1', NULL, 1, 2, 3);
		INSERT INTO schedules VALUES ('two', 't', 'two', 'd', '{"a":1}', '0 * * * *', '', 'UTC', 'all', 'cancel', '1m', 1, NULL, NULL, NULL, '', '{"code":"limit"}', 1, 2, 7);
		INSERT INTO schedule_fires VALUES ('one', 't', 5, 'run-2', '`+plan+`', 'w', 'me', 6);
		INSERT INTO schedule_times VALUES ('one', 4, 't', 'run-1');`)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	one, err := db.Schedule(t.Context(), "t", "one")
	if err != nil || one.Overlap != automation.OverlapAllow || one.Interval != "1h" || one.LastRun != "run-1" || one.Version != 3 || !one.Next.Equal(time.UnixMicro(5)) {
		t.Errorf("got %+v, %v; want it with overlap allow", one, err)
	}
	two, err := db.Schedule(t.Context(), "t", "two")
	if err != nil || two.Overlap != automation.OverlapCancel || string(two.Inputs) != `{"a":1}` || !two.Paused || two.LastError == nil || two.Version != 7 {
		t.Errorf("got %+v, %v; want it as it was", two, err)
	}
	if fires, err := db.ClaimedFires(t.Context(), 10); err != nil || len(fires) != 1 || fires[0].Run != "run-2" {
		t.Errorf("got claimed times %+v, %v; want one", fires, err)
	}
	runs, err := db.ScheduleRuns(t.Context(), "t", "one", time.UnixMicro(0), time.UnixMicro(100), 10)
	if err != nil || len(runs) != 1 || runs[0].Run != "run-1" {
		t.Errorf("got runs %+v, %v; want one", runs, err)
	}
	act := automation.Act{Tenant: "t", By: "me", Action: "schedule.delete", At: time.UnixMicro(9)}
	if err := db.DeleteSchedule(t.Context(), "t", "one", act); err != nil {
		t.Fatal(err)
	}
	if fires, err := db.ClaimedFires(t.Context(), 10); err != nil || len(fires) != 0 {
		t.Errorf("got claimed times %+v, %v; want them gone with their schedule", fires, err)
	}
}

// TestCredentialsAreKept: the migration that makes the tables of credentials and
// assets anew keeps both, and what holds them together.
func TestCredentialsAreKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	err := sqlite.At(t.Context(), path, 18, `
		INSERT INTO credentials VALUES ('c', 't', 'key', 'ssh_key', 'root', '{"protocols":["ssh"],"assets":["*"]}', x'0001', 'k', 1, 2, 3);
		INSERT INTO assets (id, tenant, name, address, port, protocol, os, tags, vars, host_keys, credential_id, created_at, updated_at, version, queue, ssh)
			VALUES ('a', 't', 'web', '10.0.0.1', 22, 'ssh', 'linux', '["x"]', '{"n":1}', '["ssh-rsa AAAA"]', 'c', 1, 2, 4, 'dmz', '{"jump":"b"}');`)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c, err := db.CredentialByName(t.Context(), "t", "key")
	if err != nil || c.ID != "c" || c.Kind != automation.CredentialSSHKey || c.Username != "root" || string(c.Sealed) != "\x00\x01" || c.Version != 3 || c.KeyID != "k" {
		t.Errorf("got %+v, %v; want the credential as it was", c, err)
	}
	a, err := db.Asset(t.Context(), "t", "a")
	if err != nil || a.Name != "web" || a.Credential != "c" || a.Queue != "dmz" || a.SSH.Jump != "b" || a.Version != 4 || len(a.HostKeys) != 1 || a.Vars["n"] == nil || len(a.Tags) != 1 {
		t.Errorf("got %+v, %v; want the asset as it was", a, err)
	}
	act := automation.Act{Tenant: "t", By: "me", Action: "credential.delete", At: time.UnixMicro(9)}
	if err := db.DeleteCredential(t.Context(), "t", "c", act); err == nil {
		t.Error("a credential that an asset uses was deleted")
	}
}
