package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// blocks returns the fenced blocks of a language in a Markdown file.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	rest := string(b)
	for {
		_, after, found := strings.Cut(rest, "\n```"+language+"\n")
		if !found {
			return out
		}
		text, behind, closed := strings.Cut(after, "\n```")
		if !closed {
			t.Fatalf("%s: a block is not closed", file)
		}
		out, rest = append(out, text+"\n"), behind
	}
}

// TestReadmeWorkflow plans the README's first workflow for a machine that is
// registered as the README says.
func TestReadmeWorkflow(t *testing.T) {
	t.Parallel()
	found := blocks(t, "README.md", "yaml")
	if len(found) != 1 {
		t.Fatalf("the README has %d workflows, want its first one alone", len(found))
	}
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	srv := sshd(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(srv.ClientKey), 0o600); err != nil {
		t.Fatal(err)
	}
	host.must(t, "credential", "create", "deploy", "--username", srv.User, "--key-file", key, "--tag", "web")
	host.must(t, "asset", "create", "web-1", "--address", "192.0.2.10", "--os", "linux", "--tag", "web", "--credential", "deploy",
		"--host-key", srv.HostKeys[0])
	out := host.must(t, "workflow", "plan", write(t, found[0]))
	for _, want := range []string{"web-1", "linux.script@1", "core.noop@1"} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan has no %q:\n%s", want, out)
		}
	}
}

// TestCommandsInTheDocs: every call of the program that a page shows has commands
// and flags that are there.
func TestCommandsInTheDocs(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, file := range []string{"README.md", "CONTRIBUTING.md", "docs/plugins.md", "docs/workflows.md"} {
		for _, block := range blocks(t, file, "sh") {
			for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
				line, _, _ = strings.Cut(line, " #")
				fields := strings.Fields(line)
				if len(fields) == 0 || filepath.Base(fields[0]) != "opsconductor" {
					continue
				}
				seen++
				cmd, rest, err := (&cli{}).root().Find(fields[1:])
				if err == nil {
					err = cmd.ParseFlags(rest)
				}
				if err != nil || cmd.HasSubCommands() {
					t.Errorf("%s: %s: %v", file, strings.TrimSpace(line), err)
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("found %d calls, want those of the README at least", seen)
	}
}
