package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

const patchHost = `schema: opsconductor/v1
name: patch-host
description: Drains, patches and checks one host.
inputs:
  version: {type: string, required: true}
steps:
  - {id: drain, uses: linux.command@1, for_each: {in: targets}, with: {argv: [echo, drained]}}
  - id: patch
    uses: linux.script@1
    needs: [drain]
    for_each: {in: targets}
    with: {script: "set -e; mkdir LOCK; echo ${{ asset.name }} $(cat LOCK.all 2>/dev/null | wc -l); echo ${{ asset.name }} >> LOCK.all; rmdir LOCK"}
  - id: verify
    uses: linux.command@1
    needs: [patch]
    for_each: {in: targets}
    with: {argv: [echo, "${{ inputs.version }}"]}
outputs:
  version: "${{ steps.verify.items[0].outputs.stdout }}"
  before: "${{ steps.patch.items[0].outputs.stdout }}"
`

const rollOut = `schema: opsconductor/v1
name: roll-out
targets: {select: "'demo' in asset.tags"}
steps:
  - id: roll
    uses: workflow.patch-host@1
    for_each: {in: targets, max_parallel: 1}
    with: {version: "${{ asset.name }}-7"}
  - id: sum
    uses: core.noop@1
    needs: [roll]
    with: {versions: "${{ steps.roll.items.map(i, i.outputs.version) }}"}
outputs:
  done: "${{ steps.roll.items.filter(i, i.status == 'succeeded').size() }}"
`

// TestRollingPatch patches three real hosts one after the other, by runs of a
// stored workflow.
func TestRollingPatch(t *testing.T) {
	t.Parallel()
	onBoth(t, testRollingPatch)
}

func testRollingPatch(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
	srv := sshd(t)
	host.addCredential(t, "demo", srv.User, srv.ClientKey)
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		host.addAsset(t, target{name, srv.Host, srv.Port, srv.HostKeys}, "demo")
	}
	// The three assets are one machine here: a lock tells when two are patched at once.
	file := write(t, strings.ReplaceAll(patchHost, "LOCK", filepath.Join(t.TempDir(), "lock")))
	stored := decode[struct {
		Name    string `json:"name"`
		Version int    `json:"version"`
	}](t, host.must(t, "workflow", "store", file, "--output", "json"))
	again := decode[struct {
		Version int `json:"version"`
	}](t, host.must(t, "workflow", "store", file, "--output", "json"))
	if stored.Name != "patch-host" || stored.Version != 1 || again.Version != 1 {
		t.Errorf("stored %+v, and again as version %d; want patch-host@1 twice", stored, again.Version)
	}
	if got := host.must(t, "workflow", "plan", write(t, rollOut)); !strings.Contains(got, "roll > drain") || !strings.Contains(got, "workflow.patch-host@1") {
		t.Errorf("the plan does not show the steps of the sub-workflow:\n%s", got)
	}
	run := runID(t, host.must(t, "run", "submit", write(t, rollOut), "--wait", "--output", "json"))
	got := host.run(t, run)
	if got.State != "succeeded" || string(got.Outputs) != `{"done":3}` || len(got.Children) != 3 {
		t.Fatalf("the run is %s with the outputs %s and %d children", got.State, got.Outputs, len(got.Children))
	}
	items := host.items(t, run)
	for i, name := range []string{"web-1", "web-2", "web-3"} {
		want := `{"before":"` + name + " " + string(rune('0'+i)) + `\n","version":"` + name + `-7\n"}`
		if item := items["roll/"+name]; item.State != "succeeded" || compact(t, item.Output) != want {
			t.Errorf("%s: %s %s; want %s", name, item.State, item.Output, want)
		}
	}
	if list := decode[[]shownRun](t, host.must(t, "run", "list", "--output", "json")); len(list) != 1 {
		t.Errorf("the list shows %d runs; want the one that was submitted", len(list))
	}
	if list := decode[[]shownRun](t, host.must(t, "run", "list", "--all", "--output", "json")); len(list) != 4 {
		t.Errorf("the list of all shows %d runs; want 4", len(list))
	}
	host.byReference(t)
}

// byReference runs the stored workflow by its name, and retires it.
func (s *server) byReference(t *testing.T) {
	t.Helper()
	if got := s.call(t, "run", "submit", "--workflow", "patch-host@1", "--input", "version=9", "--wait"); got.code == exitOK || !strings.Contains(got.err, "selects no targets") {
		t.Errorf("a workflow that has no targets of its own was run: %d\n%s", got.code, got.err)
	}
	s.must(t, "workflow", "store", write(t, rollOut))
	if got := s.call(t, "workflow", "retire", "patch-host@1"); got.code == exitOK || !strings.Contains(got.err, "roll-out@1") {
		t.Errorf("retire what another includes: %d\n%s", got.code, got.err)
	}
	s.must(t, "run", "submit", "--workflow", "roll-out@1", "--wait")
	s.must(t, "workflow", "retire", "roll-out@1")
	s.must(t, "workflow", "retire", "patch-host@1")
	got := s.call(t, "run", "submit", write(t, rollOut))
	if got.code == exitOK || !strings.Contains(got.err, "workflow patch-host@1 is retired") {
		t.Errorf("a plan of a retired workflow: %d\n%s", got.code, got.err)
	}
}

func compact(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	return string(decode[rawJSON](t, string(raw)))
}

type shownRun struct {
	ID       string     `json:"id"`
	State    string     `json:"state"`
	Outputs  rawJSON    `json:"outputs"`
	Children []shownRun `json:"children"`
}

type rawJSON []byte

// UnmarshalJSON keeps the bytes, without blanks.
func (r *rawJSON) UnmarshalJSON(b []byte) error {
	var out bytes.Buffer
	err := json.Compact(&out, b)
	*r = out.Bytes()
	return err
}

func (s *server) run(t *testing.T, id string) shownRun {
	t.Helper()
	return decode[shownRun](t, s.must(t, "run", "get", id, "--output", "json"))
}
