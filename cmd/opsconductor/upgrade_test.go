package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUpgradeWithoutStopping: a host of an earlier build (OPSCONDUCTOR_BEFORE names its
// program) leads and has runs under way when one of this build brings the database up
// to date. Both go on; the earlier one stops, this one leads; the earlier one is not
// started again, and says why, when there was a migration.
func TestUpgradeWithoutStopping(t *testing.T) {
	t.Parallel()
	before := os.Getenv("OPSCONDUCTOR_BEFORE")
	if before == "" {
		t.Skip("OPSCONDUCTOR_BEFORE names no program of an earlier build")
	}
	f := newFleet(t)
	dir := filepath.Join(t.TempDir(), "old")
	earlier := func() *exec.Cmd {
		return exec.CommandContext(context.WithoutCancel(t.Context()), before, hostArgs("serve", dir, slices.Concat(f.args, []string{"--name", "old"}))...)
	}
	old := awaitHost(t, dir, earlier())
	f.token = filepath.Join(dir, "admin.token")
	old.token = f.token
	eventually(t, "the earlier build leads", func() bool {
		hosts := old.hosts(t)
		return len(hosts) == 1 && hosts[0].Leader
	})
	file := write(t, waits)
	var runs []string
	submit := func(hosts ...*server) {
		for _, s := range hosts {
			runs = append(runs, runID(t, s.must(t, "run", "submit", file, "--output", "json")))
		}
	}
	submit(old, old)
	next := f.start("new")
	submit(old, next, old, next)
	for _, id := range runs {
		old.must(t, "run", "wait", id, "--timeout", "60s")
	}
	submit(old, next)
	if err := old.stop(t); err != nil {
		t.Errorf("the earlier build stops: %v", err)
	}
	eventually(t, "this build leads", func() bool {
		return slices.ContainsFunc(next.hosts(t), func(h hostRow) bool { return h.Leader && h.Name == "new" })
	})
	submit(next)
	for _, id := range runs {
		next.must(t, "run", "wait", id, "--timeout", "60s")
	}
	out, err := earlier().CombinedOutput()
	if err == nil || !strings.Contains(string(out), "run the newer version that made it") {
		t.Errorf("the earlier build on the later database: %v, %s; want a refusal that says why", err, out)
	}
}
