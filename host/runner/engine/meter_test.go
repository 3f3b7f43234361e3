package engine_test

import (
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// TestFuel: what is computed is counted, alike in every attempt, and bounded.
func TestFuel(t *testing.T) {
	t.Parallel()
	// A loop of a million turns, and one without an end.
	turns := concat(wasmtest.I32(1_000_000), []byte{0x21, 0, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}, wasmtest.I32(0))
	var b wasmtest.Builder
	b.Memory(1)
	b.Export("turns", b.FuncLocals(">i", 1, turns...))
	b.Action("forever", concat(loop, []byte{0x41, 0})...)
	b.Action("noop", 0x41, 0)
	m := load(t, newEngine(t, engine.NameNative, nil), "fuel", b.Bytes())
	var first int64
	for n := range 4 {
		r, err := call(t.Context(), m, config(), "turns", nil)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			first = r.Usage.Fuel
		}
		if r.Usage.Fuel != first || first < 3_000_000 || first > 10_000_000 {
			t.Errorf("attempt %d used %d units, the first %d, want the same, for a million turns of five instructions", n, r.Usage.Fuel, first)
		}
	}
	if r, err := call(t.Context(), m, config(), "noop", nil); err != nil || r.Usage.Fuel > 100 {
		t.Errorf("noop used %d units, %v", r.Usage.Fuel, err)
	}
	c := config()
	c.Limits.Fuel = 2_000_000
	for _, export := range []string{"turns", "forever"} {
		_, err := call(t.Context(), m, c, export, nil)
		wantCode(t, err, automation.CodeFuelLimit)
		if err != nil && !strings.Contains(err.Error(), "limits.fuel") {
			t.Errorf("the error %q does not name limits.fuel", err)
		}
	}
}

// TestDepth: endless recursion ends with a code of its own, and the next attempt
// has all the depth again.
func TestDepth(t *testing.T) {
	t.Parallel()
	m := load(t, newEngine(t, engine.NameNative, nil), "deep", recursion())
	for range 3 {
		_, err := call(t.Context(), m, config(), "run", nil)
		wantCode(t, err, automation.CodeDepthLimit)
	}
}
