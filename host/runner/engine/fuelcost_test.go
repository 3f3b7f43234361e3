package engine_test

import (
	"testing"

	"opsconductor.dev/host/runner/engine"
)

// TestMeteringCostsLittle holds the figures with room for a machine that does other
// work. The fuel in a global, or an if instead of the loop around a tick, would
// double a loop's time.
func TestMeteringCostsLittle(t *testing.T) {
	cost, err := engine.MeasureFuel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("loop %.2f, call %.2f", cost.Loop, cost.Call)
	if cost.Loop < 0.5 || cost.Loop > 1.25 || cost.Call < 0.5 || cost.Call > 1.45 {
		t.Errorf("got %+v, want about 1.0 and 1.1", cost)
	}
}

// BenchmarkFuel reports what metering costs, as ratios.
func BenchmarkFuel(b *testing.B) {
	for b.Loop() {
		cost, err := engine.MeasureFuel(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(cost.Loop, "loop-ratio")
		b.ReportMetric(cost.Call, "call-ratio")
	}
}
