package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCancelItemByItem: after a cancel each item says what became of it: killed on
// its target, done before, or never begun.
func TestCancelItemByItem(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host, srv := start(), sshd(t)
		host.addCredential(t, "key", srv.User, srv.ClientKey)
		for _, name := range []string{"a", "b", "c", "d"} {
			host.addAsset(t, target{name, srv.Host, srv.Port, srv.HostKeys}, "key")
		}
		dir := t.TempDir()
		run := runID(t, host.must(t, "run", "submit", write(t, `
schema: opsconductor/v1
name: stop
targets: {select: "'demo' in asset.tags"}
steps:
  - id: act
    uses: linux.script@1
    for_each: {in: targets, max_parallel: 3}
    with: {args: ["`+dir+`/${{ asset.name }}"], script: '[ "${1##*/}" = a ] && exit 0; echo $$ >"$1"; exec sleep 600'}
  - {id: after, uses: core.noop@1, needs: [act]}
`), "--output", "json"))
		began := func(name string) bool {
			b, _ := os.ReadFile(filepath.Join(dir, name))
			return strings.HasSuffix(string(b), "\n")
		}
		eventually(t, "one is done, three are at work", func() bool {
			return host.items(t, run)["act/a"].State == "succeeded" && began("b") && began("c") && began("d")
		})
		host.must(t, "run", "cancel", run, "--reason", "wrong release")
		host.call(t, "run", "wait", run)
		items := host.items(t, run)
		for _, name := range []string{"b", "c", "d"} {
			i := items["act/"+name]
			if i.State != "cancelled" || i.Error == nil || !strings.Contains(i.Error.Message, "confirmed dead") {
				t.Errorf("%s: got %s %+v; want cancelled, and that its command is dead", name, i.State, i.Error)
			}
			pid, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); !os.IsNotExist(err) {
				t.Errorf("%s: its command still runs (%v)", name, err)
			}
		}
		if i := items["act/a"]; i.State != "succeeded" {
			t.Errorf("a: got %s; want what it was before the cancel", i.State)
		}
		i := items["after/"]
		if i.State != "cancelled" || i.Attempt != 0 || i.Error == nil || !strings.Contains(i.Error.Message, "wrong release") {
			t.Errorf("after: got %+v, %+v; want never begun, and why", i, i.Error)
		}
	})
}

// TestTimeoutInAFreeze: a run whose items a maintenance window keeps has no longer
// than any other, paused or not; nothing of it starts when the window opens.
func TestTimeoutInAFreeze(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host, srv := start(), sshd(t)
		host.addCredential(t, "key", srv.User, srv.ClientKey)
		host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "key")
		host.must(t, "window", "create", "freeze", "--kind", "freeze", "--asset", "*",
			"--from", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "--until", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		flag := filepath.Join(t.TempDir(), "flag")
		file := write(t, `
schema: opsconductor/v1
name: change
targets: {select: "'demo' in asset.tags"}
limits: {timeout: 2s}
steps:
  - {id: change, uses: linux.command@1, for_each: {in: targets}, with: {argv: [touch, "`+flag+`"]}, timeout: 1s}
`)
		going, paused := runID(t, host.must(t, "run", "submit", file, "--output", "json")), runID(t, host.must(t, "run", "submit", file, "--output", "json"))
		host.must(t, "run", "pause", paused)
		for _, run := range []string{going, paused} {
			if a := host.call(t, "run", "wait", run); a.code != exitRunFailed || !strings.Contains(a.out+a.err, "the run took longer than its timeout of 2s") {
				t.Errorf("exit code %d, want %d, and which time was up\n%s\n%s", a.code, exitRunFailed, a.out, a.err)
			}
			if i := host.items(t, run)["change/one"]; i.Attempt != 0 || i.State != "cancelled" {
				t.Errorf("got %+v; want it never begun", i)
			}
		}
		host.must(t, "window", "delete", "freeze")
		host.must(t, "run", "submit", write(t, "schema: opsconductor/v1\nname: b\ntargets: {select: \"'demo' in asset.tags\"}\nsteps: [{id: a, uses: linux.command@1, for_each: {in: targets}, with: {argv: [\"true\"]}}]"), "--wait")
		if _, err := os.Stat(flag); !os.IsNotExist(err) {
			t.Errorf("a run that had ended acted when the window opened (%v)", err)
		}
	})
}
