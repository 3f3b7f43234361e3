package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestWorkflowsInTheDocs runs every workflow of the language's page on a real
// target; a workflow's first line says how it ends, or that it is stored.
func TestWorkflowsInTheDocs(t *testing.T) {
	t.Parallel()
	found := blocks(t, "docs/workflows.md", "yaml")
	if len(found) < 8 {
		t.Fatalf("the page has %d workflows", len(found))
	}
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
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
		code, known := want[first]
		if !known {
			t.Errorf("a workflow that begins with %q; want how it ends", first)
			continue
		}
		got := host.call(t, "run", "submit", write(t, text), "--wait")
		if got.code != code {
			t.Errorf("exit code %d, want %d:\n%s\n%s\n%s", got.code, code, text, got.out, got.err)
		}
	}
}
