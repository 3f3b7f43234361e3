package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a service over a real SQLite store and a real vault.
type fixture struct {
	*service.Service
	store *sqlite.DB
	vault *vault.Vault
	clock *clock
	path  string // of the database
}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func setup(t testing.TB) *fixture {
	t.Helper()
	dir := t.TempDir()
	key, err := vault.CreateKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "db.sqlite")
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	c := &clock{now: time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)}
	return &fixture{
		Service: service.New(service.Deps{Store: db, Vault: v, Registry: manifests{}, Now: c.Now, Version: "test"}),
		store:   db, vault: v, clock: c, path: path,
	}
}

// manifests inspects artifacts that are a manifest in JSON and nothing else:
// what the service does with an artifact does not depend on its bytes.
type manifests struct{}

func (manifests) Inspect(_ context.Context, wasm []byte) (automation.Manifest, error) {
	var m automation.Manifest
	if err := json.Unmarshal(wasm, &m); err != nil {
		return m, &automation.Error{Code: automation.CodeBadPlugin, Message: "not a plugin"}
	}
	return m, nil
}

// Manifest implements service.Inspector.
func (m manifests) Manifest(wasm []byte) (automation.Manifest, error) {
	return m.Inspect(context.Background(), wasm)
}

// Find implements service.Inspector.
func (manifests) Find(wasm []byte) (automation.PluginFindings, error) {
	return automation.PluginFindings{Size: len(wasm)}, nil
}

// Vet implements service.Inspector.
func (m manifests) Vet(ctx context.Context, wasm []byte) (automation.Manifest, error) {
	return m.Inspect(ctx, wasm)
}

func principal(role automation.Role) automation.Principal {
	return automation.Principal{Tenant: automation.DefaultTenant, Name: "test " + string(role), Role: role, Token: automation.NewID[automation.TokenID]()}
}

func admin() automation.Principal { return principal(automation.RoleAdmin) }

// wantCode checks an error's code, and that it is one of the two types that
// every use case promises.
func wantCode(t testing.TB, err error, want automation.Code) {
	t.Helper()
	if got := automation.CodeOf(err); got != want {
		t.Errorf("got code %q (%v); want %q", got, err, want)
	}
	wantOurs(t, err)
}

func wantOurs(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	switch err.(type) { //nolint:errorlint // the type itself is what is promised
	case *automation.Error, automation.Errors:
	default:
		t.Errorf("got an error of type %T; want *automation.Error or automation.Errors", err)
	}
}

// wantPlaces checks the pointers of the problems that a request has, all at once.
func wantPlaces(t testing.TB, err error, want ...string) {
	t.Helper()
	wantOurs(t, err)
	var got []string
	var many automation.Errors
	var single *automation.Error
	switch {
	case errors.As(err, &many):
		for _, e := range many {
			got = append(got, e.Pointer)
		}
	case errors.As(err, &single):
		got = []string{single.Pointer}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got problems at %q (%v); want %q", got, err, want)
	}
}

// lastAudit returns the newest audit entry.
func (f *fixture) lastAudit(t testing.TB) automation.AuditEntry {
	t.Helper()
	list, err := f.store.Audit(t.Context(), automation.DefaultTenant, 0, 1000)
	if err != nil || len(list) == 0 {
		t.Fatalf("got %d audit entries, %v; want some", len(list), err)
	}
	return list[len(list)-1]
}
