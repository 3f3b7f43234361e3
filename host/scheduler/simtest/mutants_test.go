package simtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// root is the module's folder, seen from this package's.
const root = "../../.."

// file returns the text of the file that the mutant changes, changed.
func (m *mutant) mutated(text []byte) ([]byte, error) {
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: %q is there %d times, not once", m.file, m.old, n)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// overlay writes the mutants of a list over the files that they change, in a folder
// of their own, and returns the file that tells the go command so.
func overlay(t *testing.T, list []mutant) string {
	t.Helper()
	dir := t.TempDir()
	texts := map[string][]byte{}
	for i := range list {
		m := &list[i]
		path, err := filepath.Abs(filepath.Join(root, m.file))
		if err != nil {
			t.Fatal(err)
		}
		if texts[path] == nil {
			if texts[path], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		if texts[path], err = m.mutated(texts[path]); err != nil {
			t.Fatalf("the mutant %q does not apply any more: %v", m.name, err)
		}
	}
	replace := map[string]string{}
	for path, text := range texts {
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[path], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	body, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestMutantsApply: each mutant can still be made of the code as it is.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	for _, m := range mutants() {
		overlay(t, []mutant{m})
	}
	t.Logf("%d mutants apply", len(mutants()))
}

// TestMutants takes one rule out at a time, and looks whether the checks find it.
// MUTANTS says which: "all", or a part of their names. It takes minutes.
func TestMutants(t *testing.T) {
	which := os.Getenv("MUTANTS")
	if which == "" {
		t.Skip("MUTANTS=all, or a part of their names, takes rules out and runs the checks")
	}
	caught, all := 0, 0
	for _, m := range mutants() {
		if which != "all" && !strings.Contains(m.name+" "+m.by, which) {
			continue
		}
		all++
		began := time.Now()
		what, found := m.hunt(t)
		if !found {
			t.Errorf("NOT CAUGHT  %-6s  %s: %s", time.Since(began).Round(time.Second), m.name, what)
			continue
		}
		caught++
		t.Logf("caught  %-8s  %-6s  %s: %s", m.by, time.Since(began).Round(time.Second), m.name, what)
	}
	t.Logf("caught %d of %d", caught, all)
}

// hunt runs a mutant's check over it, and returns what was found.
func (m *mutant) hunt(t *testing.T) (what string, found bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := map[string][]string{
		bySim:      {"-timeout=9m", "-run=^TestSim$", "./host/scheduler/simtest"},
		byWalk:     {"-timeout=4m", "./host/scheduler/machine"},
		byLoop:     {"-timeout=4m", "-run=TestClockSetBack", "./host/scheduler"},
		bySQLite:   {"-timeout=90s", "-run=^TestStore$", "./host/store/sqlite"},
		byPostgres: {"-timeout=2m", "-run=^TestStore$", "./host/store/postgres"},
	}[m.by]
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-overlay=" + overlay(t, []mutant{*m})}, args...)...) //nolint:gosec // what it runs is in this file
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "SEEDS=10000", "FAILURES=1", "FROM=1", "SEED=", "WALK_EVENTS=200000")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "all checks pass", false
	case m.by == bySim && bytes.Contains(out, []byte("panic: test timed out")): // a slow machine is no catch
		return "the simulation ran out of time", false
	case !errors.As(err, &exit) || bytes.Contains(out, []byte("[build failed]")):
		return string(out), false
	}
	return said(out), true
}

// said is the first line of a test's output that says what is wrong.
func said(out []byte) string {
	for _, pattern := range []string{`(?m)^ +\w+_test\.go:\d+: (.*)$`, `(?m)^ +\w+\.go:\d+: (.*)$`, `(?m)^(panic: .*)$`} {
		if found := regexp.MustCompile(pattern).FindSubmatch(out); found != nil {
			line := string(found[1])
			return line[:min(len(line), 160)]
		}
	}
	return string(out[:min(len(out), 400)])
}
