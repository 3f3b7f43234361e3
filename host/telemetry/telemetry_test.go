package telemetry_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/telemetry"
)

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("got status %d", rec.Code)
	}
	return rec.Body.String()
}

func TestMetricsAreServed(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("1.2.3")
	began := time.Unix(1000, 0)
	m.Request(http.MethodGet, "/v1/runs/{id}", 200, 3*time.Millisecond)
	m.RunEnded(automation.RunSucceeded)
	m.AttemptEnded(automation.ItemFailed, automation.CodeUnreachable)
	m.Open(4, 9)
	m.Attempt("linux", "command", automation.Outcome{
		State: automation.ItemFailed, StartedAt: began, EndedAt: began.Add(time.Second),
		Error: &automation.Error{Code: automation.CodeUnreachable}, Usage: automation.Usage{HostCalls: 3, MemoryBytes: 1 << 20, RemoteBytes: 77, LogTruncated: true, Limit: "fuel"},
	})
	m.HostCall("ssh_exec", automation.CodeTimeout, time.Second)
	m.Turn(17, time.Millisecond)
	m.Store("append", time.Millisecond, &automation.Error{Code: automation.CodeUnavailable})
	m.Gauge("slots", "Slots.", func() float64 { return 5 })
	got := scrape(t, m)
	for _, want := range []string{
		`opsconductor_build_info{version="1.2.3"} 1`,
		`opsconductor_http_request_seconds_count{method="GET",route="/v1/runs/{id}",status="200"} 1`,
		`opsconductor_runs_ended_total{state="succeeded"} 1`,
		`opsconductor_attempt_seconds_sum{action="command",plugin="linux",state="failed"} 1`,
		`opsconductor_attempts_total{code="unreachable",state="failed"} 1`,
		`opsconductor_host_calls_total{plugin="linux"} 3`,
		`opsconductor_host_call_bytes_total{plugin="linux"} 77`,
		`opsconductor_attempt_limits_total{limit="fuel"} 1`,
		`opsconductor_attempt_limits_total{limit="log_bytes"} 1`,
		`opsconductor_attempt_memory_bytes_sum{plugin="linux"} 1.048576e+06`,
		`opsconductor_host_call_seconds_sum{code="timeout",function="ssh_exec"} 1`,
		`opsconductor_turn_facts_sum 17`,
		`opsconductor_open_attempts 9`,
		`opsconductor_store_errors_total{code="unavailable",operation="append"} 1`,
		`opsconductor_slots 5`,
		`go_goroutines`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// TestLabelsAreBounded: neither a caller nor a plugin makes new label values.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("x")
	m.Request("BREW", "none", 404, time.Millisecond)
	m.AttemptEnded(automation.ItemFailed, "made_up_17")
	got := scrape(t, m)
	for _, not := range []string{"BREW", "made_up_17"} {
		if strings.Contains(got, not) {
			t.Errorf("%s is a label value", not)
		}
	}
}

// TestEveryCodeIsCounted: each code of the host is counted as itself.
func TestEveryCodeIsCounted(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("x")
	for _, c := range automation.Codes() {
		m.AttemptEnded(automation.ItemFailed, c)
	}
	got := scrape(t, m)
	for _, c := range automation.Codes() {
		if want := fmt.Sprintf(`opsconductor_attempts_total{code=%q,state="failed"} 1`, c); !strings.Contains(got, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	log, err := telemetry.NewLogger(&b, slog.LevelWarn, "auto")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("left out")
	log.Warn("kept", slog.String("run_id", "r1"))
	var line map[string]any
	if err := json.Unmarshal([]byte(b.String()), &line); err != nil || line["run_id"] != "r1" || line["msg"] != "kept" {
		t.Errorf("got %q (%v), want one line of JSON", b.String(), err)
	}
	if _, err := telemetry.NewLogger(&b, slog.LevelWarn, "xml"); err == nil {
		t.Error("format xml: got no error")
	}
}
