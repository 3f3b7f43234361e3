package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/client"
)

// TestMaintenanceWindows: a change waits while a freeze is on, what only reads goes
// on, and the change starts within a moment of the freeze's end, without a restart.
func TestMaintenanceWindows(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host, srv := start(), sshd(t)
		host.addCredential(t, "good", srv.User, srv.ClientKey)
		host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "good")
		from, until := time.Now().Add(-time.Hour).UTC(), time.Now().Add(time.Hour).UTC()
		host.must(t, "window", "create", "holidays", "--kind", "freeze", "--asset", "*", "--from", from.Format(time.RFC3339), "--until", until.Format(time.RFC3339))
		if got := host.must(t, "window", "list"); !strings.Contains(got, "holidays") || !strings.Contains(got, "freeze") {
			t.Errorf("window list: got %q", got)
		}
		flag := filepath.Join(t.TempDir(), "flag")
		file := write(t, `
schema: opsconductor/v1
name: change
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: read, uses: linux.facts@1, for_each: {in: targets}}
  - {id: change, uses: linux.command@1, for_each: {in: targets}, with: {argv: [touch, "`+flag+`"]}}
`)
		run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
		eventually(t, "the step that reads", func() bool { return host.items(t, run)["read/one"].State == "succeeded" })
		if i := host.items(t, run)["change/one"]; i.State != "ready" && i.State != "parked" {
			t.Errorf("the change is %s while its target is frozen, want it to wait", i.State)
		}
		why := decode[[]client.Reason](t, host.must(t, "run", "why", run, "--output", "json"))
		if len(why) != 1 || why[0].Kind != "window" || why[0].Window != "holidays" || why[0].Step != "change" || !why[0].Until.Equal(until.Truncate(time.Second)) {
			t.Errorf("run why: got %+v, want step change to wait for window holidays until %s", why, until)
		}
		host.must(t, "window", "update", "holidays", "--kind", "freeze", "--asset", "*", "--from", from.Format(time.RFC3339), "--until", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
		if a := host.call(t, "run", "wait", run, "--timeout", "60s"); a.code != exitOK {
			t.Errorf("exit code %d, want %d\n%s", a.code, exitOK, a.err)
		}
		if why := decode[[]client.Reason](t, host.must(t, "run", "why", run, "--output", "json")); len(why) != 0 {
			t.Errorf("run why of a run that has ended: got %+v, want nothing", why)
		}
		host.must(t, "window", "delete", "holidays")
		if a := host.call(t, "window", "create", "bad", "--asset", "*", "--cron", "0 0 30 2 *", "--duration", "1h"); a.code != exitError || !strings.Contains(a.err, "/cron") {
			t.Errorf("a window that never is: exit code %d, %q", a.code, a.err)
		}
	})
}
