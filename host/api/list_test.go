package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
)

type assetList struct {
	Items      []automation.Asset `json:"items"`
	NextCursor string             `json:"next_cursor"`
}

func TestListsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for i := range 7 {
		body := fmt.Sprintf(`{"name":"web-%d","address":"10.0.0.%d","protocol":"ssh"}`, i, i+1)
		if got := f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: body}); got.status != http.StatusCreated {
			t.Fatalf("create: got %d %s", got.status, got.body)
		}
	}
	var names []string
	cursor, pages := "", 0
	for {
		got := f.do(call{method: "GET", path: "/v1/assets?limit=3&cursor=" + cursor, token: f.submitter})
		page := into[assetList](t, got.body)
		for _, a := range page.Items {
			names = append(names, a.Name)
		}
		if pages++; page.NextCursor == "" {
			break
		}
		cursor = page.NextCursor
	}
	if got, want := strings.Join(names, " "), "web-0 web-1 web-2 web-3 web-4 web-5 web-6"; got != want || pages != 3 {
		t.Errorf("got %q in %d pages, want %q in 3", got, pages, want)
	}
	// A cursor is of its own list alone.
	if got := f.do(call{method: "GET", path: "/v1/credentials?cursor=" + cursor, token: f.admin}); got.status != http.StatusBadRequest {
		t.Errorf("another list's cursor: got %d, want 400", got.status)
	}
	if got := f.do(call{method: "GET", path: "/v1/assets?cursor=" + cursor[:len(cursor)-2], token: f.admin}); got.status != http.StatusBadRequest {
		t.Errorf("a cut cursor: got %d, want 400", got.status)
	}
}

func TestTheAuditLogHasEveryChange(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: web})
	body := `{"name":"root","kind":"password","username":"root","password":"hunter2","scope":{"protocols":["ssh"],"assets":["*"]}}`
	made := f.do(call{method: "POST", path: "/v1/credentials", token: f.admin, body: body})
	if made.status != http.StatusCreated {
		t.Fatalf("create a credential: got %d %s", made.status, made.body)
	}
	var actions []string
	cursor := ""
	for {
		got := f.do(call{method: "GET", path: "/v1/audit?limit=2&cursor=" + cursor, token: f.admin})
		if strings.Contains(got.body, "hunter2") {
			t.Errorf("the audit log has the secret: %s", got.body)
		}
		page := into[struct {
			Items      []automation.AuditEntry `json:"items"`
			NextCursor string                  `json:"next_cursor"`
		}](t, got.body)
		for _, e := range page.Items {
			actions = append(actions, e.Action)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if got, want := strings.Join(actions, " "), "token.create token.create asset.create credential.create"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, path := range []string{"/v1/credentials", "/v1/credentials/root"} {
		if got := f.do(call{method: "GET", path: path, token: f.admin}); strings.Contains(got.body, "hunter2") || strings.Contains(strings.ToLower(got.body), "sealed") {
			t.Errorf("GET %s: the answer has the secret or its seal: %s", path, got.body)
		}
	}
	change := call{method: "PUT", path: "/v1/credentials/root", token: f.admin, body: `{"username":"admin"}`, header: map[string]string{"If-Match": `"1"`}}
	if got := f.do(change); got.status != http.StatusOK || got.header.Get("ETag") != `"2"` {
		t.Errorf("update: got %d %s, want 200 with ETag \"2\"", got.status, got.body)
	}
}

func TestPluginsAreUploadedActivatedAndDisabled(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	manifest := `{"abi":1,"name":"net","version":"1.0.0","description":"d","host_functions":[{"name":"probe_tcp","why":"w"}],"actions":[]}`
	upload := call{method: "POST", path: "/v1/plugins", token: f.admin, body: manifest, header: map[string]string{"Content-Type": "application/wasm"}}
	first, second := f.do(upload), f.do(upload)
	if first.status != http.StatusCreated || second.status != http.StatusOK {
		t.Fatalf("got %d then %d, want 201 then 200: %s", first.status, second.status, first.body)
	}
	p := into[automation.Plugin](t, first.body)
	path := "/v1/plugins/" + string(p.Digest)
	if got := f.do(call{method: "POST", path: path + "/activate", token: f.admin, body: `{"grants":[{"function":"ssh_exec"}]}`}); got.status != 422 || !strings.Contains(got.body, "/grants/0/function") {
		t.Errorf("a grant that it doesn't want: got %d %s, want 422 with its place", got.status, got.body)
	}
	activate := call{method: "POST", path: path + "/activate", token: f.admin, body: `{"grants":[{"function":"probe_tcp","addresses":["*"]}]}`, header: map[string]string{"If-Match": `"1"`}}
	if got := f.do(activate); got.status != http.StatusOK || into[automation.Plugin](t, got.body).State != automation.PluginActive {
		t.Errorf("activate: got %d %s, want 200", got.status, got.body)
	}
	if got := f.do(activate); got.status != http.StatusPreconditionFailed {
		t.Errorf("activate from the old version: got %d %s, want 412", got.status, got.body)
	}
	if got := f.do(call{method: "GET", path: "/v1/plugins/net@1.0.0", token: f.submitter}); got.status != http.StatusOK {
		t.Errorf("by name: got %d %s, want 200", got.status, got.body)
	}
	if got := f.do(call{method: "POST", path: path + "/disable", token: f.admin}); got.status != http.StatusOK || into[automation.Plugin](t, got.body).State != automation.PluginDisabled {
		t.Errorf("disable: got %d %s, want 200", got.status, got.body)
	}
}
