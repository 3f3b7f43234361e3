package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRetryIf: a condition tries again what the error is not for, does not try
// again what it is for, and never repeats a command that ran.
func TestRetryIf(t *testing.T) {
	t.Parallel()
	onBoth(t, testRetryIf)
}

func testRetryIf(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
	srv := sshd(t)
	host.addCredential(t, "key", srv.User, srv.ClientKey)
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "key")
	host.addAsset(t, target{"gone", "127.0.0.1", 1, srv.HostKeys}, "key")
	mark := filepath.Join(t.TempDir(), "mark")
	script := `{args: ["` + mark + `"], script: "echo ran >>\"$1\"; exit 3"}`
	file := write(t, `
schema: opsconductor/v1
name: conditions
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: again, uses: linux.script@1, for_each: {in: targets}, effect: idempotent, with: `+script+`, on_failure: continue,
     retry: {max_attempts: 3, if: "asset.name == 'one' && error.code != 'unreachable'", backoff: {initial: 10ms}}}
  - {id: once, uses: linux.script@1, needs: [again], for_each: {in: targets}, with: `+script+`, on_failure: continue,
     retry: {max_attempts: 3, if: "true", backoff: {initial: 10ms}}}
  - {id: broken, uses: core.fail@1, with: {message: no luck}, on_failure: continue, retry: {max_attempts: 3, if: "1 / (attempt - attempt) == 1"}}
`)
	run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
	host.must(t, "run", "wait", run)
	items := host.items(t, run)
	for name, attempts := range map[string]int{"again/one": 3, "again/gone": 1, "once/one": 1, "once/gone": 3, "broken/": 1} {
		if got := items[name]; got.State != "failed" || got.Attempt != attempts {
			t.Errorf("%s: got %s after %d attempts (%+v), want failed after %d", name, got.State, got.Attempt, got.Error, attempts)
		}
	}
	const want = "no luck; not tried again, because retry.if has no answer: a division by zero"
	if got := items["broken/"].Error; got == nil || got.Message != want {
		t.Errorf("broken: got %+v, want %s", got, want)
	}
	if b, _ := os.ReadFile(mark); strings.Count(string(b), "ran") != 4 {
		t.Errorf("the command ran %q; want three times, and once", b)
	}
}
