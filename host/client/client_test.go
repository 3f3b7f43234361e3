package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/client"
)

var web = client.AssetRequest{Name: "web-1", Address: "10.0.0.1", Protocol: "ssh", OS: "linux", Tags: []string{"web"}}

func TestEveryNounThroughTheRealServer(t *testing.T) {
	t.Parallel()
	admin, submitter := setup(t, nil)
	ctx := t.Context()
	secret := client.NewSecret([]byte("hunter2"))
	cred, err := admin.CreateCredential(ctx, client.CredentialRequest{
		Name: "root", Kind: automation.CredentialPassword, Username: "root", Password: secret,
		Scope: client.CredentialScope{Protocols: []client.Protocol{"ssh"}, Tags: []string{"web"}},
	}, "")
	if err != nil {
		t.Fatalf("create a credential: %v", err)
	}
	r := web
	r.Credential = "root"
	asset, err := admin.CreateAsset(ctx, r, "")
	if err != nil || asset.Credential != cred.ID {
		t.Fatalf("create an asset: got %+v, %v", asset, err)
	}
	r.Port = 2222
	if asset, err = admin.UpdateAsset(ctx, "web-1", r, asset.Version); err != nil || asset.Port != 2222 || asset.Version != 2 {
		t.Errorf("update an asset: got %+v, %v", asset, err)
	}
	var status *client.StatusError
	if _, err = admin.UpdateAsset(ctx, "web-1", r, 1); !errors.As(err, &status) || status.Status != 412 || client.CodeOf(err) != client.CodeConflict {
		t.Errorf("update from an old version: got %v, want 412", err)
	}
	if cred, err = admin.UpdateCredential(ctx, "root", client.CredentialRequest{Username: "admin"}, 0); err != nil || cred.Username != "admin" {
		t.Errorf("update a credential: got %+v, %v", cred, err)
	}
	if _, err = submitter.CreateAsset(ctx, web, ""); client.CodeOf(err) != client.CodeForbidden || !errors.As(err, &status) || status.RequestID == "" {
		t.Errorf("a submitter's creation: got %v, want forbidden with a request id", err)
	}
	list, err := submitter.Assets(ctx, client.Page{Limit: 10})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("list assets: got %+v, %v", list, err)
	}
	if err := admin.DeleteAsset(ctx, "web-1", 2); err != nil {
		t.Errorf("delete an asset: %v", err)
	}
	if _, err := admin.Asset(ctx, "web-1"); client.CodeOf(err) != client.CodeNotFound {
		t.Errorf("read it then: got %v, want not_found", err)
	}
	if err := admin.DeleteCredential(ctx, "root", 0); err != nil {
		t.Errorf("delete a credential: %v", err)
	}
}

func TestPluginsTokensAndTheRest(t *testing.T) {
	t.Parallel()
	admin, submitter := setup(t, nil)
	ctx := t.Context()
	p, err := admin.UploadPlugin(ctx, []byte(`{"abi":1,"name":"net","version":"1.0.0","host_functions":[{"name":"probe_tcp","why":"w"}]}`))
	if err != nil {
		t.Fatalf("upload: %v", err)
	}
	if p, err = admin.ActivatePlugin(ctx, p.Digest, []client.Grant{{Function: "probe_tcp", Addresses: []string{"*"}}}, p.RowNumber); err != nil || p.State != automation.PluginActive {
		t.Errorf("activate: got %+v, %v", p, err)
	}
	if p, err = submitter.Plugin(ctx, "net@1.0.0"); err != nil || p.Name != "net" {
		t.Errorf("by name: got %+v, %v", p, err)
	}
	if p, err = admin.DisablePlugin(ctx, p.Digest, 0); err != nil || p.State != automation.PluginDisabled {
		t.Errorf("disable: got %+v, %v", p, err)
	}
	tokens, err := admin.Tokens(ctx, client.Page{})
	if err != nil || len(tokens.Items) != 2 {
		t.Fatalf("tokens: got %+v, %v", tokens, err)
	}
	if err := admin.RevokeToken(ctx, tokens.Items[1].ID); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if _, err := submitter.Plugins(ctx); client.CodeOf(err) != client.CodeUnauthenticated {
		t.Errorf("a revoked token: got %v, want unauthenticated", err)
	}
	audit := 0
	for _, err := range client.All(func(page client.Page) (client.List[client.AuditEntry], error) {
		page.Limit = 2
		return admin.Audit(ctx, page)
	}) {
		if err != nil {
			t.Fatalf("audit: %v", err)
		}
		audit++
	}
	if audit < 5 {
		t.Errorf("got %d audit entries, want all of them", audit)
	}
	if v, err := admin.Version(ctx); err != nil || v.Version != "test" {
		t.Errorf("version: got %+v, %v", v, err)
	}
	if err := errors.Join(admin.Ready(ctx), admin.Healthy(ctx)); err != nil {
		t.Errorf("health: %v", err)
	}
	if doc, err := admin.OpenAPI(ctx); err != nil || !strings.Contains(string(doc), `"openapi":"3.1.0"`) {
		t.Errorf("document: got %.60s, %v", doc, err)
	}
}

// The server's faults come back as they were: each code, place and suggestion.
func TestFaultsComeBackWhole(t *testing.T) {
	t.Parallel()
	admin, _ := setup(t, nil)
	_, err := admin.CreateCredential(t.Context(), client.CredentialRequest{Name: "UPPER CASE", Kind: "password"}, "")
	var many client.Errors
	if !errors.As(err, &many) || len(many) < 3 {
		t.Fatalf("got %v, want several errors", err)
	}
	for _, e := range many {
		if e.Code == "" || e.Message == "" || e.Pointer == "" {
			t.Errorf("got %+v, want code, message and pointer", e)
		}
	}
}

// breaking cuts the connection of chosen requests, before or after the server has
// carried them out.
type breaking struct {
	next  http.Handler
	when  func(n int64, r *http.Request) string // "", "before" or "after"
	count atomic.Int64
}

func (b *breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch b.when(b.count.Add(1), r) {
	case "before":
		panic(http.ErrAbortHandler)
	case "after":
		b.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	b.next.ServeHTTP(w, r)
}

// A creation whose answer is lost is sent again under its key: one object, and
// the caller gets it.
func TestACreationWhoseAnswerIsLostHappensOnce(t *testing.T) {
	t.Parallel()
	var lost atomic.Bool
	admin, _ := setup(t, func(next http.Handler) http.Handler {
		return &breaking{next: next, when: func(_ int64, r *http.Request) string {
			if r.Method == http.MethodPost && r.URL.Path == "/v1/assets" && lost.CompareAndSwap(false, true) {
				return "after"
			}
			return ""
		}}
	})
	asset, err := admin.CreateAsset(t.Context(), web, "")
	if err != nil || asset.Name != "web-1" {
		t.Fatalf("got %+v, %v, want the asset", asset, err)
	}
	if list, err := admin.Assets(t.Context(), client.Page{}); err != nil || len(list.Items) != 1 || list.Items[0].ID != asset.ID {
		t.Errorf("got %+v, %v, want that one asset", list, err)
	}
}

func TestWhatMayNotBeRepeatedIsSentOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	sent := map[string]int{}
	admin, _ := setup(t, func(next http.Handler) http.Handler {
		return &breaking{next: next, when: func(_ int64, r *http.Request) string {
			mu.Lock()
			defer mu.Unlock()
			key := r.Method + " " + r.URL.Path
			if sent[key]++; r.Header.Get("X-Test") != "" || strings.Contains(r.URL.Path, "broken") || key == "POST /v1/tokens" && sent[key] > 1 {
				return "before"
			}
			return ""
		}}
	})
	ctx := t.Context()
	_, errToken := admin.CreateToken(ctx, client.TokenRequest{Name: "again", Role: "admin"})
	_, errUpdate := admin.UpdateAsset(ctx, "broken", web, 1)
	errDelete := admin.DeleteAsset(ctx, "broken", 1)
	_, errGet := admin.Asset(ctx, "broken")
	for name, err := range map[string]error{"token": errToken, "update": errUpdate, "delete": errDelete, "get": errGet} {
		if client.CodeOf(err) != client.CodeUnavailable {
			t.Errorf("%s: got %v, want unavailable", name, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := map[string]int{"POST /v1/tokens": 2, "PUT /v1/assets/broken": 1, "DELETE /v1/assets/broken": 1, "GET /v1/assets/broken": 7}
	for key, n := range want {
		if sent[key] != n {
			t.Errorf("%s was sent %d times, want %d", key, sent[key], n)
		}
	}
}

func TestAServerThatIsBusyIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503} {
		admin, _ := setup(t, func(next http.Handler) http.Handler {
			var asked atomic.Int64
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/plugins" && asked.Add(1) < 3 {
					w.WriteHeader(status)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
		if _, err := admin.Plugins(t.Context()); err != nil {
			t.Errorf("status %d: got %v, want an answer in the end", status, err)
		}
	}
}

// A token goes to the server that it was given for, and nowhere else.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	t.Cleanup(thief.Close)
	server := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	c := connect(t, server.URL, client.NewSecret([]byte("hunter2")))
	_, err := c.Plugins(t.Context())
	var status *client.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusTemporaryRedirect || stolen.Load() != 0 {
		t.Errorf("got %v and %d requests elsewhere, want the redirect as an error and none", err, stolen.Load())
	}
}

func TestErrorsSayWhereAndNeverTheToken(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := client.New(client.Config{URL: gone.URL, Token: client.NewSecret([]byte("hunter2")), Retries: -1})
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	_, err = c.Plugins(t.Context())
	if client.CodeOf(err) != client.CodeUnavailable || !strings.Contains(err.Error(), gone.URL) || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, c), "hunter2") {
		t.Errorf("got %v, want unavailable with the URL and no token", err)
	}
	for _, url := range []string{"", "127.0.0.1:80", "ftp://x", "http://", "http://u:p@x", "http://x?y=z", "http://x y"} {
		if _, err := client.New(client.Config{URL: url}); client.CodeOf(err) != client.CodeInvalid {
			t.Errorf("URL %q: got %v, want invalid", url, err)
		}
	}
}

func TestNamesStayInTheirSegment(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var paths []string
	admin, _ := setup(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			paths = append(paths, r.Method+" "+r.URL.EscapedPath())
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	})
	if _, err := admin.CreateAsset(t.Context(), web, ""); err != nil {
		t.Fatalf("create: %v", err)
	}
	for _, name := range []string{"", "..", ".", "../assets", "a/b", "a?b", "a%2Fb", "web-1/", "ä"} {
		if _, err := admin.Asset(t.Context(), name); client.CodeOf(err) != client.CodeNotFound {
			t.Errorf("asset %q: got %v, want not_found", name, err)
		}
		if err := admin.DeleteAsset(t.Context(), name, 0); client.CodeOf(err) != client.CodeNotFound {
			t.Errorf("delete %q: got %v, want not_found", name, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, p := range paths {
		if !strings.HasPrefix(p, "POST ") && strings.Count(p, "/") != 3 {
			t.Errorf("a request went to %s", p)
		}
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	ctx, cancel := contextWithTimeout(t, 50*time.Millisecond)
	defer cancel()
	if _, err := connect(t, server.URL, client.Secret{}).Plugins(ctx); client.CodeOf(err) != client.CodeTimeout {
		t.Errorf("got %v, want timeout", err)
	}
}
