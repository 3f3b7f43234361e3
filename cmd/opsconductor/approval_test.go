package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const release = `
schema: opsconductor/v1
name: release
steps:
  - id: gate
    uses: core.approval@1
    for_each: {in: [eu, us]}
    with: {message: "Release to ${{ item }}?", expires: 1h}
  - id: built
    uses: core.wait@1
    needs: [gate]
    with: {event: build/done, timeout: 1h}
  - id: publish
    uses: core.noop@1
    needs: [built, gate]
    with: {version: "${{ steps.built.outputs.event.version }}", by: "${{ steps.gate.items[1].outputs.approved_by }}"}
`

// TestApprovalsAndEvents: a run asks, is answered by the command line, and goes on;
// over a kill -9, with all that was answered kept.
func TestApprovalsAndEvents(t *testing.T) {
	t.Parallel()
	onBoth(t, testApprovalsAndEvents)
}

func testApprovalsAndEvents(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
	run := runID(t, host.must(t, "run", "submit", write(t, release), "--output", "json"))
	eventually(t, "two questions", func() bool { return strings.Count(host.must(t, "approval", "list"), run) == 2 })
	if out := host.must(t, "approval", "list"); !strings.Contains(out, "Release to us?") {
		t.Errorf("the list does not say what is asked:\n%s", out)
	}
	a := host.call(t, "run", "wait", run, "--timeout", "4s")
	if want := "gate[1] asks: Release to us?; decide: opsconductor approval approve " + run + " gate 1, or reject"; a.code != exitWaitTimeout || !strings.Contains(a.err, want) {
		t.Errorf("exit code %d, want %d and %q\n%s", a.code, exitWaitTimeout, want, a.err)
	}
	if a := host.call(t, "approval", "approve", run, "gate"); a.code != exitUsage {
		t.Errorf("without an item: exit code %d, want %d\n%s", a.code, exitUsage, a.err)
	}
	host.must(t, "approval", "approve", run, "gate", "0", "--reason", "tested")
	host.must(t, "run", "event", run, "build/done", "--payload", `{"version":"1.2.3"}`, "--key", "build-7") // before anything waits for it
	host.kill()

	again := start()
	again.must(t, "run", "event", run, "build/done", "--payload", `{"version":"1.2.3"}`, "--key", "build-7") // the sender tries again
	again.must(t, "approval", "approve", run, "gate", "1")
	if a := again.call(t, "approval", "reject", run, "gate", "0"); a.code != exitError || !strings.Contains(a.err, "approve by admin") {
		t.Errorf("the other decision: exit code %d\n%s", a.code, a.err)
	}
	if a := again.call(t, "run", "wait", run); a.code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s", a.code, a.out, a.err)
	}
	if out := string(again.items(t, run)["publish/"].Output); !strings.Contains(out, `"by": "admin"`) || !strings.Contains(out, `"version": "1.2.3"`) {
		t.Errorf("got %s, want what was told", out)
	}
	if a := again.call(t, "run", "event", run, "build/done"); a.code != exitError || !strings.Contains(a.err, "ended already") {
		t.Errorf("an event for a run that has ended: exit code %d\n%s", a.code, a.err)
	}
	if out := again.must(t, "approval", "list", "--state", "approved"); strings.Count(out, run) != 2 {
		t.Errorf("got %s, want both that were approved", out)
	}
}

// TestApprovalIsOutOfASubmittersReach: only an admin decides, and a rejection
// fails its step with who and why.
func TestApprovalIsOutOfASubmittersReach(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	token := decode[struct{ Secret string }](t, host.must(t, "token", "create", "agent", "--role", "submitter", "--output", "json")).Secret
	agent := func(args ...string) answer {
		return command(t, map[string]string{"OPSCONDUCTOR_URL": host.url, "OPSCONDUCTOR_TOKEN": token}, "", args...)
	}
	got := agent("run", "submit", write(t, release), "--output", "json")
	run := runID(t, got.out)
	eventually(t, "two questions", func() bool { return strings.Count(agent("approval", "list").out, run) == 2 })
	if a := agent("approval", "approve", run, "gate", "0"); a.code != exitUnauthorised {
		t.Errorf("a submitter: exit code %d, want %d\n%s", a.code, exitUnauthorised, a.err)
	}
	host.must(t, "approval", "reject", run, "gate", "0", "--reason", "not on a Friday")
	host.must(t, "approval", "approve", run, "gate", "1")
	if a := host.call(t, "run", "wait", run); a.code != exitSomeFailed || !strings.Contains(a.out+a.err, "rejected by admin: not on a Friday") {
		t.Errorf("exit code %d, want %d, and who rejected it and why\n%s\n%s", a.code, exitSomeFailed, a.out, a.err)
	}
}

// TestWatchSaysWhoIsWaitedFor: who watches a run is told what to do for it.
func TestWatchSaysWhoIsWaitedFor(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	run := runID(t, host.must(t, "run", "submit", write(t, `
schema: opsconductor/v1
name: asks
steps: [{id: go, uses: core.wait@1, with: {event: go, timeout: 5s}}]
`), "--output", "json"))
	began := time.Now()
	a := host.call(t, "run", "watch", run)
	if want := "go waits for the event go; send it: opsconductor run event " + run + " go"; a.code != exitRunFailed || !strings.Contains(a.err, want) {
		t.Errorf("exit code %d, want %d and %q\n%s", a.code, exitRunFailed, want, a.err)
	}
	if !strings.Contains(a.out+a.err, "no event go came within 5s") || time.Since(began) > 30*time.Second {
		t.Errorf("after %s: %s\n%s", time.Since(began), a.out, a.err)
	}
}
