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
	onBoth(t, testScheduleFires)
}

func testScheduleFires(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
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
	again := start()
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
		`did you mean "Europe/Berlin"?`: {"create", "x", file, "--cron", "0 3 * * *", "--time-zone", "Berlin"},
		"never fires":                   {"create", "x", file, "--cron", "0 0 31 4 *"},
		"exactly one of the two":        {"create", "x", file},
		"no such":                       {"show", "nothing"},
	} {
		if got := host.call(t, append([]string{"schedule"}, args...)...); got.code != exitError || !strings.Contains(got.err, want) {
			t.Errorf("%q: exit code %d\n%s\nwant %s", args, got.code, got.err, want)
		}
	}
}

// TestBackfillRuns: the runs of a backfill read the times that they are for.
func TestBackfillRuns(t *testing.T) {
	t.Parallel()
	onBoth(t, testBackfillRuns)
}

func testBackfillRuns(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
	file := write(t, `{"schema": "opsconductor/v1", "name": "tick", "steps": [{"id": "a", "uses": "core.noop@1", "with": {"at": "${{ run.scheduled_at }}"}}]}`)
	host.must(t, "schedule", "create", "tick", file, "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin")
	backfill := func(more ...string) []struct{ Outcome, Run string } {
		out := host.must(t, append([]string{"schedule", "backfill", "tick", "--from", "2025-03-30", "--to", "2025-04-01", "--output", "json"}, more...)...)
		return decode[[]struct{ Outcome, Run string }](t, strings.ReplaceAll(out, "run_id", "Run"))
	}
	if got := backfill("--dry-run"); len(got) != 2 || got[0].Outcome != "due" {
		t.Errorf("dry run: got %+v", got)
	}
	got := backfill()
	if len(got) != 2 || got[0].Outcome != "submitted" {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []string{"2025-03-30T01:00:00Z", "2025-03-31T00:30:00Z"} {
		host.must(t, "run", "wait", got[i].Run)
		if output := string(host.items(t, got[i].Run)["a/"].Output); !strings.Contains(output, want) {
			t.Errorf("the output is %s; want %s in it", output, want)
		}
	}
	once := runID(t, host.must(t, "run", "submit", file, "--wait", "--output", "json"))
	if output := string(host.items(t, once)["a/"].Output); !strings.Contains(output, `"at": ""`) {
		t.Errorf("without a schedule the output is %s; want an empty time", output)
	}
	if got := backfill(); got[0].Outcome != "fired" || got[1].Outcome != "fired" {
		t.Errorf("again: got %+v", got)
	}
	for want, args := range map[string][]string{
		"--from needs a time":      {"backfill", "tick", "--from", "yesterday"},
		"in the future":            {"backfill", "tick", "--from", "2025-01-01", "--to", "2999-01-01"},
		"the span has 20089 times": {"backfill", "tick", "--from", "1970-01-01", "--to", "2025-01-01"},
	} {
		if got := host.call(t, append([]string{"schedule"}, args...)...); got.code == exitOK || !strings.Contains(got.err, want) {
			t.Errorf("%q: exit code %d\n%s\nwant %s", args, got.code, got.err, want)
		}
	}
}

// TestScheduleUpdate: an update changes what it names, from the version that it names.
func TestScheduleUpdate(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	file := write(t, `{"schema": "opsconductor/v1", "name": "tick", "inputs": {"n": {"type": "integer", "default": 1}}, "steps": [{"id": "a", "uses": "core.noop@1", "with": {}}]}`)
	host.must(t, "schedule", "create", "tick", file, "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--input", "n=2", "--catch-up", "one")
	type schedule struct {
		Name, Cron, Interval, Overlap, Jitter string
		TimeZone                              string `json:"time_zone"`
		CatchUp                               string `json:"catch_up"`
		Inputs                                struct{ N int }
		Version                               int
	}
	update := func(args ...string) schedule {
		t.Helper()
		return decode[schedule](t, host.must(t, append([]string{"schedule", "update", "tick", "--output", "json"}, args...)...))
	}
	got, want := update("--overlap", "queue"), schedule{Name: "tick", Cron: "30 2 * * *", TimeZone: "Europe/Berlin", CatchUp: "one", Overlap: "queue", Version: 2}
	want.Inputs.N = 2
	if got != want {
		t.Errorf("got %+v; want %+v", got, want)
	}
	got = update("--interval", "15m", "--input", "n=3", "--if-match", "2", "--jitter", "1m")
	want.Cron, want.Interval, want.TimeZone, want.Jitter, want.Version, want.Inputs.N = "", "15m", "UTC", "1m", 3, 3
	if got != want {
		t.Errorf("got %+v; want %+v", got, want)
	}
	for want, args := range map[string][]string{
		"does not have the version":   {"tick", "--if-match", "2", "--jitter", "0s"},
		"either --cron or":            {"tick", "--cron", "0 1 * * *", "--interval", "1h"},
		"never fires":                 {"tick", "--cron", "0 0 31 4 *"},
		`did you mean "Europe/Paris"`: {"tick", "--cron", "0 1 * * *", "--time-zone", "Europe/Pariss"},
		"the workflow has no input":   {"tick", "--input", "m=1"},
		"no such":                     {"nothing", "--jitter", "1s"},
	} {
		if got := host.call(t, append([]string{"schedule", "update"}, args...)...); got.code == exitOK || !strings.Contains(got.err, want) {
			t.Errorf("%q: exit code %d\n%s\nwant %s", args, got.code, got.err, want)
		}
	}
	if got := update("--rename", "tock", "--definition", file); got.Name != "tock" || got.Version != 4 {
		t.Errorf("got %+v; want tock in version 4", got)
	}
}
