package bench_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/app/bench"
	"opsconductor.dev/host/runner/engine"
)

// TestMain lets this program be the sandbox processes that it measures, and the halves
// of the backlog's benchmark.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "bench" {
		if err := half(os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == engine.ChildCommand {
		os.Exit(engine.ServeChild(os.Args[2:]))
	}
	os.Exit(withCache(m))
}

func half(args []string) error {
	var o bench.Options
	flags := flag.NewFlagSet("half", flag.ContinueOnError)
	flags.StringVar(&o.Store, "store", "", "")
	flags.IntVar(&o.Items, "items", 0, "")
	flags.IntVar(&o.Parked, "parked", 0, "")
	flags.IntVar(&o.Slots, "slots", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.DatabaseURL, o.CacheDir = os.Getenv("OPSCONDUCTOR_DATABASE_URL"), os.Getenv(cacheEnv)
	return bench.Half(context.Background(), o, os.Stdin, os.Stdout)
}

// cacheEnv names the folder of compiled plugins that all tests share.
const cacheEnv = "OPSCONDUCTOR_CACHE_DIR"

func withCache(m *testing.M) int {
	dir, err := os.MkdirTemp("", "opsconductor-bench-cache-")
	if err == nil {
		err = os.Setenv(cacheEnv, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	return m.Run()
}

// TestBenchmarksRun runs each benchmark once in small, so that they don't rot.
func TestBenchmarksRun(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			o := bench.Options{Store: store, CacheDir: os.Getenv(cacheEnv), Runs: 5, Items: 10, Steps: 4, Rate: 50, Steady: 200 * time.Millisecond}
			steps, err := bench.Steps(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(steps.Results) != 8 || steps.Cores == 0 || steps.Go == "" || steps.Store != store {
				t.Errorf("got %+v, want two results for each executor, two of the steady rate, and the machine", steps)
			}
			for _, r := range steps.Results {
				if r.StepsPerSecond <= 0 {
					t.Errorf("%s, %s: got %v steps/s", r.Name, r.Executor, r.StepsPerSecond)
				}
			}
			has(t, steps, "steps_per_s", "runs_per_s", "p99_ready_to_start_ms", "allocs_per_step", "commits_per_1000")
			chain, err := bench.Chain(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			has(t, chain, "ms_per_step_p50", "ms_per_step_p99")
			for _, r := range chain.Results {
				if r.P50MS <= 0 || r.P99MS < r.P50MS {
					t.Errorf("%s: got p50 %v ms, p99 %v ms", r.Executor, r.P50MS, r.P99MS)
				}
			}
		})
	}
}

// has checks that a report's JSON has figures at its top, beside what they were
// measured on, and its rows of Markdown as many.
func has(t *testing.T, r bench.Report, keys ...string) {
	t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	for _, key := range keys {
		if v, ok := got[key].(float64); !ok || v < 0 {
			t.Errorf("%s: %s is %v, want a figure", r.Benchmark, key, got[key])
		}
	}
	for _, key := range []string{"cores", "go", "database", "settings", "load_before"} {
		if got[key] == nil || got[key] == "" {
			t.Errorf("%s: %s is missing in %s", r.Benchmark, key, body)
		}
	}
	rows := strings.Split(strings.TrimSpace(r.Markdown()), "\n")
	if len(rows) != len(r.Figures) {
		t.Errorf("%s: got %d rows for %d figures:\n%s", r.Benchmark, len(rows), len(r.Figures), r.Markdown())
	}
	for _, row := range rows {
		if strings.Count(row, "|") != 7 || strings.Contains(row, "`: |") {
			t.Errorf("%s: the row %s lacks a column, or says not what it is", r.Benchmark, row)
		}
	}
}

// TestFiguresOfMemory: a run of many items, and a backlog.
func TestFiguresOfMemory(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			o := bench.Options{Store: store, CacheDir: os.Getenv(cacheEnv), Items: 100, Parked: 2000, Program: os.Args[:1]}
			fan, err := bench.FanOut(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			has(t, fan, "seconds", "steps_per_s", "peak_rss_mib")
			backlog, err := bench.Backlog(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			has(t, backlog, "ratio", "cpu_ratio", "rss_mib")
		})
	}
}

func TestSandboxFigures(t *testing.T) {
	t.Parallel()
	r, err := bench.Sandbox(t.Context(), bench.Options{Runs: 40})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]float64{
		"isolated_go": r.IsolatedGoUS, "isolated_small": r.IsolatedSmallUS, "fresh_extism_go": r.FreshExtismGoUS,
		"fresh_extism_small": r.FreshExtismSmallUS, "bare_go": r.BareGoUS, "bare_small": r.BareSmallUS, "process_go": r.ProcessGoUS, "process_small": r.ProcessSmallUS, "compile_cached_go": r.CompileCachedGoMS,
		"fuel_loop_overhead": r.FuelLoopOverhead, "fuel_call_overhead": r.FuelCallOverhead,
	} {
		if v <= 0 {
			t.Errorf("%s: got %v", name, v)
		}
	}
	// Shared memory is what makes it so: a Go sandbox has 4 MiB.
	if r.IdleGo1000MiB > 1000 {
		t.Errorf("1,000 idle sandboxes take %.0f MiB, want at most 1000", r.IdleGo1000MiB)
	}
}
