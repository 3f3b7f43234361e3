package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRerun: of a fan-out of which one target failed that target alone runs again,
// and what comes after; by steps the step runs again whole.
func TestRerun(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host, srv := start(), sshd(t)
		host.addCredential(t, "good", srv.User, srv.ClientKey)
		for _, name := range []string{"one", "two"} {
			host.addAsset(t, target{name, srv.Host, srv.Port, srv.HostKeys}, "good")
		}
		dir := t.TempDir()
		ledger, flag := filepath.Join(dir, "ledger"), filepath.Join(dir, "flag")
		file := write(t, `
schema: opsconductor/v1
name: upgrade
targets: {select: "'demo' in asset.tags"}
steps:
  - id: upgrade
    uses: linux.script@1
    for_each: {in: targets}
    with:
      args: ["${{ asset.name }}", "`+ledger+`", "`+flag+`"]
      script: |
        echo "$1" >>"$2"
        [ "$1" = one ] || [ -e "$3" ]
  - {id: report, uses: core.noop@1, needs: [upgrade], with: {all: "${{ steps.upgrade.items.map(i, i.outputs.exit_code) }}"}}
`)
		first := host.call(t, "run", "submit", file, "--wait", "--output", "json")
		if first.code != exitSomeFailed {
			t.Fatalf("exit code %d, want %d\n%s%s", first.code, exitSomeFailed, first.out, first.err)
		}
		before := runID(t, first.out)
		if err := os.WriteFile(flag, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		run := runID(t, host.must(t, "run", "rerun", before, "--key", "k1", "--wait", "--output", "json"))
		ran(t, ledger, 1, 2)
		items := host.items(t, run)
		if one, two := items["upgrade/one"], items["upgrade/two"]; !one.Kept || two.Kept || one.State != "succeeded" || two.State != "succeeded" {
			t.Errorf("got %+v and %+v, want one kept, two run, both succeeded", one, two)
		}
		if got := items["report/"]; string(got.Output) == "" || got.State != "succeeded" {
			t.Errorf("the step after: got %+v", got)
		}
		if again := runID(t, host.must(t, "run", "rerun", before, "--key", "k1", "--output", "json")); again != run {
			t.Errorf("the same key gave run %s, want %s", again, run)
		}
		if got := decode[map[string]any](t, host.must(t, "run", "get", run, "--output", "json"))["rerun_of"]; got != before {
			t.Errorf("rerun_of is %v, want %s", got, before)
		}
		host.must(t, "run", "rerun", before, "--steps", "--wait")
		ran(t, ledger, 2, 3)
		if a := host.call(t, "run", "rerun", run); a.code != exitError {
			t.Errorf("a rerun of what succeeded: exit code %d, want %d\n%s", a.code, exitError, a.err)
		}
		host.must(t, "run", "rerun", run, "--all", "--wait")
	})
}

// ran checks how often each target was at work.
func ran(t *testing.T, ledger string, one, two int) {
	t.Helper()
	got, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(got), "one\n") != one || strings.Count(string(got), "two\n") != two {
		t.Fatalf("the targets saw %q, want one %d and two %d times", got, one, two)
	}
}
