package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"opsconductor.dev/host/store/postgres/privatepg"
)

// measure runs a benchmark in small, in a process of its own, and returns the
// object on the last line of its output.
func measure(t *testing.T, args ...string) map[string]any {
	t.Helper()
	cmd := program(t.Context(), append([]string{"bench"}, append(args, "--json")...)...)
	var notes strings.Builder
	cmd.Stderr = &notes
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bench %s: %v\n%s", strings.Join(args, " "), err, notes.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatalf("bench %s: %v in %s", strings.Join(args, " "), err, out)
	}
	for _, key := range []string{"cores", "go", "database", "settings", "load_before"} {
		if got[key] == nil || got[key] == "" {
			t.Errorf("bench %s does not say its %s: %v", strings.Join(args, " "), key, got)
		}
	}
	return got
}

// figures checks that figures are there, and are some.
func figures(t *testing.T, got map[string]any, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if v, ok := got[key].(float64); !ok || v < 0 {
			t.Errorf("bench %v: %s is %v, want a figure", got["benchmark"], key, got[key])
		}
	}
}

// TestBenchmarksPrintTheirKeys: each benchmark in small, as the command line has it.
func TestBenchmarksPrintTheirKeys(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			on := func(args ...string) map[string]any {
				if store == "postgres" {
					args = append(args, "--database-url", database(t))
				}
				return measure(t, append(args, "--store", store)...)
			}
			figures(t, on("steps", "--runs", "5", "--items", "10", "--rate", "50", "--steady", "200ms"), "steps_per_s", "p99_ready_to_start_ms")
			figures(t, on("chain", "--runs", "2", "--steps", "4"), "ms_per_step_p50", "ms_per_step_p99")
			figures(t, on("fanout", "--items", "50"), "seconds", "steps_per_s", "peak_rss_mib")
			figures(t, on("backlog", "--items", "50", "--parked", "1000"), "ratio", "rss_mib")
			figures(t, on("restart", "--runs", "20", "--times", "1"), "seconds")
			figures(t, on("soak", "--minutes", "0.05", "--runs", "3"), "loss", "steps_per_s", "top_rate_kept")
			figures(t, on("ssh", "--targets", "3", "--fakes", "20", "--times", "1", "--ansible=false"),
				"cold_s", "warm_s", "bare_cold_s", "bare_warm_s", "fake_10000_s", "lost", "peak_rss_mb")
			if store == "postgres" {
				figures(t, on("chain", "--hosts", "2", "--runs", "2", "--steps", "4"), "ms_per_step_p50", "ms_per_step_p99")
				figures(t, on("takeover", "--times", "1"), "p50_s", "p99_s")
			}
		})
	}
}

// TestBenchmarksRefuse: what can't be measured is said, and not measured otherwise.
func TestBenchmarksRefuse(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"takeover --store sqlite", "chain --hosts 2 --store sqlite", "chain --hosts 3 --store postgres",
		"soak --minutes 0", "steps --store mysql",
	} {
		if got := command(t, nil, "", append([]string{"bench"}, strings.Fields(line)...)...); got.code == exitOK || got.err == "" {
			t.Errorf("bench %s: got exit code %d, %q; want a refusal", line, got.code, got.err)
		}
	}
}

// TestServerForOthers: the benchmarks' own server says where it is, serves until
// standard input ends, and is gone then.
func TestServerForOthers(t *testing.T) {
	t.Parallel()
	cmd := program(t.Context(), "bench", "postgres")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var where struct {
		Version string   `json:"version"`
		URL     string   `json:"url"`
		Empty   []string `json:"empty"`
	}
	if err := json.NewDecoder(out).Decode(&where); err != nil || where.Version == "" || len(where.Empty) == 0 {
		t.Fatalf("got %+v, %v; want the server's version and databases", where, err)
	}
	for _, url := range append(where.Empty, where.URL) {
		if _, err := privatepg.Look(t.Context(), url); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
	if _, err := privatepg.Look(t.Context(), where.URL); err == nil {
		t.Error("the server is still there")
	}
}
