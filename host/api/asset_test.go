package api_test

import (
	"net/http"
	"testing"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
)

const web = `{"name":"web-1","address":"10.0.0.1","protocol":"ssh","os":"linux","tags":["web"]}`

func TestAssetsAreCreatedReadChangedAndDeleted(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	made := f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: web})
	if made.status != http.StatusCreated {
		t.Fatalf("create: got %d %s, want 201", made.status, made.body)
	}
	asset := into[automation.Asset](t, made.body)
	if got, want := made.header.Get("Location"), "/v1/assets/"+string(asset.ID); got != want {
		t.Errorf("Location: got %q, want %q", got, want)
	}
	for _, path := range []string{"/v1/assets/" + string(asset.ID), "/v1/assets/web-1"} {
		got := f.do(call{method: "GET", path: path, token: f.submitter})
		if got.status != http.StatusOK || got.header.Get("ETag") != `"1"` {
			t.Errorf("GET %s: got %d with ETag %s, want 200 with \"1\"", path, got.status, got.header.Get("ETag"))
		}
	}
	put := call{method: "PUT", path: "/v1/assets/web-1", token: f.admin, body: `{"name":"web-1","address":"10.0.0.2","protocol":"ssh"}`}
	put.header = map[string]string{"If-Match": `"1"`}
	changed := f.do(put)
	if changed.status != http.StatusOK || changed.header.Get("ETag") != `"2"` {
		t.Fatalf("update: got %d %s, want 200 with ETag \"2\"", changed.status, changed.body)
	}
	if again := f.do(put); again.status != http.StatusPreconditionFailed {
		t.Errorf("update from the old version: got %d %s, want 412", again.status, again.body)
	}
	gone := call{method: "DELETE", path: "/v1/assets/web-1", token: f.admin}
	if got := f.do(gone); got.status != http.StatusPreconditionRequired {
		t.Errorf("delete without If-Match: got %d, want 428", got.status)
	}
	for tag, want := range map[string]int{`"1"`: 412, `W/"2"`: 412, `2`: 412, `"02"`: 412, `"2"`: 204} {
		if want == 204 {
			continue
		}
		gone.header = map[string]string{"If-Match": tag}
		if got := f.do(gone); got.status != want {
			t.Errorf("delete with If-Match %s: got %d %s, want %d", tag, got.status, got.body, want)
		}
	}
	gone.header = map[string]string{"If-Match": `"2"`}
	if got := f.do(gone); got.status != http.StatusNoContent {
		t.Errorf("delete: got %d %s, want 204", got.status, got.body)
	}
	if got := f.do(call{method: "GET", path: "/v1/assets/web-1", token: f.admin}); got.status != http.StatusNotFound {
		t.Errorf("GET after delete: got %d, want 404", got.status)
	}
}

func TestARepeatedCreationIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	c := call{method: "POST", path: "/v1/assets", token: f.admin, body: web, header: map[string]string{"Idempotency-Key": "k-1"}}
	first, second := f.do(c), f.do(c)
	if first.status != http.StatusCreated || second.status != http.StatusOK {
		t.Errorf("got %d then %d, want 201 then 200: %s", first.status, second.status, second.body)
	}
	if a, b := into[automation.Asset](t, first.body), into[automation.Asset](t, second.body); a.ID != b.ID {
		t.Errorf("got asset %s, then %s: want the same one", a.ID, b.ID)
	}
	c.body = `{"name":"web-2","address":"10.0.0.1","protocol":"ssh"}`
	if got := f.do(c); got.status != http.StatusConflict {
		t.Errorf("another request under the key: got %d %s, want 409", got.status, got.body)
	}
	for _, key := range []string{string(make([]byte, 0)) + long(256), "two words"} {
		c.header = map[string]string{"Idempotency-Key": key}
		if got := f.do(c); got.status != 422 && got.status != 400 {
			t.Errorf("a key of %d characters: got %d, want 400 or 422", len(key), got.status)
		}
	}
}

func TestATakenNameIsAConflictAndNotStale(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: web})
	f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: `{"name":"web-2","address":"10.0.0.2","protocol":"ssh"}`})
	got := f.do(call{
		method: "PUT", path: "/v1/assets/web-2", token: f.admin, body: web, header: map[string]string{"If-Match": `"1"`},
	})
	if p := into[api.Problem](t, got.body); got.status != http.StatusConflict || p.Code != automation.CodeConflict {
		t.Errorf("got %d %s, want 409", got.status, got.body)
	}
}

func long(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'k'
	}
	return string(b)
}
