package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/host/client"
)

const gated = `
schema: opsconductor/v1
name: gated
inputs: {who: {type: string, required: true}}
steps:
  - {id: ask, uses: core.approval@1, with: {message: "Go on with ${{ inputs.who }}?"}}
  - {id: hold, uses: core.wait@1, needs: [ask], with: {event: go, timeout: 1h}}
  - {id: act, uses: core.noop@1, needs: [hold], with: {n: "${{ steps.hold.outputs.event.n }}"}}
outputs: {n: "${{ string(steps.act.outputs.value.n) }}", by: "${{ steps.ask.outputs.approved_by }}"}
`

const gates = `
schema: opsconductor/v1
name: gates
steps:
  - {id: each, uses: workflow.gated@1, for_each: {in: [a, b, c], max_parallel: 1}, with: {who: "${{ item }}"}}
`

// TestPausedGates: sub-workflows that ask and wait, one after the other, while the
// whole, and one of them, is paused, and the whole is cancelled. What nobody is
// asked any more is not pending.
func TestPausedGates(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host := start()
		host.must(t, "workflow", "store", write(t, gated))
		run := runID(t, host.must(t, "run", "submit", write(t, gates), "--output", "json"))
		first := host.asking(t, run, "Go on with a?")
		host.must(t, "run", "pause", run)
		eventually(t, "the child is paused", func() bool { return host.run(t, first).State == "paused" })
		host.must(t, "approval", "approve", first, "ask") // what is asked may be answered meanwhile
		if i := host.items(t, first)["hold/"]; i.State != "ready" {
			t.Errorf("what comes after the approval is %s while the run is paused; want ready", i.State)
		}
		host.must(t, "run", "event", first, "go", "--payload", `{"n":1}`) // kept, for nothing waits yet
		if got := host.why(t, first); len(got) != 2 || got[0].Kind != "paused" || got[1].Kind != "needs" {
			t.Errorf("why of the paused child: %+v", got)
		}
		host.must(t, "run", "resume", run)
		second := host.asking(t, run, "Go on with b?")
		host.must(t, "run", "pause", second)
		eventually(t, "the second child is paused", func() bool { return host.run(t, second).State == "paused" })
		why := host.why(t, run)
		if len(why) != 2 || why[0].Kind != "child" || why[0].Count != 1 || why[1].Kind != "limit" || why[1].Limit.Used != 1 {
			t.Errorf("why: got %+v; want one item to wait for its child and one for max_parallel", why)
		}
		host.must(t, "run", "cancel", run, "--reason", "enough")
		if a := host.call(t, "run", "wait", run); a.code != exitRunFailed {
			t.Errorf("exit code %d\n%s", a.code, a.err)
		}
		got := host.run(t, run)
		states := []string{}
		for _, c := range got.Children {
			states = append(states, c.State)
		}
		slices.Sort(states)
		if want := []string{"cancelled", "succeeded"}; !slices.Equal(states, want) || got.State != "cancelled" {
			t.Errorf("the run is %s, its children %v; want cancelled, %v", got.State, states, want)
		}
		if out := host.must(t, "approval", "list"); strings.Contains(out, "Go on") {
			t.Errorf("still asked after the cancel:\n%s", out)
		}
		if a := host.call(t, "approval", "approve", second, "ask"); a.code != exitError || !strings.Contains(a.err, "ended already") {
			t.Errorf("an approval for a run that is cancelled: %d\n%s", a.code, a.err)
		}
		// A step over a list is run again whole, by children of the new run alone.
		again := runID(t, host.must(t, "run", "rerun", run, "--output", "json"))
		for _, who := range []string{"a", "b", "c"} {
			child := host.asking(t, again, "Go on with "+who+"?")
			host.must(t, "approval", "approve", child, "ask")
			host.must(t, "run", "event", child, "go", "--payload", `{"n":2}`)
		}
		if a := host.call(t, "run", "wait", again); a.code != exitOK {
			t.Fatalf("the rerun: exit code %d\n%s", a.code, a.err)
		}
		for i, got := range decode[[]item](t, host.must(t, "run", "items", again, "--output", "json")) {
			if got.Kept || !strings.Contains(string(got.Output), `"n": "2"`) {
				t.Errorf("item %d of the rerun: kept %t, %s", i, got.Kept, got.Output)
			}
		}
	})
}

// asking waits until a child of a run asks a question, and returns the child.
func (s *server) asking(t *testing.T, parent, question string) string {
	t.Helper()
	var child string
	eventually(t, question, func() bool {
		for _, a := range decode[[]client.Approval](t, s.must(t, "approval", "list", "--output", "json")) {
			if a.Message == question && slices.ContainsFunc(s.run(t, parent).Children, func(r shownRun) bool { return r.ID == string(a.Run) }) {
				child = string(a.Run)
			}
		}
		return child != ""
	})
	return child
}

func (s *server) why(t *testing.T, run string) []client.Reason {
	t.Helper()
	return decode[[]client.Reason](t, s.must(t, "run", "why", run, "--output", "json"))
}

// TestUnknownInAChild: the host dies while a child acts on a target that nothing
// else may act on meanwhile. The parent waits for what somebody says of it, and
// runs nothing twice: neither then, nor in a rerun.
func TestUnknownInAChild(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host, srv := start("--per-target", "1"), sshd(t)
		host.addCredential(t, "key", srv.User, srv.ClientKey)
		for _, name := range []string{"one", "two"} {
			host.addAsset(t, target{name, srv.Host, srv.Port, srv.HostKeys}, "key")
		}
		dir := t.TempDir()
		ledger, flag := filepath.Join(dir, "ledger"), filepath.Join(dir, "flag")
		host.must(t, "workflow", "store", write(t, `
schema: opsconductor/v1
name: patch
steps:
  - id: act
    uses: linux.script@1
    for_each: {in: targets}
    concurrency_key: patching
    retry: {max_attempts: 3, backoff: {initial: 10ms}}
    with:
      args: ["${{ asset.name }}", "`+ledger+`", "`+flag+`"]
      script: |
        echo "$1" >>"$2"
        [ "$1" = two ] || sleep 5
        [ "$1" = one ] || [ -e "$3" ]
`))
		run := runID(t, host.must(t, "run", "submit", write(t, `
schema: opsconductor/v1
name: roll
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: first, uses: core.approval@1, with: {message: "Begin?"}}
  - {id: roll, uses: workflow.patch@1, needs: [first], for_each: {in: targets}, retry: {max_attempts: 1}}
`), "--output", "json"))
		eventually(t, "the question", func() bool { return strings.Contains(host.must(t, "approval", "list"), run) })
		host.must(t, "approval", "approve", run, "first")
		eventually(t, "the command's begin", func() bool { b, _ := os.ReadFile(ledger); return strings.Contains(string(b), "one") })
		host.kill()
		again := start("--per-target", "1")
		child := ""
		eventually(t, "the item of the child is unknown", func() bool {
			for _, c := range again.run(t, run).Children {
				if again.items(t, c.ID)["act/one"].State == "unknown" {
					child = c.ID
				}
			}
			return child != ""
		})
		if i := again.items(t, run)["roll/one"]; i.State != "running" {
			t.Errorf("the parent's item is %s; want running, until somebody says what became of its child's", i.State)
		}
		again.must(t, "run", "resolve", child, "act", "one", "--ran", "--reason", "it stands in the ledger")
		if a := again.call(t, "run", "wait", run); a.code != exitSomeFailed {
			t.Fatalf("exit code %d, want %d\n%s", a.code, exitSomeFailed, a.err)
		}
		ran(t, ledger, 1, 1)
		if err := os.WriteFile(flag, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		rerun := runID(t, again.must(t, "run", "rerun", run, "--wait", "--output", "json"))
		ran(t, ledger, 1, 2)
		items := again.items(t, rerun)
		if !items["first/"].Kept || !items["roll/one"].Kept || items["roll/two"].Kept {
			t.Errorf("got %+v; want the approval and what was resolved kept, and two run again", items)
		}
		if out := again.must(t, "approval", "list"); strings.Contains(out, rerun) {
			t.Errorf("the rerun asks again:\n%s", out)
		}
	})
}

// TestChildrenUnderLimits: a parent's item holds no place that its child needs,
// and children of many parents share what there is.
func TestChildrenUnderLimits(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host, srv := start("--per-target", "1", "--slots", "1"), sshd(t)
		host.addCredential(t, "key", srv.User, srv.ClientKey)
		for _, name := range []string{"one", "two"} {
			host.addAsset(t, target{name, srv.Host, srv.Port, srv.HostKeys}, "key")
		}
		lock := filepath.Join(t.TempDir(), "lock")
		host.must(t, "workflow", "store", write(t, `
schema: opsconductor/v1
name: leaf
steps:
  - {id: act, uses: linux.script@1, for_each: {in: targets}, concurrency_key: alone, with: {args: ["`+lock+`"], script: 'mkdir "$1" && rmdir "$1"'}}
`))
		host.must(t, "workflow", "store", write(t, `
schema: opsconductor/v1
name: branch
steps:
  - {id: down, uses: workflow.leaf@1, for_each: {in: targets, max_parallel: 1}}
  - {id: after, uses: linux.command@1, needs: [down], for_each: {in: targets}, concurrency_key: alone, with: {argv: ["true"]}}
`))
		file := write(t, `
schema: opsconductor/v1
name: tree
limits: {timeout: 2m}
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: down, uses: workflow.branch@1, for_each: {in: targets, max_parallel: 2}}
  - {id: beside, uses: linux.command@1, for_each: {in: targets}, concurrency_key: alone, with: {argv: ["true"]}}
`)
		runs := []string{runID(t, host.must(t, "run", "submit", file, "--output", "json")), runID(t, host.must(t, "run", "submit", file, "--output", "json"))}
		for _, run := range runs {
			if a := host.call(t, "run", "wait", run); a.code != exitOK {
				t.Errorf("exit code %d\n%s\n%+v", a.code, a.err, host.why(t, run))
			}
		}
	})
}
