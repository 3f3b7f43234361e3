package bench_test

import (
	"testing"

	"opsconductor.dev/host/app/bench"
)

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
			if len(steps.Results) != 4 || steps.Cores == 0 || steps.Go == "" || steps.Store != store {
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
