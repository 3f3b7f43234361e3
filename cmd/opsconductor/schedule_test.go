package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSchedulesInTheDocs carries out what docs/schedules.md shows.
func TestSchedulesInTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/schedules.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^```[a-z]+ (\\S+)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		found[m[1]] = m[2]
	}
	file := write(t, found["report.yaml"])
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	commands := strings.Split(strings.TrimSpace(found["commands"]), "\n")
	if len(commands) < 9 {
		t.Fatalf("the page has the commands %q", commands)
	}
	for _, line := range commands {
		var args []string
		for i, part := range strings.Split(line, `"`) { // every other part stands in quotes
			if i%2 == 1 {
				args = append(args, part)
				continue
			}
			args = append(args, strings.Fields(strings.ReplaceAll(part, "report.yaml", file))...)
		}
		if out := host.must(t, args[1:]...); strings.Contains(line, " next ") && strings.Count(out, "\n") != 4 {
			t.Errorf("%s: got\n%s\nwant a head and three times", line, out)
		}
	}
	if out := host.must(t, "schedule", "list", "--output", "jsonl"); strings.Count(out, "\n") != 2 {
		t.Errorf("got %s; want two schedules", out)
	}
}

type scheduleView struct {
	Name    string `json:"name"`
	LastRun string `json:"last_run_id"`
	Next    string `json:"next_at"`
}

// TestScheduleFires: a schedule of the real program submits runs that succeed,
// also after the host was killed.
func TestScheduleFires(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	host := startDev(t, dir)
	file := write(t, `{"schema": "opsconductor/v1", "name": "tick", "steps": [{"id": "a", "uses": "core.noop@1", "with": {}}]}`)
	began := time.Now()
	host.must(t, "schedule", "create", "tick", file, "--interval", "1s", "--overlap", "queue")
	succeeded := func(host *server) int {
		n := 0
		for _, r := range decode[[]struct {
			By    string `json:"by"`
			State string `json:"state"`
		}](t, host.must(t, "run", "list", "--output", "json")) {
			if r.By == "schedule:tick" && r.State == "succeeded" {
				n++
			}
		}
		return n
	}
	eventually(t, "two runs", func() bool { return succeeded(host) >= 2 })
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("two runs took %s: the change woke nobody", took)
	}
	host.kill()
	again := startDev(t, dir)
	before := succeeded(again)
	eventually(t, "a run after the new start", func() bool { return succeeded(again) > before })
	again.must(t, "schedule", "pause", "tick")
	s := decode[scheduleView](t, again.must(t, "schedule", "show", "tick", "--output", "json"))
	if s.LastRun == "" || s.Next != "" {
		t.Errorf("got %+v; want a last run, and no next time while it is paused", s)
	}
	if err := again.stop(t); err != nil {
		t.Errorf("stopped with %v, want exit code 0; log:\n%s", err, again.log)
	}
}

func TestScheduleRefused(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	file := write(t, `{"schema": "opsconductor/v1", "name": "tick", "steps": [{"id": "a", "uses": "core.noop@1", "with": {}}]}`)
	for want, args := range map[string][]string{
		"did you mean Europe/Berlin?": {"create", "x", file, "--cron", "0 3 * * *", "--time-zone", "Berlin"},
		"never fires":                 {"create", "x", file, "--cron", "0 0 31 4 *"},
		"exactly one of the two":      {"create", "x", file},
		"no such":                     {"show", "nothing"},
	} {
		if got := host.call(t, append([]string{"schedule"}, args...)...); got.code != exitError || !strings.Contains(got.err, want) {
			t.Errorf("%q: exit code %d\n%s\nwant %s", args, got.code, got.err, want)
		}
	}
}
