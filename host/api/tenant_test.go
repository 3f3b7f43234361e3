package api_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
)

// stranger makes an administrator's token of another tenant.
func (f *fixture) stranger() string {
	f.t.Helper()
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	secret := "ops_" + base64.RawURLEncoding.EncodeToString(b)
	hash := sha256.Sum256([]byte(secret))
	now := time.Now()
	t := automation.Token{
		ID: automation.NewID[automation.TokenID](), Tenant: "other", Name: "stranger", Role: automation.RoleAdmin, Hash: hash[:], Created: now,
	}
	if _, _, err := f.store.CreateToken(f.t.Context(), t, automation.Act{Tenant: "other", By: "test", Action: "token.create", Object: string(t.ID), At: now}); err != nil {
		f.t.Fatalf("make a stranger's token: %v", err)
	}
	return secret
}

// Every route with a real object of one tenant, asked by an administrator of
// another: the object does not exist. Every list: empty of it. The routes come
// from the router, so that a new one is in the walk.
func TestAnotherTenantsObjectsDoNotExist(t *testing.T) {
	t.Parallel()
	f, release := running(t)
	close(release)
	objects := f.objects()
	stranger := f.stranger()
	routes, err := f.api.Routes()
	if err != nil {
		t.Fatalf("list the routes: %v", err)
	}
	bodies := map[string]string{
		"PUT /v1/assets/{asset}": web, "PUT /v1/credentials/{credential}": `{"username":"x"}`, "PUT /v1/windows/{window}": `{"name":"x"}`, "PUT /v1/limits/{limit}": `{"kind":"global","max":1}`, "PUT /v1/schedules/{schedule}": `{"name":"x","definition":"x"}`,
		"POST /v1/plugins/{plugin}/activate": `{"grants":[]}`, "POST /v1/runs/{run}/cancel": `{}`,
		"POST /v1/runs/{run}/pause": `{}`, "POST /v1/runs/{run}/resume": `{}`, "POST /v1/runs/{run}/rerun": `{}`,
		"PUT /v1/triggers/{trigger}": `{"name":"x","definition":"x"}`, "POST /v1/triggers/{trigger}/rotate": `{}`,
		"POST /v1/schedules/{schedule}/backfill": `{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}`,
		"POST /v1/runs/{run}/events":             `{"name":"x"}`, "POST /v1/runs/{run}/steps/{step}/items/{item}/decision": `{"decision":"approve"}`,
		"POST /v1/runs/{run}/steps/{step}/items/{item}/resolution": `{"resolution":"abandon"}`,
	}
	walked := 0
	for _, r := range routes {
		if r.Access == "public" || r.Method == http.MethodPost && !strings.Contains(r.Path, "{") {
			continue
		}
		c := call{method: r.Method, path: r.Path, token: stranger, body: bodies[r.Method+" "+r.Path], header: map[string]string{"If-Match": "*"}}
		for name, id := range objects {
			c.path = strings.ReplaceAll(c.path, "{"+name+"}", id)
		}
		c.path = strings.NewReplacer("{step}", "a", "{item}", "0").Replace(c.path)
		got := f.do(c)
		if walked++; strings.Contains(r.Path, "{") && got.status != http.StatusNotFound {
			t.Errorf("%s %s: got %d %s, want 404", r.Method, r.Path, got.status, got.body)
		}
		for name, id := range objects {
			if !strings.Contains(r.Path, "{") && strings.Contains(got.body, id) {
				t.Errorf("%s %s: the answer has the other tenant's %s: %s", r.Method, r.Path, name, got.body)
			}
		}
	}
	if walked < 24 {
		t.Errorf("walked %d routes, want all: the walk is broken", walked)
	}
	for name, id := range objects { // they are still there for their own tenant
		if name == "token" {
			continue
		}
		if got := f.do(call{method: "GET", path: "/v1/" + name + "s/" + id, token: f.admin}); got.status != http.StatusOK {
			t.Errorf("GET %s %s: got %d %s, want 200", name, id, got.status, got.body)
		}
	}
}

// objects makes one of each noun, and returns their identifiers by the name that
// routes have for them.
func (f *fixture) objects() map[string]string {
	f.t.Helper()
	f.do(call{method: "POST", path: "/v1/runs", token: f.submitter, body: `{"definition":` + flow + `}`})
	f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: web})
	f.do(call{method: "POST", path: "/v1/credentials", token: f.admin, body: `{"name":"root","kind":"password","username":"root","password":"x","scope":{"protocols":["ssh"],"assets":["*"]}}`})
	f.do(call{method: "POST", path: "/v1/schedules", token: f.admin, body: `{"name":"nightly","cron":"0 3 * * *","definition":` + flow + `}`})
	f.do(call{method: "POST", path: "/v1/windows", token: f.admin, body: `{"name":"nights","tags":["x"],"cron":"0 2 * * *","duration":"1h"}`})
	f.do(call{method: "POST", path: "/v1/limits", token: f.admin, body: `{"kind":"plugin","max":900}`})
	f.do(call{method: "POST", path: "/v1/triggers", token: f.admin, body: `{"name":"push","definition":` + flow + `}`})
	first := func(path string) map[string]any {
		list := into[struct {
			Items []map[string]any `json:"items"`
		}](f.t, f.do(call{method: "GET", path: path, token: f.admin}).body)
		if len(list.Items) == 0 {
			f.t.Fatalf("GET %s: the list is empty", path)
		}
		return list.Items[0]
	}
	text := func(v any) string { s, _ := v.(string); return s }
	run := first("/v1/runs")
	return map[string]string{
		"run": text(run["id"]), "plan": text(run["plan_hash"]), "asset": text(first("/v1/assets")["id"]),
		"credential": text(first("/v1/credentials")["id"]), "schedule": text(first("/v1/schedules")["id"]), "trigger": text(first("/v1/triggers")["id"]), "plugin": text(first("/v1/plugins")["digest"]), "token": text(first("/v1/tokens")["id"]),
		"window": text(first("/v1/windows")["id"]), "limit": text(first("/v1/limits")["id"]),
	}
}
