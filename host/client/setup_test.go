package client_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/client"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/vault"
)

// manifestOf stands for the registry: what it inspects is the manifest itself.
type manifestOf struct{}

func (manifestOf) Inspect(_ context.Context, wasm []byte) (automation.Manifest, error) {
	var m automation.Manifest
	if err := json.Unmarshal(wasm, &m); err != nil {
		return m, &automation.Error{Code: automation.CodeBadPlugin, Message: "not a plugin"}
	}
	return m, nil
}

// Manifest implements service.Inspector.
func (m manifestOf) Manifest(wasm []byte) (automation.Manifest, error) {
	return m.Inspect(context.Background(), wasm)
}

// Vet implements service.Inspector.
func (m manifestOf) Vet(ctx context.Context, wasm []byte) (automation.Manifest, error) {
	return m.Inspect(ctx, wasm)
}

// setup serves the real API over the real service and store, behind a middleware
// that a test may put in between, and returns clients of both roles.
func setup(t *testing.T, between func(http.Handler) http.Handler) (admin, submitter *client.Client) {
	t.Helper()
	admin, submitter, _ = setupStore(t, between)
	return admin, submitter
}

func setupStore(t *testing.T, between func(http.Handler) http.Handler) (admin, submitter *client.Client, db *sqlite.DB) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	key, err := vault.NewKey(secret)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	sealed, err := vault.New(key)
	if err != nil {
		t.Fatalf("open the vault: %v", err)
	}
	s := service.New(service.Deps{Store: db, Vault: sealed, Registry: manifestOf{}})
	var handler http.Handler = api.New(api.Config{Service: s, Version: "test"})
	if between != nil {
		handler = between(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	token, err := s.BootstrapAdmin(t.Context())
	if err != nil {
		t.Fatalf("make the first token: %v", err)
	}
	admin = connect(t, server.URL, token)
	made, err := admin.CreateToken(t.Context(), client.TokenRequest{Name: "tester", Role: automation.RoleSubmitter, TTL: time.Hour})
	if err != nil {
		t.Fatalf("make a token: %v", err)
	}
	return admin, connect(t, server.URL, made.Secret), db
}

func connect(t *testing.T, url string, token client.Secret) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: url, Token: token, Backoff: time.Millisecond, Quiet: 5 * time.Second})
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	return c
}

// Find implements service.Inspector.
func (manifestOf) Find(wasm []byte) (automation.PluginFindings, error) {
	return automation.PluginFindings{Size: len(wasm), HostFunctions: []string{}, Imports: []string{}, Actions: []string{}}, nil
}
