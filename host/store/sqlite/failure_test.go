package sqlite_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store/sqlite"
)

// holdEnv makes TestMain open the file that it names, say so, and wait.
const holdEnv = "OPSCONDUCTOR_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdEnv); path != "" {
		os.Exit(hold(path))
	}
	goleak.VerifyTestMain(m)
}

// hold is another process that has a database open until it is killed.
func hold(path string) int {
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	if _, err := db.RegisterHost(context.Background(), automation.Host{ID: "h"}); err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	os.Stdout.WriteString("open\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// TestSecondProcessIsRefused: while a process has the file, another is told
// which one; when it is killed (-9), the lock is free and its commits are there.
func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ops.db")
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), holdEnv+"="+path)
	other.Stderr = os.Stderr
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "open\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	_, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if automation.CodeOf(err) != automation.CodeUnavailable || !strings.Contains(err.Error(), "process "+strconv.Itoa(other.Process.Pid)) {
		t.Errorf("while another process has it: got %v; want unavailable, naming process %d", err, other.Process.Pid)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	hosts, err := open(t, path).Hosts(t.Context())
	if err != nil || len(hosts) != 1 {
		t.Errorf("after the other process was killed: hosts %v, %v; want the one that it registered", hosts, err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text := filepath.Join(folder, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path string
		code automation.Code
		says string
	}{
		"nothing":     {"", automation.CodeInvalid, "path"},
		"a text file": {text, automation.CodeUnavailable, "not a SQLite database"},
		"a folder":    {folder, automation.CodeUnavailable, folder},
		"below a file": {
			filepath.Join(text, "ops.db"), automation.CodeUnavailable, "ops.db",
		},
	} {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: tt.path})
		if err == nil {
			_ = db.Close()
		}
		if automation.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v; want code %s and %q", name, err, tt.code, tt.says)
		}
	}
}

// TestPathIsNoSetting: no character of a path is taken for a part of the URI.
func TestPathIsNoSetting(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"a b.db", "a?mode=memory", "a#b", "a%20b", "a%zz", "ü&x=1"} {
		path := filepath.Join(folder, "sub "+name, name)
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Errorf("%s: the file is not there: %v", name, err)
			continue
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: its mode is %v; want 0600", name, info.Mode())
		}
	}
}

func TestMigrationsAreHeld(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"another text":    `UPDATE migrations SET hash = 'x' WHERE number = 1`,
		"a newer version": `INSERT INTO migrations VALUES (1000, 'later', 'x', 0)`,
	} {
		path := filepath.Join(t.TempDir(), "ops.db")
		for range 2 { // the second time there is nothing to do
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := execute(t, path, tamper); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}); automation.CodeOf(err) != automation.CodeUnavailable {
			t.Errorf("%s: got %v; want it refused", name, err)
		}
	}
}

// TestSettingsHold: what the promises rest on is really set, on the connection
// that writes and on those that read.
func TestSettingsHold(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "ops.db"))
	for name, want := range map[string][2]string{
		"journal_mode": {"wal", "wal"}, "synchronous": {"2", "2"}, "foreign_keys": {"1", "1"}, "query_only": {"0", "1"},
		"busy_timeout": {"5000", "5000"},
	} {
		writer, reader, err := sqlite.Setting(t.Context(), db, name)
		if err != nil || writer != want[0] || reader != want[1] {
			t.Errorf("%s is %s for the writer and %s for readers, %v; want %v", name, writer, reader, err, want)
		}
	}
}

// TestFullDisk: what finds no room fails with unavailable, as a whole, and once
// there is room the store goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "ops.db"))
	if err := sqlite.LimitPages(t.Context(), db, 80); err != nil {
		t.Fatal(err)
	}
	put := func(size int) error {
		return db.PutPlan(t.Context(), automation.DefaultTenant, automation.Digest(strings.Repeat("a", 64)), make([]byte, size), time.Now())
	}
	err := put(1 << 20)
	if automation.CodeOf(err) != automation.CodeUnavailable || !automation.Retryable(err) {
		t.Errorf("on a full disk: got %v; want unavailable, to be tried again", err)
	}
	if _, err := db.Plan(t.Context(), automation.DefaultTenant, automation.Digest(strings.Repeat("a", 64))); automation.CodeOf(err) != automation.CodeNotFound {
		t.Errorf("what found no room is there: %v", err)
	}
	if err := sqlite.LimitPages(t.Context(), db, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := put(1 << 20); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
