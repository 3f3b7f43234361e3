package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
)

const nightly = `{"name":"nightly","cron":"0 3 * * *","time_zone":"Europe/Berlin","definition":` + flow + `}`

func TestSchedulesAreCreatedPausedChangedAndDeleted(t *testing.T) {
	t.Parallel()
	f, release := running(t)
	close(release)
	key := map[string]string{"Idempotency-Key": "k"}
	made := f.do(call{method: "POST", path: "/v1/schedules", token: f.admin, body: nightly, header: key})
	if made.status != http.StatusCreated || made.header.Get("ETag") != `"1"` {
		t.Fatalf("create: got %d %s, want 201", made.status, made.body)
	}
	s := into[automation.Schedule](t, made.body)
	if s.Definition != flow || s.CatchUp != automation.CatchUpSkip || s.Overlap != automation.OverlapSkip || s.Next.In(time.UTC).Minute() != 0 || made.header.Get("Location") != "/v1/schedules/"+string(s.ID) {
		t.Errorf("got %+v", s)
	}
	if again := f.do(call{method: "POST", path: "/v1/schedules", token: f.admin, body: nightly, header: key}); again.status != http.StatusOK {
		t.Errorf("the same key: got %d %s, want 200", again.status, again.body)
	}
	next := f.do(call{method: "GET", path: "/v1/schedules/nightly/next?count=3", token: f.submitter})
	if items := into[api.NextTimes](t, next.body).Items; next.status != http.StatusOK || len(items) != 3 || !items[0].Equal(s.Next) {
		t.Errorf("next: got %d %s, want three times from %v", next.status, next.body, s.Next)
	}
	for _, bad := range []string{"0", "1001", "x"} {
		if got := f.do(call{method: "GET", path: "/v1/schedules/nightly/next?count=" + bad, token: f.submitter}); got.status < 400 || got.status >= 500 {
			t.Errorf("next %s: got %d %s, want it refused", bad, got.status, got.body)
		}
	}
	change := func(method, path, tag, body string, want int) {
		t.Helper()
		c := call{method: method, path: path, token: f.admin, body: body, header: map[string]string{}}
		if tag != "" {
			c.header["If-Match"] = tag
		}
		if got := f.do(c); got.status != want {
			t.Errorf("%s %s with %s: got %d %s, want %d", method, path, tag, got.status, got.body, want)
		}
	}
	change("POST", "/v1/schedules/nightly/pause", `"7"`, "", http.StatusPreconditionFailed)
	change("POST", "/v1/schedules/nightly/pause", `"1"`, "", http.StatusOK)
	if got := f.do(call{method: "GET", path: "/v1/schedules/nightly/next", token: f.submitter}); strings.TrimSpace(got.body) != `{"items":[]}` {
		t.Errorf("next while paused: got %s, want none", got.body)
	}
	change("POST", "/v1/schedules/nightly/resume", "", "", http.StatusOK)
	change("PUT", "/v1/schedules/nightly", "", nightly, http.StatusPreconditionRequired)
	change("PUT", "/v1/schedules/nightly", `"1"`, nightly, http.StatusPreconditionFailed)
	change("PUT", "/v1/schedules/nightly", `"3"`, strings.Replace(nightly, "0 3", "0 4", 1), http.StatusOK)
	change("DELETE", "/v1/schedules/nightly", "", "", http.StatusPreconditionRequired)
	change("DELETE", "/v1/schedules/nightly", `"3"`, "", http.StatusPreconditionFailed)
	change("DELETE", "/v1/schedules/nightly", `"4"`, "", http.StatusNoContent)
	change("DELETE", "/v1/schedules/nightly", `*`, "", http.StatusNotFound)
}

func TestABadScheduleIsToldAllThatIsWrong(t *testing.T) {
	t.Parallel()
	f, release := running(t)
	close(release)
	body := `{"name":"nightly","cron":"0 0 30 2 *","time_zone":"Berlin","jitter":"x","definition":"name: 1"}`
	got := f.do(call{method: "POST", path: "/v1/schedules", token: f.admin, body: body})
	for _, want := range []string{`"/cron"`, "never fires", `"/time_zone"`, `did you mean \"Europe/Berlin\"?`, `"/jitter"`, `"/definition/`} {
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, want) {
			t.Errorf("got %d %s, want 422 with %s", got.status, got.body, want)
		}
	}
	for _, body := range []string{`{"name":"n","catch_up":"some","definition":"x"}`, `{"name":"n","definition":"x","every":"1h"}`, `{"definition":"x"}`} {
		if got := f.do(call{method: "POST", path: "/v1/schedules", token: f.admin, body: body}); got.status < 400 || got.status >= 500 {
			t.Errorf("%s: got %d %s, want it refused", body, got.status, got.body)
		}
	}
}

func TestBackfillByAPI(t *testing.T) {
	t.Parallel()
	f, release := running(t)
	close(release)
	if made := f.do(call{method: "POST", path: "/v1/schedules", token: f.admin, body: nightly}); made.status != http.StatusCreated {
		t.Fatalf("create: got %d %s", made.status, made.body)
	}
	ask := func(body, want string, status int) []api.BackfillTime {
		t.Helper()
		got := f.do(call{method: "POST", path: "/v1/schedules/nightly/backfill", token: f.admin, body: body})
		if got.status != status || !strings.Contains(got.body, want) {
			t.Fatalf("%s: got %d %s, want %d with %s", body, got.status, got.body, status, want)
		}
		return into[api.Backfill](t, got.body).Items
	}
	const span = `"from":"2025-03-01T00:00:00+01:00","to":"2025-03-03T00:00:00+01:00"`
	if got := ask(`{`+span+`,"dry_run":true}`, `"outcome":"due"`, http.StatusOK); len(got) != 2 || got[0].Run != "" || got[0].At.Format(time.RFC3339) != "2025-03-01T02:00:00Z" {
		t.Errorf("dry run: got %+v", got)
	}
	first := ask(`{`+span+`}`, `"outcome":"submitted"`, http.StatusOK)
	again := ask(`{`+span+`}`, `"outcome":"fired"`, http.StatusOK)
	if len(first) != 2 || len(again) != 2 || first[0].Run == "" || first[0].Run != again[0].Run {
		t.Errorf("got %+v, then %+v; want the same runs", first, again)
	}
	ask(`{"from":"yesterday","to":"2025-03-03"}`, `"pointer":"/from"`, http.StatusUnprocessableEntity)
	ask(`{"from":"yesterday","to":"2025-03-03"}`, `"pointer":"/to"`, http.StatusUnprocessableEntity)
	ask(`{"from":"2025-03-03T00:00:00Z"}`, `"pointer":"/to"`, http.StatusUnprocessableEntity)
	ask(`{`+span+`,"again":true}`, `Idempotency-Key`, http.StatusUnprocessableEntity)
	ask(`{`+span+`,"max":1}`, `the span has 2 times of the schedule`, http.StatusUnprocessableEntity)
	ask(`{`+span+`,"max":1001}`, `"/max"`, http.StatusUnprocessableEntity)
	ask(`{"from":"2026-01-01T00:00:00Z","to":"9999-01-01T00:00:00Z"}`, `the span ends in the future`, http.StatusUnprocessableEntity)
	ask(`{"from":"2025-03-03T00:00:00Z","to":"2025-03-03T01:00:00Z"}`, `{"items":[]}`, http.StatusOK)
}
