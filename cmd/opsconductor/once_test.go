package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestScheduleFiresOnceOverHosts: two hosts on one database; each time of a schedule
// gives one run, also after one of the hosts was killed.
func TestScheduleFiresOnceOverHosts(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	a, b := f.start("a"), f.start("b")
	file := write(t, `{"schema": "opsconductor/v1", "name": "tick", "steps": [{"id": "a", "uses": "core.noop@1", "with": {"at": "${{ run.scheduled_at }}"}}]}`)
	b.must(t, "schedule", "create", "tick", file, "--cron", "* * * * * *", "--overlap", "allow", "--catch-up", "all")
	eventually(t, "runs of both hosts' time", func() bool { return len(b.fired(t)) >= 6 })
	a.kill()
	before := len(b.fired(t))
	eventually(t, "runs after the kill", func() bool { return len(b.fired(t)) >= before+4 })
	b.must(t, "schedule", "pause", "tick")
	eventually(t, "every run has ended", func() bool {
		return !slices.ContainsFunc(decode[[]shownRun](t, b.must(t, "run", "list", "--output", "json")), func(r shownRun) bool { return r.State != "succeeded" })
	})
	times := b.fired(t)
	slices.Sort(times)
	for i := 1; i < len(times); i++ {
		last, err := time.Parse(time.RFC3339, times[i-1])
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, times[i])
		if err != nil {
			t.Fatal(err)
		}
		if at.Sub(last) != time.Second {
			t.Errorf("after the run for %s comes the one for %s; want each second's once", last, at)
		}
	}
	t.Logf("%d runs", len(times))
}

// fired returns the times that the runs of schedules are for.
func (s *server) fired(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, r := range decode[[]struct {
		ID    string
		By    string
		State string
	}](t, s.must(t, "run", "list", "--output", "json")) {
		if r.By != "schedule:tick" || r.State != "succeeded" {
			continue
		}
		_, at, _ := strings.Cut(string(s.items(t, r.ID)["a/"].Output), `"at": "`)
		at, _, _ = strings.Cut(at, `"`)
		out = append(out, at)
	}
	return out
}

// TestOverlapWithAnApproval: a run that waits for a decision is open: the next times
// of its schedule are skipped, and go on when it was decided.
func TestOverlapWithAnApproval(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host := start()
		file := write(t, `{"schema": "opsconductor/v1", "name": "ask", "steps": [{"id": "gate", "uses": "core.approval@1", "with": {"message": "Go?"}}]}`)
		host.must(t, "schedule", "create", "ask", file, "--interval", "1s", "--overlap", "skip")
		waiting := func() []struct{ Run string } {
			return decode[[]struct{ Run string }](t, host.must(t, "approval", "list", "--output", "json"))
		}
		eventually(t, "a question", func() bool { return len(waiting()) > 0 })
		first := waiting()[0].Run
		shown := func() string {
			return host.must(t, "schedule", "show", "ask", "--output", "json")
		}
		began := shown()
		eventually(t, "the next times pass", func() bool { return shown() != began })
		if got := waiting(); len(got) != 1 || got[0].Run != first {
			t.Errorf("asked in %v; want the first run alone, the others skipped", got)
		}
		host.must(t, "approval", "approve", first, "gate")
		eventually(t, "the next run asks", func() bool { got := waiting(); return len(got) == 1 && got[0].Run != first })
		// By the other policy the next time cancels the run that waits, and its question.
		second := waiting()[0].Run
		host.must(t, "schedule", "update", "ask", "--overlap", "cancel")
		eventually(t, "the old run is cancelled", func() bool { return host.run(t, second).State == "cancelled" })
		host.must(t, "schedule", "pause", "ask")
		if got := waiting(); len(got) > 1 {
			t.Errorf("asked in %v; want the newest run alone", got)
		}
	})
}
