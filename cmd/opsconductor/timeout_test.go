package main

import (
	"strings"
	"testing"
)

// TestWhichTimeout: each of the times that can be up says which one it was, and
// the command on the target is stopped.
func TestWhichTimeout(t *testing.T) {
	t.Parallel()
	onBoth(t, testWhichTimeout)
}

func testWhichTimeout(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
	srv := sshd(t)
	host.addCredential(t, "key", srv.User, srv.ClientKey)
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "key")
	file := write(t, `
schema: opsconductor/v1
name: times
targets: {select: "'demo' in asset.tags"}
limits: {timeout: 8s}
steps:
  - {id: attempt, uses: linux.command@1, for_each: {in: targets}, with: {argv: [sleep, "60"]}, timeout: 1s}
  - {id: item, uses: linux.command@1, for_each: {in: targets}, with: {argv: [sleep, "60"]}, item_timeout: 1500ms, retry: {max_attempts: 5}}
  - {id: backoff, uses: core.fail@1, with: {message: not yet}, retry: {max_attempts: 5, backoff: {initial: 1m, jitter: none}}, item_timeout: 1s}
  - {id: step, uses: core.wait@1, for_each: {in: [1, 2, 3], max_parallel: 1}, with: {duration: 40s}, step_timeout: 1s}
  - {id: run, uses: core.wait@1, with: {duration: 1m}}
`)
	run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
	if a := host.call(t, "run", "wait", run); a.code != exitRunFailed {
		t.Fatalf("exit code %d\n%s\n%s", a.code, a.out, a.err)
	}
	items := host.items(t, run)
	for name, want := range map[string]string{
		"attempt/one": "failed the attempt took longer than its timeout of 1s",
		"item/one":    "failed the item took longer than its item_timeout of 1.5s",
		"backoff/":    "failed the item took longer than its item_timeout of 1s; its last attempt: not yet",
		"step/":       "failed the step took longer than its step_timeout of 1s",
		"run/":        "cancelled the run took longer than its timeout of 8s",
	} {
		got := items[name]
		state, message, _ := strings.Cut(want, " ")
		if got.State != state || got.Error == nil || !strings.Contains(got.Error.Message, message) || got.Attempt > 1 {
			t.Errorf("%s: got %+v (%+v), want %s", name, got, got.Error, want)
		} else {
			t.Logf("%s: %s: %s", name, got.Error.Code, got.Error.Message)
		}
	}
}
