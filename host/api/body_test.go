package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
)

// safeBuffer is a log that many may write to.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Every operation that takes a body, with every media type but its own.
func TestMediaTypesAreStrict(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	takes := map[string]string{
		"/v1/plans": "application/json application/yaml", "/v1/runs": "application/json application/yaml", "/v1/assets": "application/json",
		"/v1/credentials": "application/json", "/v1/tokens": "application/json", "/v1/plugins": "application/wasm",
	}
	types := []string{
		"application/json", "application/yaml", "application/wasm", "text/plain", "text/json", "application/xml", "application/octet-stream",
		"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/problem+json", "application/json; charset=utf-16",
		"application/json; profile=x", "application/json, text/plain", "", "nonsense",
	}
	for path, allowed := range takes {
		for _, media := range types {
			c := call{method: "POST", path: path, token: f.admin, body: "{", header: map[string]string{"Content-Type": media}}
			got := f.do(c)
			if refused := got.status == http.StatusUnsupportedMediaType; refused == (media != "" && strings.Contains(allowed, media)) {
				t.Errorf("POST %s as %q: got %d %s", path, media, got.status, got.body)
			}
		}
	}
	c := call{method: "POST", path: "/v1/assets", token: f.admin, body: web, header: map[string]string{"Content-Encoding": "gzip"}}
	if got := f.do(c); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("an encoded body: got %d, want 415", got.status)
	}
	c.header = map[string]string{"Content-Type": "application/json; charset=UTF-8"}
	if got := f.do(c); got.status != http.StatusCreated {
		t.Errorf("charset=UTF-8: got %d %s, want 201", got.status, got.body)
	}
}

func TestBodiesAreStrictJSON(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for name, c := range map[string]struct {
		body string
		code automation.Code
	}{
		"text behind":       {web + " {}", automation.CodeSyntax},
		"cut off":           {web[:20], automation.CodeSyntax},
		"a trailing comma":  {`{"name":"a",}`, automation.CodeSyntax},
		"single quotes":     {`{'name':'a'}`, automation.CodeSyntax},
		"not UTF-8":         {"{\"name\":\"\xff\"}", automation.CodeSyntax},
		"null":              {"null", automation.CodeWrongType},
		"a list":            {"[" + web + "]", automation.CodeWrongType},
		"another case":      {`{"Name":"web-1","address":"10.0.0.1","protocol":"ssh"}`, automation.CodeUnknownField},
		"a null field":      {`{"name":null,"address":"10.0.0.1","protocol":"ssh"}`, automation.CodeWrongType},
		"a fraction":        {`{"name":"a","address":"10.0.0.1","protocol":"ssh","port":22.5}`, automation.CodeWrongType},
		"a huge number":     {`{"name":"a","address":"10.0.0.1","protocol":"ssh","port":1e99}`, automation.CodeWrongType},
		"a port too high":   {`{"name":"a","address":"10.0.0.1","protocol":"ssh","port":65536}`, automation.CodeInvalid},
		"a null in a list":  {`{"name":"a","address":"10.0.0.1","protocol":"ssh","tags":[null]}`, automation.CodeWrongType},
		"white space alone": {"  ", automation.CodeSyntax},
	} {
		got := f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: c.body})
		if p := into[api.Problem](t, got.body); got.status < 400 || got.status > 422 || p.Code != c.code {
			t.Errorf("%s: got %d %s, want code %s", name, got.status, got.body, c.code)
		} else if len(p.Errors) == 0 || p.Errors[0].Line != 1 || p.Errors[0].Column < 1 {
			t.Errorf("%s: got %s, want a place in line 1", name, got.body)
		}
	}
	deep := `{"name":"a","address":"10.0.0.1","protocol":"ssh","vars":` + strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000) + "}"
	if got := f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: deep}); got.status < 400 || got.status >= 500 {
		t.Errorf("a very deep body: got %d, want it refused", got.status)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *api.Config) { c.MaxBodyBytes, c.MaxPluginBytes = 1000, 3000 })
	for path, sizes := range map[string][3]int{"/v1/assets": {1000, 422, 413}, "/v1/plugins": {3000, 422, 413}} {
		media := map[string]string{"Content-Type": "application/json"}
		if path == "/v1/plugins" {
			media["Content-Type"] = "application/wasm"
		}
		for i, n := range []int{sizes[0], sizes[0] + 1} {
			body := `"` + strings.Repeat("x", n-2) + `"`
			if got := f.do(call{method: "POST", path: path, token: f.admin, body: body, header: media}); got.status != sizes[i+1] {
				t.Errorf("POST %s of %d bytes: got %d %s, want %d", path, n, got.status, got.body, sizes[i+1])
			}
		}
	}
	// Without a length: chunked.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.server.URL+"/v1/assets", io.MultiReader(strings.NewReader(strings.Repeat("x", 5000))))
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	req.Header.Set("Authorization", "Bearer "+f.admin)
	req.Header.Set("Content-Type", "application/json")
	res, err := f.server.Client().Do(req)
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a chunked body that is too large: got %d, want 413", res.StatusCode)
	}
}

// A body that stalls ends in time, whether somebody waits for it or the request
// was refused without it.
func TestABodyThatDoesNotComeTimesOut(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *api.Config) { c.BodyTimeout = 50 * time.Millisecond })
	for name, c := range map[string]struct {
		token string
		path  string
		want  string
	}{
		"awaited":  {f.admin, "/v1/assets", "HTTP/1.1 408 "},
		"no token": {"none", "/v1/assets", "HTTP/1.1 401 "},
		"no path":  {f.admin, "/nowhere", "HTTP/1.1 404 "},
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.server.Listener.Addr().String())
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatalf("set a deadline: %v", err)
		}
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", c.path, c.token)
		if err != nil {
			t.Fatalf("write: %v", err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(got), c.want) {
			t.Errorf("%s: got %q, %v, want %s and the connection closed", name, got, err, c.want)
		}
		_ = conn.Close()
	}
}

func TestABodyThatNobodyAskedForIsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	if got := f.do(call{method: "GET", path: "/v1/assets", token: f.admin, body: "{}"}); got.status != http.StatusBadRequest {
		t.Errorf("got %d %s, want 400", got.status, got.body)
	}
}
