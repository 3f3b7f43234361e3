package service_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
)

func TestBackfill(t *testing.T) {
	t.Parallel()
	onBothStores(t, map[string]func(*scheduled){
		"backfill over clock changes": backfillClocks, "backfill once": backfillOnce, "backfill again": backfillAgain,
		"backfill beside firing": backfillBeside, "backfill of a changed plan": backfillChanged, "backfill intervals": backfillIntervals,
		"backfill and a claim": backfillClaimed,
	})
}

func (f *scheduled) backfill(from, to string, change func(*service.BackfillRequest)) ([]service.BackfillTime, error) {
	f.Helper()
	r := service.BackfillRequest{From: f.at(from), To: f.at(to)}
	if change != nil {
		change(&r)
	}
	return f.a.Backfill(f.Context(), admin(), "nightly", r)
}

// wantTimes checks the times and outcomes of a backfill.
func (f *scheduled) wantTimes(what string, got []service.BackfillTime, err error, want ...string) {
	f.Helper()
	var have []string
	for _, t := range got {
		have = append(have, t.At.Format(time.RFC3339)+" "+string(t.Outcome))
		if (t.Run == "") != (t.Outcome == service.BackfillDue) {
			f.Errorf("%s: got run %q for a time that is %s", what, t.Run, t.Outcome)
		}
	}
	if err != nil || strings.Join(have, "\n") != strings.Join(want, "\n") {
		f.Errorf("%s: got %q, %v; want %q", what, have, err, want)
	}
}

// scheduledAt is the time that a run's first fact has.
func (f *scheduled) scheduledAt(run automation.RunID) string {
	f.Helper()
	entries, err := f.store.RunEntries(f.Context(), automation.DefaultTenant, run, 0, 1)
	if err != nil || len(entries) != 1 || entries[0].Facts[0].Begin == nil {
		f.Fatalf("got entries %+v, %v; want a first fact with what the run begins with", entries, err)
	}
	return entries[0].Facts[0].Begin.Scheduled.UTC().Format(time.RFC3339)
}

// backfillClocks: 02:30 in Berlin does not exist on 29 March 2026 and exists
// twice on 25 October 2026: each day has one time all the same.
func backfillClocks(f *scheduled) {
	f.create(nil)
	f.until("2026-11-01T00:00:00Z")
	got, err := f.backfill("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", func(r *service.BackfillRequest) { r.DryRun = true })
	f.wantTimes("dry", got, err, "2026-03-28T01:30:00Z due", "2026-03-29T01:00:00Z due", "2026-03-30T00:30:00Z due")
	f.wantRuns("after a dry run", 0)
	got, err = f.backfill("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", nil)
	f.wantTimes("the hour that does not exist", got, err, "2026-03-28T01:30:00Z submitted", "2026-03-29T01:00:00Z submitted", "2026-03-30T00:30:00Z submitted")
	got, err = f.backfill("2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", nil)
	f.wantTimes("the hour that exists twice", got, err, "2026-10-24T00:30:00Z submitted", "2026-10-25T00:30:00Z submitted", "2026-10-26T01:30:00Z submitted")
	runs := f.wantRuns("after both", 6)
	for i, want := range []string{"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"} {
		if got := f.scheduledAt(runs[i].ID); got != want || runs[i].By != "schedule:nightly" {
			f.Errorf("run %d by %s is for %s; want %s, in the order of the times", i, runs[i].By, got, want)
		}
	}
	f.end(runs[1].ID)
	rerun, _, err := f.a.Rerun(f.Context(), admin(), runs[1].ID, service.RerunRequest{Scope: service.RerunAll})
	if err != nil {
		f.Fatal(err)
	}
	if got := f.scheduledAt(rerun.ID); got != "2026-03-29T01:00:00Z" {
		f.Errorf("a rerun is for %s; want the time of the run before", got)
	}
	if s := f.now(); s.LastRun != "" {
		f.Errorf("got last run %s; want none: the schedule itself has not fired", s.LastRun)
	}
}

// backfillOnce: however often and from however many hosts it is asked, also under
// another name, a time has one run.
func backfillOnce(f *scheduled) {
	s := f.create(nil)
	f.until("2026-04-10T12:00:00Z")
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			host := []*service.Service{f.a, f.b}[i%2]
			r := service.BackfillRequest{From: f.at("2026-03-01T00:00:00Z"), To: f.at("2026-03-28T12:00:00Z")}
			if got, err := host.Backfill(f.Context(), admin(), "nightly", r); err != nil || len(got) != 28 {
				f.Errorf("got %d times, %v; want 28", len(got), err)
			}
		})
	}
	wg.Wait()
	f.wantRuns("six backfills", 28)
	r := service.ScheduleRequest{Name: "renamed", Definition: nightly, Cron: "30 2 * * *", TimeZone: "Europe/Berlin"}
	if _, err := f.a.UpdateSchedule(f.Context(), admin(), "nightly", r, 0); err != nil {
		f.Fatal(err)
	}
	got, err := f.a.Backfill(f.Context(), admin(), string(s.ID), service.BackfillRequest{From: f.at("2026-03-27T00:00:00Z"), To: f.at("2026-03-29T00:00:00Z")})
	f.wantTimes("under another name", got, err, "2026-03-27T01:30:00Z fired", "2026-03-28T01:30:00Z fired")
	f.wantRuns("after the rename", 28)
	var by int
	list, err := f.store.Audit(f.Context(), automation.DefaultTenant, 0, 1000)
	for _, e := range list {
		var d struct{ BackfillBy string }
		if json.Unmarshal([]byte(strings.ReplaceAll(string(e.Detail), "backfill_by", "BackfillBy")), &d) == nil && d.BackfillBy == "test admin" {
			by++
		}
	}
	if err != nil || by != 28 {
		f.Errorf("got %d audit entries that say who backfilled, %v; want 28", by, err)
	}
}

func backfillAgain(f *scheduled) {
	f.create(nil)
	f.until("2026-03-28T12:00:00Z")
	span := func(change func(*service.BackfillRequest)) ([]service.BackfillTime, error) {
		return f.backfill("2026-03-27T00:00:00Z", "2026-03-28T12:00:00Z", change)
	}
	first, err := span(nil)
	f.wantTimes("first", first, err, "2026-03-27T01:30:00Z submitted", "2026-03-28T01:30:00Z submitted")
	p := admin()
	again := func(key string) []service.BackfillTime {
		f.Helper()
		r := service.BackfillRequest{From: f.at("2026-03-27T00:00:00Z"), To: f.at("2026-03-28T12:00:00Z"), Again: true, Key: key}
		got, err := f.a.Backfill(f.Context(), p, "nightly", r)
		if err != nil {
			f.Fatal(err)
		}
		return got
	}
	f.wantTimes("again", again("k"), nil, "2026-03-27T01:30:00Z submitted", "2026-03-28T01:30:00Z submitted")
	f.wantTimes("the same again", again("k"), nil, "2026-03-27T01:30:00Z fired", "2026-03-28T01:30:00Z fired")
	f.wantRuns("with one key", 4)
	newest := again("l")
	f.wantRuns("with another key", 6)
	got, err := span(nil)
	f.wantTimes("then", got, err, "2026-03-27T01:30:00Z fired", "2026-03-28T01:30:00Z fired")
	if got[0].Run != newest[0].Run || got[0].Run == first[0].Run {
		f.Errorf("got run %s; want the newest, %s", got[0].Run, newest[0].Run)
	}
	_, err = span(func(r *service.BackfillRequest) { r.Again = true })
	wantPlaces(f, err, "/again")
}

// backfillBeside: times that the schedule fired are not run again, and those that
// it is still to fire are left to it.
func backfillBeside(f *scheduled) {
	f.create(func(r *service.ScheduleRequest) {
		r.Cron, r.TimeZone, r.Overlap = "0 * * * *", "", automation.OverlapAllow
	})
	f.until("2026-03-28T13:00:00Z")
	fired := f.wantRuns("fired", 1)[0]
	if got := f.scheduledAt(fired.ID); got != "2026-03-28T13:00:00Z" {
		f.Errorf("the fired run is for %s; want 13:00", got)
	}
	f.clock.add(time.Hour + time.Second) // 14:00 is due and has not fired
	got, err := f.backfill("2026-03-28T12:00:00Z", "2026-03-28T14:00:01Z", nil)
	f.wantTimes("beside", got, err, "2026-03-28T12:00:00Z submitted", "2026-03-28T13:00:00Z fired")
	if got[1].Run != fired.ID {
		f.Errorf("got run %s; want the one that fired, %s", got[1].Run, fired.ID)
	}
	f.until("2026-03-28T14:00:02Z")
	f.wantRuns("after 14:00", 3)
	if s := f.now(); s.LastError != nil {
		f.Errorf("got last error %v", s.LastError)
	}
}

// backfillChanged: a call that broke off, repeated with another definition, makes
// no second run of a time.
func backfillChanged(f *scheduled) {
	f.create(nil)
	if _, err := f.backfill("2026-03-27T00:00:00Z", "2026-03-28T00:00:00Z", nil); err != nil {
		f.Fatal(err)
	}
	r := service.ScheduleRequest{Name: "nightly", Definition: strings.Replace(nightly, "id: a", "id: b", 1), Cron: "30 2 * * *", TimeZone: "Europe/Berlin"}
	if _, err := f.a.UpdateSchedule(f.Context(), admin(), "nightly", r, 0); err != nil {
		f.Fatal(err)
	}
	got, err := f.backfill("2026-03-26T00:00:00Z", "2026-03-28T00:00:00Z", nil)
	f.wantTimes("after the change", got, err, "2026-03-26T01:30:00Z submitted", "2026-03-27T01:30:00Z fired")
	if runs := f.wantRuns("two times", 2); runs[0].PlanHash == runs[1].PlanHash {
		f.Errorf("both runs are of plan %s; want the new definition's for the second", runs[0].PlanHash)
	}
}

// backfillIntervals: an interval's distances reach back before the schedule.
func backfillIntervals(f *scheduled) {
	f.create(func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "40m" })
	got, err := f.backfill("2026-03-28T10:00:00Z", "2026-03-28T11:20:00Z", nil)
	f.wantTimes("before the schedule", got, err, "2026-03-28T10:00:00Z submitted", "2026-03-28T10:40:00Z submitted")
	if _, err := f.a.PauseSchedule(f.Context(), admin(), "nightly", 0); err != nil {
		f.Fatal(err)
	}
	f.until("2026-03-28T14:00:00Z")
	got, err = f.backfill("2026-03-28T12:40:00Z", "2026-03-28T14:00:00Z", nil)
	f.wantTimes("while it was paused", got, err, "2026-03-28T12:40:00Z submitted", "2026-03-28T13:20:00Z submitted")
}

// backfillClaimed: a time that a host claimed before it died, and that a backfill
// then gave its run by another plan, is finished with that run.
func backfillClaimed(f *scheduled) {
	s := f.create(func(r *service.ScheduleRequest) { r.Cron, r.TimeZone = "0 * * * *", "" })
	f.clock.add(time.Hour)
	other := strings.Replace(nightly, "id: a", "id: b", 1)
	plan, err := f.a.Plan(f.Context(), admin(), service.PlanRequest{Definition: []byte(other)})
	if err != nil {
		f.Fatal(err)
	}
	claim := store.Claim{Schedule: s, At: s.Next, Next: s.Next.Add(time.Hour), Due: s.Next.Add(time.Hour), Fire: &automation.Fire{
		Schedule: s.ID, Tenant: s.Tenant, At: s.Next, Run: automation.NewID[automation.RunID](), PlanHash: plan.Hash, Workflow: "report",
		By: "schedule:nightly", Claimed: f.clock.Now(),
	}}
	act := automation.Act{Tenant: s.Tenant, By: "schedule:nightly", Action: "schedule.fire", At: f.clock.Now()}
	if err := f.store.ClaimFire(f.Context(), claim, act); err != nil {
		f.Fatal(err)
	}
	f.clock.add(time.Second)
	got, err := f.backfill("2026-03-28T13:00:00Z", "2026-03-28T13:00:01Z", nil)
	f.wantTimes("a claimed time", got, err, "2026-03-28T13:00:00Z submitted")
	f.clock.add(time.Minute)
	if _, err := f.b.FireDue(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.wantRuns("after the claim was finished", 1)
	if s := f.now(); s.LastRun != got[0].Run || s.LastError != nil {
		f.Errorf("got last run %s, error %v; want the backfill's, %s", s.LastRun, s.LastError, got[0].Run)
	}
}

func TestBackfillRefused(t *testing.T) {
	t.Parallel()
	f := newScheduled(t, setup(t).store)
	f.create(func(r *service.ScheduleRequest) { r.Cron, r.TimeZone = "* * * * *", "" })
	f.clock.add(400 * 24 * time.Hour)
	for name, c := range map[string]struct {
		from, to string
		change   func(*service.BackfillRequest)
		want     string
	}{
		"backwards": {"2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z", nil, "/to: the span ends before it begins (allowed: a time after from)"},
		"empty":     {"2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", nil, "/to: the span ends before it begins (allowed: a time after from)"},
		"future": {
			"2026-03-02T00:00:00Z", "2028-03-02T00:00:00Z", nil,
			"/to: the span ends in the future (allowed: a time up to now: the schedule fires later ones itself)",
		},
		"no times": {"2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", func(r *service.BackfillRequest) { r.From, r.To = time.Time{}, time.Time{} }, "" +
			"/from: a backfill needs the time that it begins with (allowed: a time, like 2026-03-01T00:00:00Z)\n" +
			"/to: a backfill needs the time that it ends before (allowed: a time, like 2026-03-01T00:00:00Z)"},
		"max": {"2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z", func(r *service.BackfillRequest) { r.Max = 1001 }, "/max: the number of times is out of range (allowed: 1 to 1000)"},
		"too many": {
			"2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z", nil,
			"/to: the span has 1440 times of the schedule (allowed: at most 1000); backfill a shorter span, and the rest by further requests",
		},
		"more than max": {
			"2026-03-02T00:00:00Z", "2026-03-02T00:10:00Z", func(r *service.BackfillRequest) { r.Max, r.DryRun = 9, true },
			"/to: the span has 10 times of the schedule (allowed: at most 9); backfill a shorter span, and the rest by further requests",
		},
		"far too many": {
			"2016-03-02T00:00:00Z", "2026-03-03T00:00:00Z", nil,
			"/to: the span has more than 100000 times of the schedule (allowed: at most 1000); backfill a shorter span, and the rest by further requests",
		},
		"key": {"2026-03-02T00:00:00Z", "2026-03-02T00:01:00Z", func(r *service.BackfillRequest) { r.Key = "a b" }, "the Idempotency-Key is not well formed (allowed: 1 to 255 visible ASCII characters); send a random UUID"},
		"again": {
			"2026-03-02T00:00:00Z", "2026-03-02T00:01:00Z", func(r *service.BackfillRequest) { r.Again = true },
			"/again: runs for times that have one need an Idempotency-Key, so that a repeated request makes no further ones; send the header Idempotency-Key with a random UUID",
		},
	} {
		_, err := f.backfill(c.from, c.to, c.change)
		if wantOurs(t, err); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v; want %s", name, err, c.want)
		}
	}
	if _, err := f.a.Backfill(t.Context(), admin(), "nothing", service.BackfillRequest{From: f.at("2026-03-02T00:00:00Z"), To: f.at("2026-03-02T00:01:00Z")}); automation.CodeOf(err) != automation.CodeNotFound {
		t.Errorf("no schedule: got %v", err)
	}
	f.wantRuns("all refused", 0)
	got, err := f.backfill("2026-03-02T00:00:00Z", "2026-03-02T16:40:00Z", nil)
	if err != nil || len(got) != 1000 {
		t.Errorf("1000 times: got %d, %v", len(got), err)
	}
	f.wantRuns(fmt.Sprint(len(got)), 1000)
}
