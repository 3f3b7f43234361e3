package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaultsAtRunTime: what only a run can know is an error of its step or item, with
// nothing done on a target, and nothing tried again; the steps beside it go on.
func TestFaultsAtRunTime(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	srv := sshd(t)
	host.addCredential(t, "key", srv.User, srv.ClientKey)
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "key")
	mark := filepath.Join(t.TempDir(), "mark")
	file := write(t, `
schema: opsconductor/v1
name: faults
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: a, uses: core.noop@1, with: {n: 0, text: "abcdefgh"}}
  - {id: condition, uses: core.noop@1, needs: [a], if: "1 / int(a0) == 1"}
`)
	if a := host.call(t, "run", "submit", file); a.code != exitError || !strings.Contains(a.err, "unknown name a0") {
		t.Errorf("a definition with a fault: exit code %d\n%s", a.code, a.err)
	}
	file = write(t, `
schema: opsconductor/v1
name: faults
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: a, uses: core.noop@1, with: {n: 0, list: [1], text: "abcdefgh"}}
  - {id: division, uses: core.noop@1, needs: [a], if: "1 / int(steps.a.outputs.value.n) == 1"}
  - {id: index, uses: core.noop@1, needs: [a], if: "steps.a.outputs.value.list[4] == 1"}
  - {id: key, uses: core.noop@1, needs: [a], if: "steps.a.outputs.value.missing == 1"}
  - {id: over, uses: core.noop@1, needs: [a], for_each: {in: "${{ steps.a.outputs.value.n }}"}}
  - {id: big, uses: linux.script@1, for_each: {in: targets}, with: {script: "head -c 900000 /dev/zero | tr '\\0' x"}}
  - {id: huge, uses: core.noop@1, needs: [big], with: {x: "${{ steps.big.items[0].outputs.stdout + steps.big.items[0].outputs.stdout }}"}}
  - {id: cost, uses: core.noop@1, needs: [big], if: "[1, 2, 3, 4, 5, 6, 7, 8, 9].all(t, steps.big.items[0].outputs.stdout.upperAscii() != '')"}
  - id: kind
    uses: linux.script@1
    needs: [a]
    for_each: {in: targets}
    with: {script: "touch `+mark+`", args: "${{ steps.a.outputs.value.n }}"}
    retry: {max_attempts: 3}
  - {id: output, uses: linux.script@1, needs: [a], for_each: {in: targets}, effect: idempotent, retry: {max_attempts: 3}, with: {script: "head -c 3000000 /dev/zero | tr '\\0' x"}}
  - {id: fine, uses: core.noop@1, needs: [a]}
`)
	run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
	if a := host.call(t, "run", "wait", run); a.code != exitRunFailed && a.code != exitSomeFailed {
		t.Errorf("exit code %d\n%s\n%s", a.code, a.out, a.err)
	}
	items := host.items(t, run)
	for name, want := range map[string]struct{ code, pointer, message, suggestion string }{
		"division/": {"expression", "/if", "step division, if: a division by zero", ""},
		"index/":    {"expression", "/if", "step index, if: an index past the end of a list", "ask for size(…) first"},
		"key/":      {"expression", "/if", "step key, if: a field or key that is not there", "ask with has(…) first"},
		"over/":     {"expression", "/for_each/in", "step over, for_each: it gives no list", "make it a list: [value]"},
		"huge/":     {"limit", "/with/x", "step huge, with: a result that is too large", "take only the fields that are needed"},
		"cost/":     {"limit", "/if", "step cost, if: it costs too much", "loop over fewer elements"},
		"kind/one":  {"wrong_type", "/with/args", "the step's input does not fit the action: /with/args: a value of type number (allowed: array)", ""},
	} {
		got := items[name]
		if got.State != "failed" || got.Error == nil {
			t.Errorf("%s: got %s (%+v), want failed", name, got.State, got.Error)
			continue
		}
		e := got.Error
		if e.Code != want.code || e.Message != want.message || e.Pointer != want.pointer || e.Suggestion != want.suggestion || got.Attempt > 1 {
			t.Errorf("%s: got %+v after %d attempts, want %+v", name, *e, got.Attempt, want)
		}
	}
	if o := items["output/one"]; o.State != "succeeded" || !strings.Contains(string(o.Output), `"stdout_truncated": true`) {
		t.Errorf("output over what is kept: got %s (%+v), want it cut, and said to be", o.State, o.Error)
	}
	if items["fine/"].State != "succeeded" {
		t.Errorf("fine: got %s", items["fine/"].State)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a command ran whose input does not fit")
	}
}
