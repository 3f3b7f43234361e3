package main

import (
	"strings"
	"testing"
)

// TestWorkflowsInTheDocs runs every workflow of the language's page on a real
// target; a workflow's first line says how it ends and what somebody does for that,
// or that it is stored.
func TestWorkflowsInTheDocs(t *testing.T) {
	t.Parallel()
	onBoth(t, testWorkflowsInTheDocs)
}

func testWorkflowsInTheDocs(t *testing.T, start func(...string) *server) {
	t.Helper()
	found := blocks(t, "docs/workflows.md", "yaml")
	if len(found) < 8 {
		t.Fatalf("the page has %d workflows", len(found))
	}
	host := start()
	srv := sshd(t)
	host.addCredential(t, "demo", srv.User, srv.ClientKey)
	host.addAsset(t, target{"web-1", srv.Host, srv.Port, srv.HostKeys}, "demo")
	for _, text := range found {
		want := map[string]int{"# succeeds": exitOK, "# fails": exitRunFailed, "# fails on some": exitSomeFailed}
		first, _, _ := strings.Cut(text, "\n")
		if ref, ok := strings.CutPrefix(first, "# stored as "); ok {
			if got := host.must(t, "workflow", "store", write(t, text)); !strings.Contains(got, ref) {
				t.Errorf("%s:\n%s", first, got)
			}
			continue
		}
		first, told, _ := strings.Cut(first, ", when ")
		code, known := want[first]
		if !known {
			t.Errorf("a workflow that begins with %q; want how it ends", first)
			continue
		}
		got := host.runTold(t, write(t, text), told)
		if got.code != code {
			t.Errorf("exit code %d, want %d:\n%s\n%s\n%s", got.code, code, text, got.out, got.err)
		}
	}
}

// runTold runs a workflow to its end. told is what somebody does meanwhile:
// "approved" or "told EVENT PAYLOAD"; "" is nothing.
func (s *server) runTold(t *testing.T, file, told string) answer {
	t.Helper()
	if told == "" {
		return s.call(t, "run", "submit", file, "--wait")
	}
	run := runID(t, s.must(t, "run", "submit", file, "--output", "json"))
	if event, ok := strings.CutPrefix(told, "told "); ok {
		name, payload, _ := strings.Cut(event, " ")
		s.must(t, "run", "event", run, name, "--payload", payload)
		return s.call(t, "run", "wait", run)
	}
	eventually(t, "a question", func() bool {
		list := decode[[]struct{ Run, Step string }](t, s.must(t, "approval", "list", "--output", "json"))
		for _, a := range list {
			if a.Run == run {
				s.must(t, "approval", "approve", run, a.Step)
			}
		}
		return len(list) > 0
	})
	return s.call(t, "run", "wait", run)
}
