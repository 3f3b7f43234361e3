package app_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"opsconductor.dev/host/app"
	"opsconductor.dev/host/automation"
	"opsconductor.dev/plugins"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of a dev host in a folder of the test.
func options(t *testing.T) app.Options {
	t.Helper()
	artifacts, err := plugins.Builtin()
	if err != nil || len(artifacts) == 0 {
		t.Fatalf("there are no built-in plugins (%v): run make plugins first", err)
	}
	cfg := app.Defaults()
	cfg.ShutdownTimeout = 3 * time.Minute // a stop waits for a plugin that is being compiled, and the race detector makes that ten times as long
	cfg.Dir, cfg.Listen, cfg.LogFormat = filepath.Join(t.TempDir(), "host"), "127.0.0.1:0", "json"
	return app.Options{Config: cfg, Dev: true, Version: "test", LogTo: io.Discard}
}

func TestPartialStartCleansUp(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := options(t)
	o.Config.Listen = taken.Addr().String()
	if a, err := app.Build(t.Context(), o); err == nil {
		_ = a.Close(t.Context())
		t.Fatal("got no error for a port that is taken")
	}
	o.Config.Listen = "127.0.0.1:0" // folder, store and engine are free again
	a, err := app.Build(t.Context(), o)
	if err != nil {
		t.Fatalf("after a start that went wrong: %v", err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBuildReportsEveryWrongSetting(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Config.Slots, o.Config.LogLevel = 0, "loud"
	_, err := app.Build(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "--slots") || !strings.Contains(err.Error(), "--log-level") {
		t.Errorf("got %v, want both settings named", err)
	}
}

func TestFolderOpenToOthersIsRefused(t *testing.T) {
	t.Parallel()
	o := options(t)
	if err := os.MkdirAll(o.Config.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(o.Config.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("got %v, want a refusal that says what to do", err)
	}
}

// TestLife: ready once the scheduler has replayed, and down, with everything
// closed, when the context is done.
func TestLife(t *testing.T) {
	t.Parallel()
	o := options(t)
	a, err := app.Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	awaitReady(t, a.URL())
	if got := status(t, a.URL()+"/healthz"); got != http.StatusOK {
		t.Errorf("healthz: got %d", got)
	}
	if got := status(t, a.URL()+"/v1/runs"); got != http.StatusUnauthorized {
		t.Errorf("runs without a token: got %d, want 401", got)
	}
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("stopped with %v, want no error", err)
		}
	case <-time.After(4 * time.Minute):
		t.Fatal("it did not stop")
	}
	http.DefaultClient.CloseIdleConnections()
}

func awaitReady(t *testing.T, url string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for status(t, url+"/readyz") != http.StatusOK {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not become ready")
		}
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	code, _ := get(t, url)
	return code
}

// get returns the status and the body of an answer.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// TestIdentity: a host is the same one at its next start.
func TestIdentity(t *testing.T) {
	t.Parallel()
	o := options(t)
	var ids []string
	for range 2 {
		a, err := app.Build(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(o.Config.Dir, "host.id"))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(b))
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("got %q, then %q", ids[0], ids[1])
	}
	if err := os.WriteFile(filepath.Join(o.Config.Dir, "host.id"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := app.Build(t.Context(), o)
	var e *automation.Error
	if !errors.As(err, &e) || e.Suggestion == "" {
		t.Errorf("a broken identity: got %v, want an error that says what to do", err)
	}
}
