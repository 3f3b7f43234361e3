package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
)

// failing answers every read of an asset with one error.
type failing struct {
	api.Service
	err error
}

func (f failing) Asset(context.Context, automation.Principal, string) (automation.Asset, error) {
	if f.err == nil {
		panic("the handler's own fault")
	}
	return automation.Asset{}, f.err
}

func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	want := map[automation.Code]int{
		"syntax": 400, "bad_request": 400, "unauthenticated": 401, "forbidden": 403, "policy": 403, "denied": 403, "not_found": 404,
		"conflict": 409, "cancelled": 409, "step_failed": 409, "assertion": 409, "rejected": 409, "expired": 409,
		"invalid": 422, "unknown_field": 422, "unknown_name": 422, "missing": 422, "wrong_type": 422, "cycle": 422, "expression": 422,
		"limit": 422, "bad_plugin": 422, "memory_limit": 422, "input_limit": 422, "host_call_limit": 422, "fuel_limit": 422, "depth_limit": 422, "remote_limit": 422,
		"throttled": 429, "quota": 429, "internal": 500,
		"plugin_failed": 502, "plugin_crashed": 502, "sandbox_crashed": 502, "bad_output": 502, "unknown_outcome": 502, "host_lost": 502, "cut_off": 502, "returned": 502, "unreachable": 502,
		"auth_failed": 502, "host_key_mismatch": 502, "host_key_unknown": 502, "algorithm_mismatch": 502, "become_failed": 502,
		"protocol": 502, "output_limit": 502, "lost": 502, "unavailable": 503, "timeout": 504,
	}
	for _, code := range automation.Codes() {
		f := setup(t, func(c *api.Config) {
			c.Service = failing{Service: c.Service, err: &automation.Error{Code: code, Message: "what it is", Suggestion: "what to do"}}
		})
		got := f.do(call{method: "GET", path: "/v1/assets/a", token: f.admin})
		p := into[api.Problem](t, got.body)
		if got.status != want[code] || p.Status != want[code] || p.Code != code {
			t.Errorf("code %s: got %d %s, want %d", code, got.status, got.body, want[code])
		}
		if got.header.Get("Content-Type") != "application/problem+json" || p.RequestID == "" || p.RequestID != got.header.Get("X-Request-ID") {
			t.Errorf("code %s: got %v %s, want a problem with the request's id", code, got.header, got.body)
		}
	}
}

func TestAnInternalErrorIsLoggedAndNotServed(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"a plain error":     errors.New("dial tcp 10.1.2.3: secret"),
		"an internal Error": &automation.Error{Code: automation.CodeInternal, Message: "secret", Err: errors.New("secret")},
		"an unknown code":   &automation.Error{Code: "made_up", Message: "secret"},
		"a panic":           nil,
	} {
		var log safeBuffer
		f := setup(t, func(c *api.Config) {
			c.Service = failing{Service: c.Service, err: err}
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		got := f.do(call{method: "GET", path: "/v1/assets/a", token: f.admin})
		p := into[api.Problem](t, got.body)
		if got.status != http.StatusInternalServerError || p.Code != automation.CodeInternal || strings.Contains(got.body, "secret") {
			t.Errorf("%s: got %d %s, want 500 without the cause", name, got.status, got.body)
		}
		if !strings.Contains(log.String(), p.RequestID) || name != "a panic" && !strings.Contains(log.String(), "secret") {
			t.Errorf("%s: the log has neither request nor cause: %s", name, log.String())
		}
	}
}

func TestManyFaultsAreAllListed(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	body := "{\n  \"name\": \"web-1\",\n  \"adress\": \"hunter2\",\n  \"port\": \"hunter2\",\n  \"protocol\": \"hunter2\",\n  \"tags\": [\"a\", 7],\n  \"name\": \"hunter2\"\n}"
	got := f.do(call{method: "POST", path: "/v1/assets", token: f.admin, body: body})
	if got.status != http.StatusUnprocessableEntity {
		t.Fatalf("got %d %s, want 422", got.status, got.body)
	}
	if strings.Contains(got.body, "hunter2") {
		t.Errorf("the answer has a value: %s", got.body)
	}
	want := []string{
		`unknown_field /adress 3:3 did you mean "address"?`, `wrong_type /port 4:11 `, `invalid /protocol 5:15 `,
		`wrong_type /tags/1 6:17 `, `invalid /name 7:3 `, `missing /address 1:1 `,
	}
	var have []string
	for _, e := range into[api.Problem](t, got.body).Errors {
		have = append(have, fmt.Sprintf("%s %s %d:%d %s", e.Code, e.Pointer, e.Line, e.Column, e.Suggestion))
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(have, "\n")+"\n", w) {
			t.Errorf("got\n%s\nwant %q among them", strings.Join(have, "\n"), w)
		}
	}
}

func TestParametersAreCheckedWithoutTheirValues(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for path, want := range map[string]int{
		"/v1/assets?limit=hunter2": 422, "/v1/assets?limit=0": 422, "/v1/assets?limit=1001": 422, "/v1/assets?hunter=hunter2": 422,
		"/v1/runs?state=hunter2": 422, "/v1/assets?cursor=hunter2": 400, "/v1/assets?limit=1&limit=2": 400, "/v1/assets?limit=%zz": 400,
		"/v1/runs/hunter2": 404, "/v1/runs/" + string(automation.NewID[automation.RunID]()) + "/wait?timeout=hunter2": 422,
		"/v1/runs/" + string(automation.NewID[automation.RunID]()) + "/wait?timeout=61s":     422,
		"/v1/runs/" + string(automation.NewID[automation.RunID]()) + "/events?after=hunter2": 400,
		"/nowhere/hunter2": 404,
	} {
		got := f.do(call{method: "GET", path: path, token: f.admin})
		if p := into[api.Problem](t, got.body); got.status != want || p.Status != want || p.Code == "" {
			t.Errorf("GET %s: got %d %s, want a problem with %d", path, got.status, got.body, want)
		}
		if strings.Contains(got.body, "hunter2") {
			t.Errorf("GET %s: the answer has the value: %s", path, got.body)
		}
	}
	if got := f.do(call{method: "PATCH", path: "/v1/assets", token: f.admin}); got.status != 405 || into[api.Problem](t, got.body).Status != 405 {
		t.Errorf("PATCH: got %d %s, want a problem with 405", got.status, got.body)
	}
}
