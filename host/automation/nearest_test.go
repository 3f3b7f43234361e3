package automation_test

import (
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"steps", "schema", "used_pct", "name", "id", "if"}
	for name, want := range map[string]string{
		"step": "steps", "shcema": "schema", "used_pcnt": "used_pct", "Name": "name", "zzz": "", "x": "", "": "",
		strings.Repeat("n", 200): "",
	} {
		if got := automation.Nearest(name, known); got != want {
			t.Errorf("Nearest(%q): got %q, want %q", name, got, want)
		}
	}
}
