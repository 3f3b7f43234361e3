package api_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store/sqlite"
	"opsconductor.dev/host/vault"
)

// fixture is the API over the real service and the real SQLite store, served on
// loopback, with a token of each role.
type fixture struct {
	t         *testing.T
	api       *api.API
	service   *service.Service
	store     *sqlite.DB
	server    *httptest.Server
	admin     string
	submitter string
}

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

// setup serves an API; change may alter its configuration first.
func setup(t *testing.T, change func(*api.Config)) *fixture {
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
	f := &fixture{t: t, store: db, service: service.New(service.Deps{Store: db, Vault: sealed, Registry: manifestOf{}})}
	config := api.Config{Service: f.service, Version: "test"}
	if change != nil {
		change(&config)
	}
	f.api = api.New(config)
	f.server = httptest.NewUnstartedServer(f.api)
	f.server.Config = api.Server("", f.api)
	f.server.Start()
	t.Cleanup(f.server.Close)
	f.tokens()
	return f
}

func (f *fixture) tokens() {
	f.t.Helper()
	admin, err := f.service.BootstrapAdmin(f.t.Context())
	if err != nil {
		f.t.Fatalf("make the first token: %v", err)
	}
	f.admin = string(admin.Reveal())
	p, err := f.service.Authenticate(f.t.Context(), f.admin)
	if err != nil {
		f.t.Fatalf("authenticate: %v", err)
	}
	_, other, err := f.service.CreateToken(f.t.Context(), p, service.TokenRequest{Name: "tester", Role: automation.RoleSubmitter})
	if err != nil {
		f.t.Fatalf("make a token: %v", err)
	}
	f.submitter = string(other.Reveal())
}

// call is a request to the API.
type call struct {
	method, path string
	token        string // "": none
	body         string
	header       map[string]string // Content-Type is JSON for a body, unless it is set here
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) do(c call) answer {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), c.method, f.server.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		f.t.Fatalf("make a request: %v", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	res, err := f.server.Client().Do(req)
	if err != nil {
		f.t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatalf("read the answer of %s %s: %v", c.method, c.path, err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(body)}
}

// into decodes a body of JSON.
func into[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	return v
}

// Find implements service.Inspector.
func (manifestOf) Find(wasm []byte) (automation.PluginFindings, error) {
	return automation.PluginFindings{Size: len(wasm), HostFunctions: []string{}, Imports: []string{}, Actions: []string{}}, nil
}
