package config_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/config"
)

func valid() config.Config {
	c := config.Defaults().Dev()
	return c
}

func TestDefaultsAreValidForDev(t *testing.T) {
	t.Parallel()
	c := valid()
	if err := c.Validate(); err != nil {
		t.Fatalf("got %v, want no error", err)
	}
	if !c.Loopback() {
		t.Errorf("listens on %s, want this machine alone", c.Listen)
	}
}

func TestValidateReportsEverything(t *testing.T) {
	t.Parallel()
	c := config.Config{Listen: "nowhere", Database: "mysql://x", Direct: "x.db", Slots: 0, PerTarget: -1, PluginMemory: -1, SSHAgent: "agent.sock", SSHFirstUse: "perhaps", MaxOutput: 1, Retain: time.Hour, Sandbox: "sea", LogLevel: "loud", LogFormat: "xml"}
	err := c.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, flag := range []string{"listen", "database-url", "direct-url", "key-file", "slots", "per-target", "plugin-memory", "engine", "sandbox", "sandbox-processes", "ssh-agent", "ssh-first-use", "max-output", "retain", "shutdown-timeout", "log-level", "log-format"} {
		if !strings.Contains(err.Error(), "--"+flag+" ") {
			t.Errorf("got %q, want it to name --%s", err, flag)
		}
	}
}

func TestEnvironmentThenFlags(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"OPSCONDUCTOR_SLOTS": "7", "OPSCONDUCTOR_LISTEN": "127.0.0.1:0", "OPSCONDUCTOR_SHUTDOWN_TIMEOUT": "3s",
		"OPSCONDUCTOR_DATABASE_URL": "postgres://u:hush@h/d",
	}
	c := config.Defaults()
	if err := c.FromEnv(func(k string) (string, bool) { v, ok := env[k]; return v, ok }); err != nil {
		t.Fatal(err)
	}
	if err := c.FromFlag("slots", "9"); err != nil {
		t.Fatal(err)
	}
	if c.Slots != 9 || c.Listen != "127.0.0.1:0" || c.ShutdownTimeout != 3*time.Second || !c.Database.Postgres() {
		t.Errorf("got %+v", c)
	}
}

func TestEnvironmentReportsEverything(t *testing.T) {
	t.Parallel()
	env := map[string]string{"OPSCONDUCTOR_SLOTS": "many", "OPSCONDUCTOR_SHUTDOWN_TIMEOUT": "soon"}
	c := config.Defaults()
	err := c.FromEnv(func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	if err == nil || !strings.Contains(err.Error(), "OPSCONDUCTOR_SLOTS") || !strings.Contains(err.Error(), "OPSCONDUCTOR_SHUTDOWN_TIMEOUT") {
		t.Errorf("got %v, want both variables named", err)
	}
}

func TestPasswordStaysOutOfFlagsAndPrints(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://u:hush@h/d", "postgresql://h/d?user=u&password=hush"} {
		for _, flag := range []string{"database-url", "direct-url"} {
			c := config.Defaults()
			err := c.FromFlag(flag, dsn)
			if err == nil || strings.Contains(err.Error(), "hush") || c.Database+c.Direct != "" {
				t.Errorf("%s as --%s: got %v, want a refusal without the password", config.DSN(dsn), flag, err)
			}
		}
		for _, printed := range []string{fmt.Sprint(config.DSN(dsn)), fmt.Sprintf("%v", struct{ D config.DSN }{config.DSN(dsn)}), config.DSN(dsn).LogValue().String()} {
			if strings.Contains(printed, "hush") {
				t.Errorf("prints %s", printed)
			}
		}
	}
	c := config.Defaults()
	if err := c.FromFlag("database-url", "postgres://u@h/d"); err != nil {
		t.Errorf("without a password: got %v, want no error", err)
	}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("opened", slog.Any("database", config.DSN("postgres://u:hush@h/d")))
	if strings.Contains(b.String(), "hush") {
		t.Errorf("logs %s", b.String())
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, ":1": false, "0.0.0.0:1": false, "10.0.0.1:1": false, "x": false} {
		if got := (config.Config{Listen: addr}).Loopback(); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
}
