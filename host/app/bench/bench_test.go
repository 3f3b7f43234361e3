package bench_test

import (
	"os"
	"testing"

	"opsconductor.dev/host/app/bench"
	"opsconductor.dev/host/runner/engine"
)

// TestMain lets this program be the sandbox processes that it measures.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == engine.ChildCommand {
		os.Exit(engine.ServeChild(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestBenchmarksRun runs each benchmark once in small, so that they don't rot.
func TestBenchmarksRun(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			o := bench.Options{Store: store, Runs: 5, Items: 10, Steps: 4}
			steps, err := bench.Steps(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(steps.Results) != 6 || steps.Cores == 0 || steps.Go == "" || steps.Store != store {
				t.Errorf("got %+v, want two results for each executor, and the machine", steps)
			}
			for _, r := range steps.Results {
				if r.StepsPerSecond <= 0 {
					t.Errorf("%s, %s: got %v steps/s", r.Name, r.Executor, r.StepsPerSecond)
				}
			}
			chain, err := bench.Chain(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range chain.Results {
				if r.P50MS <= 0 || r.P99MS < r.P50MS {
					t.Errorf("%s: got p50 %v ms, p99 %v ms", r.Executor, r.P50MS, r.P99MS)
				}
			}
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
