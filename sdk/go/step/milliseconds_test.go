package step_test

import (
	"testing"

	"opsconductor.dev/sdk/go/step"
)

func TestMilliseconds(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]int{0: 0, 0.0001: 1, 1.5: 1500, 0.0015: 2, 86400: 86_400_000} {
		if got := step.Milliseconds(seconds); got != want {
			t.Errorf("%v s: got %d, want %d", seconds, got, want)
		}
	}
}
