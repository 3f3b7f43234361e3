package main

import (
	"strings"
	"testing"
)

// TestPage: what the programs print becomes rows, medians and ratios, and a busy
// machine is said.
func TestPage(t *testing.T) {
	t.Parallel()
	c := comparison{rounds: 3, steps: 1000, left: []string{"Temporal: it was not built"}}
	for _, rate := range []string{"100", "300", "200"} {
		body := `{"version": "v1", "cores": 2, "processor": "P", "load_before": 0.5, "results": [
			{"name": "fan_out", "executor": "sandbox_small", "steps": 1000, "steps_per_second": ` + rate + `},
			{"name": "chain", "executor": "sandbox_small", "steps": 1000, "p50_ms": 0.2, "whole_p50_ms": 0.5},
			{"name": "due_to_start", "executor": "sandbox_small", "steps": 1000, "p50_ms": 9}]}`
		body = strings.ReplaceAll(body, "\n", " ")
		if err := c.take("postgres", []byte("a note\n"+body+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	c.results = append(c.results, result{Peer: "River", Version: "v0", Name: "drain", PerS: 400, Load: 0.5, Settings: "few workers"})
	page := c.page()
	for _, want := range []string{
		"| OpsConductor, postgres, small module in its sandbox | v1 | 200/s | – | 0.50 ms | 0.5 |",
		"| River | v0 | 400/s | – | – | 0.5 |", "0.50 times River's rate", "one run with 1000 items", "- River: few workers.", "Temporal: it was not built",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "busy") {
		t.Error("a quiet machine is called busy")
	}
	c.results[0].Load = 9
	if !strings.Contains(c.page(), "busy with other work (load up to 9)") {
		t.Error("the page does not say that the machine was busy")
	}
}
