package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
)

// concrete fills a route's pattern with names that have the right form.
func concrete(pattern string) string {
	id := string(automation.NewID[automation.RunID]())
	for name, value := range map[string]string{
		"{step}": "a", "{item}": "0", "{run}": id, "{token}": id, "{asset}": "nothing", "{credential}": "nothing", "{schedule}": "nothing", "{workflow}": "nothing", "{window}": "nothing", "{limit}": "nothing", "{trigger}": "nothing",
		"{plan}": strings.Repeat("a", 64), "{plugin}": strings.Repeat("a", 64),
	} {
		pattern = strings.ReplaceAll(pattern, name, value)
	}
	return pattern
}

// Every route, with every kind of caller: what has no token or a bad one gets
// 401, a submitter gets 403 where an admin is asked for, and nobody who may gets
// either. A route that declares nothing fails.
func TestEveryRouteAsksForItsToken(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *api.Config) { c.Metrics = http404{} })
	routes, err := f.api.Routes()
	if err != nil {
		t.Fatalf("list the routes: %v", err)
	}
	if len(routes) < 30 {
		t.Fatalf("got %d routes, want all of them: the walk is broken", len(routes))
	}
	public := map[string]bool{"/healthz": true, "/readyz": true, "/openapi.json": true, "/openapi.yaml": true}
	for _, r := range routes {
		c := call{method: r.Method, path: concrete(r.Path)}
		switch {
		case r.Access == "public" && r.Path == "/hooks/{trigger}": // a signature authenticates it
			c.body = "{}"
			if got := f.do(c); got.status != http.StatusUnauthorized {
				t.Errorf("%s %s without a signature: got %d %s, want 401", r.Method, r.Path, got.status, got.body)
			}
		case r.Access == "public" && public[r.Path]:
			if got := f.do(c); got.status != http.StatusOK {
				t.Errorf("%s %s is public: got %d %s, want 200", r.Method, r.Path, got.status, got.body)
			}
		case r.Access == "token" || r.Access == "admin":
			f.walk(r, c)
		default:
			t.Errorf("%s %s declares the access %q: want token or admin, or its name in this test", r.Method, r.Path, r.Access)
		}
	}
}

func (f *fixture) walk(r api.Route, c call) {
	f.t.Helper()
	for name, header := range badTokens(f) {
		c.header = map[string]string{}
		if header != "" {
			c.header["Authorization"] = header
		}
		got := f.do(c)
		p := into[api.Problem](f.t, got.body)
		if got.status != http.StatusUnauthorized || p.Code != automation.CodeUnauthenticated || got.header.Get("WWW-Authenticate") == "" {
			f.t.Errorf("%s %s with %s: got %d %s, want 401 with WWW-Authenticate", r.Method, r.Path, name, got.status, got.body)
		}
	}
	c.header = nil
	for role, token := range map[string]string{"submitter": f.submitter, "admin": f.admin} {
		c.token = token
		got := f.do(c)
		if role == "submitter" && r.Access == "admin" {
			if p := into[api.Problem](f.t, got.body); got.status != http.StatusForbidden || p.Code != automation.CodeForbidden {
				f.t.Errorf("%s %s as %s: got %d %s, want 403", r.Method, r.Path, role, got.status, got.body)
			}
		} else if got.status == http.StatusUnauthorized || got.status == http.StatusForbidden || got.status >= 500 {
			f.t.Errorf("%s %s as %s: got %d %s, want it let in", r.Method, r.Path, role, got.status, got.body)
		}
	}
}

func badTokens(f *fixture) map[string]string {
	return map[string]string{
		"no token": "", "an empty one": "Bearer ", "garbage": "Bearer garbage", "another scheme": "Basic " + f.admin,
		"a cut one": "Bearer " + f.admin[:len(f.admin)-1], "a longer one": "Bearer " + f.admin + "A",
		"no scheme": f.admin, "a huge one": "Bearer " + long(4096), "two in one": "Bearer " + f.admin + " " + f.admin,
	}
}

func TestTwoAuthorizationHeadersAreNobody(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.server.URL+"/v1/assets", nil)
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	req.Header["Authorization"] = []string{"Bearer " + f.admin, "Bearer " + f.submitter}
	res, err := f.server.Client().Do(req)
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", res.StatusCode)
	}
}

func TestARevokedTokenIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	made := f.do(call{method: "POST", path: "/v1/tokens", token: f.admin, body: `{"name":"short","role":"submitter"}`})
	if made.status != http.StatusCreated {
		t.Fatalf("create: got %d %s, want 201", made.status, made.body)
	}
	token := into[api.NewToken](t, made.body)
	read := call{method: "GET", path: "/v1/assets", token: token.Secret}
	if got := f.do(read); got.status != http.StatusOK {
		t.Errorf("before: got %d, want 200", got.status)
	}
	if got := f.do(call{method: "DELETE", path: "/v1/tokens/" + string(token.Token.ID), token: f.admin}); got.status != http.StatusNoContent {
		t.Errorf("revoke: got %d %s, want 204", got.status, got.body)
	}
	if got := f.do(read); got.status != http.StatusUnauthorized {
		t.Errorf("after: got %d, want 401", got.status)
	}
	if got := f.do(call{method: "GET", path: "/v1/tokens", token: f.admin}); strings.Contains(got.body, token.Secret) || regexp.MustCompile(`"hash"|"secret"`).MatchString(got.body) {
		t.Errorf("the list of tokens has a secret or a hash: %s", got.body)
	}
}

func TestAnotherSitesPageIsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for name, header := range map[string]map[string]string{
		"Sec-Fetch-Site": {"Sec-Fetch-Site": "cross-site"},
		"Origin":         {"Origin": "https://evil.example"},
	} {
		c := call{method: "POST", path: "/v1/assets", token: f.admin, body: web, header: header}
		if got := f.do(c); got.status != http.StatusForbidden || into[api.Problem](t, got.body).Code != automation.CodeForbidden {
			t.Errorf("%s: got %d %s, want a problem with 403", name, got.status, got.body)
		}
	}
}
