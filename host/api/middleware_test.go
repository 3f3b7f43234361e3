package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
)

func TestRequestIdentifiers(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for given, taken := range map[string]bool{
		"abc-1.2_3": true, long(128): true, long(129): false, "two words": false, "ä": false, "a;b": false, "": false,
	} {
		got := f.do(call{method: "GET", path: "/healthz", header: map[string]string{"X-Request-ID": given}}).header.Get("X-Request-ID")
		if (got == given) != taken || got == "" {
			t.Errorf("X-Request-ID %q: got %q, want it taken: %v", given, got, taken)
		}
	}
}

func TestTheAccessLogHasTheRouteAndNoQuery(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	count := &counter{}
	f := setup(t, func(c *api.Config) { c.Log, c.Observer = slog.New(slog.NewTextHandler(&log, nil)), count })
	f.do(call{method: "GET", path: "/v1/assets/secret-name?token=hunter2", token: f.submitter})
	f.do(call{method: "GET", path: "/nowhere/secret-name"})
	text := log.String()
	for _, want := range []string{"route=/v1/assets/{asset}", "principal=tester", "status=422", "route=none", "status=404"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s: %s", want, text)
		}
	}
	for _, no := range []string{"hunter2", "secret-name", f.submitter} {
		if strings.Contains(text, no) {
			t.Errorf("the log has %s: %s", no, text)
		}
	}
	if got, want := strings.Join(count.seen(), "; "), "GET /v1/assets/{asset} 422; GET none 404"; got != want {
		t.Errorf("counted %q, want %q", got, want)
	}
}

type counter struct {
	mu    sync.Mutex
	lines []string
}

func (c *counter) Request(method, route string, status int, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprint(method, " ", route, " ", status))
}

func (c *counter) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines
}

func TestAnswersAreNeitherCachedNorSniffed(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for _, path := range []string{"/healthz", "/v1/assets", "/nowhere", "/openapi.json"} {
		got := f.do(call{method: "GET", path: path, token: f.admin}).header
		if got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Cache-Control") != "no-store" || !strings.Contains(got.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("GET %s: got headers %v", path, got)
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *api.Config) {
		c.Ready = func(context.Context) error { return errors.New("the database at 10.0.0.9 is gone") }
	})
	if got := f.do(call{method: "GET", path: "/healthz"}); got.status != http.StatusOK {
		t.Errorf("healthz: got %d, want 200", got.status)
	}
	got := f.do(call{method: "GET", path: "/readyz"})
	if p := into[api.Problem](t, got.body); got.status != 503 || !p.Retryable || got.header.Get("Retry-After") == "" || strings.Contains(got.body, "10.0.0.9") {
		t.Errorf("readyz: got %d %s, want a retryable problem with 503 and no cause", got.status, got.body)
	}
}

// slow holds every list of assets until it is let go.
type slow struct {
	api.Service
	entered chan struct{}
	release chan struct{}
}

func (s slow) Assets(context.Context, automation.Principal, automation.Page) ([]automation.Asset, error) {
	s.entered <- struct{}{}
	<-s.release
	return nil, nil
}

func TestATokensRequestsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	s := slow{entered: make(chan struct{}), release: make(chan struct{})}
	f := setup(t, func(c *api.Config) {
		s.Service = c.Service
		c.Service, c.MaxInFlight = s, 2
	})
	list := call{method: "GET", path: "/v1/assets", token: f.submitter}
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() { f.do(list) })
		<-s.entered
	}
	got := f.do(list)
	if p := into[api.Problem](t, got.body); got.status != http.StatusTooManyRequests || p.Code != automation.CodeThrottled || got.header.Get("Retry-After") == "" {
		t.Errorf("the third: got %d %s, want 429 with Retry-After", got.status, got.body)
	}
	if got := f.do(call{method: "GET", path: "/v1/plugins", token: f.admin}); got.status != http.StatusOK {
		t.Errorf("another token: got %d, want 200", got.status)
	}
	close(s.release)
	group.Wait()
	if got := f.do(call{method: "GET", path: "/v1/plugins", token: f.submitter}); got.status != http.StatusOK {
		t.Errorf("after they ended: got %d, want 200", got.status)
	}
}

func TestMetricsAreBehindATokenUnlessPublic(t *testing.T) {
	t.Parallel()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	for public, want := range map[bool]int{false: 401, true: 200} {
		f := setup(t, func(c *api.Config) { c.Metrics, c.PublicMetrics = metrics, public })
		if got := f.do(call{method: "GET", path: "/metrics"}); got.status != want {
			t.Errorf("public %v: got %d, want %d", public, got.status, want)
		}
		if got := f.do(call{method: "GET", path: "/metrics", token: f.submitter}); got.body != "up 1\n" {
			t.Errorf("public %v with a token: got %d %s, want the metrics", public, got.status, got.body)
		}
	}
}
