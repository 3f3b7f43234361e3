package service_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
)

func TestSchedules(t *testing.T) {
	t.Parallel()
	onBothStores(t, map[string]func(*scheduled){
		"daylight saving": daylightSaving, "competing": competing, "catch up skip": catchUpSkip, "catch up one": catchUpOne,
		"catch up all": catchUpAll, "overlap skip": overlapSkip, "overlap queue": overlapQueue, "overlap cancel": overlapCancel,
		"killed between claim and run": killedBetween, "killed after the run": killedAfter, "paused": paused, "failing": failing,
		"jitter": jittered, "changed": changedSchedule, "tenants": tenants,
	})
}

func daylightSaving(f *scheduled) {
	s := f.create(func(r *service.ScheduleRequest) { r.Overlap = automation.OverlapQueue })
	if want := f.at("2026-03-29T01:00:00Z"); !s.Next.Equal(want) { // 02:30 does not exist: at 03:00
		f.Fatalf("got %v; want %v", s.Next, want)
	}
	f.until("2026-03-29T00:59:59Z")
	f.wantRuns("before", 0)
	if next := f.until("2026-03-29T01:00:00Z"); !next.Equal(f.at("2026-03-30T00:30:00Z")) {
		f.Errorf("got next %v; want 02:30 of the next day", next)
	}
	run := f.wantRuns("at the end of the gap", 1)[0]
	if run.By != "schedule:nightly" || run.Workflow != "report" || run.State != automation.RunQueued {
		f.Errorf("got %+v", run)
	}
	if s := f.now(); s.LastRun != run.ID || !s.Last.Equal(f.at("2026-03-29T01:00:00Z")) || s.Version != 1 || s.LastError != nil {
		f.Errorf("got %+v", s)
	}
	f.until("2026-03-29T01:00:30Z")
	f.wantRuns("again", 1)
	if _, err := f.a.PauseSchedule(f.Context(), admin(), "nightly", 1); err != nil {
		f.Fatal(err)
	}
	f.until("2026-10-24T12:00:00Z")
	if _, err := f.a.ResumeSchedule(f.Context(), admin(), "nightly", 0); err != nil {
		f.Fatal(err)
	}
	f.until("2026-10-25T00:30:00Z")
	f.wantRuns("02:30 for the first time", 2)
	f.until("2026-10-25T01:30:00Z")
	f.wantRuns("02:30 for the second time", 2)
	times, err := f.a.NextTimes(f.Context(), submitter(), "nightly", 2)
	if err != nil || len(times) != 2 || !times[0].Equal(f.at("2026-10-26T01:30:00Z")) || !times[1].Equal(f.at("2026-10-27T01:30:00Z")) {
		f.Errorf("got %v, %v", times, err)
	}
}

// competing: two hosts, five callers each, and a time fires once.
func competing(f *scheduled) {
	f.create(func(r *service.ScheduleRequest) {
		r.Cron, r.TimeZone, r.Interval, r.Overlap = "", "", "1m", automation.OverlapQueue
	})
	for i := range 5 {
		f.clock.add(time.Minute)
		var wg sync.WaitGroup
		for _, host := range []*service.Service{f.a, f.b, f.a, f.b, f.a, f.b, f.a, f.b} {
			wg.Go(func() {
				if _, err := host.FireDue(f.Context()); err != nil {
					f.Errorf("fire: %v", err)
				}
			})
		}
		wg.Wait()
		f.wantRuns("after a minute", i+1)
	}
	if claims, err := f.store.ClaimedFires(f.Context(), 10); err != nil || len(claims) != 0 {
		f.Errorf("got claims %v, %v; want none", claims, err)
	}
	if n, err := store.VerifyAudit(f.Context(), f.store, automation.DefaultTenant); err != nil || n != 13 { // plugin 2, create 1, 5 × (fire, submit)
		f.Errorf("got %d audit entries, %v; want 13", n, err)
	}
}

func catchUp(f *scheduled, policy automation.CatchUp) {
	f.Helper()
	f.create(func(r *service.ScheduleRequest) {
		r.Cron, r.TimeZone, r.CatchUp, r.Overlap = "0 * * * *", "", policy, automation.OverlapQueue
	})
	f.until("2026-03-28T16:30:00Z") // 13, 14, 15, 16 o'clock were missed
}

func catchUpSkip(f *scheduled) {
	catchUp(f, automation.CatchUpSkip)
	f.wantRuns("skip", 0)
	s := f.now()
	if !s.Last.Equal(f.at("2026-03-28T16:00:00Z")) || !s.Next.Equal(f.at("2026-03-28T17:00:00Z")) || s.LastError == nil || s.LastError.Message != "no host was there at that time" {
		f.Errorf("got %+v; want the last missed time with why", s)
	}
	f.until("2026-03-28T17:00:59Z")
	f.wantRuns("a time that is less than a minute late", 1)
}

func catchUpOne(f *scheduled) {
	catchUp(f, automation.CatchUpOne)
	f.wantRuns("one", 1)
	if s := f.now(); !s.Last.Equal(f.at("2026-03-28T16:00:00Z")) || !s.Next.Equal(f.at("2026-03-28T17:00:00Z")) {
		f.Errorf("got %+v; want the newest missed time", s)
	}
}

func catchUpAll(f *scheduled) {
	catchUp(f, automation.CatchUpAll)
	f.wantRuns("all", 4)
	f.until("2026-04-28T16:30:00Z") // more than 700 times
	f.wantRuns("all of a month", 4+100)
	if s := f.now(); !s.Last.Equal(f.at("2026-04-28T16:00:00Z")) {
		f.Errorf("got last %v; want the newest hundred", s.Last)
	}
}

func hourly(f *scheduled, overlap automation.Overlap) automation.Run {
	f.Helper()
	f.create(func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Overlap = "0 * * * *", "", overlap })
	f.until("2026-03-28T13:00:00Z")
	return f.wantRuns("the first time", 1)[0]
}

func overlapSkip(f *scheduled) {
	run := hourly(f, automation.OverlapSkip)
	f.until("2026-03-28T14:00:00Z")
	f.wantRuns("while the last one is open", 1)
	if s := f.now(); s.LastError == nil || s.LastError.Code != automation.CodeConflict || !strings.Contains(s.LastError.Message, string(run.ID)) || s.LastRun != run.ID {
		f.Errorf("got %+v, %v; want the open run named", s, s.LastError)
	}
	f.end(run.ID)
	f.until("2026-03-28T15:00:00Z")
	runs := f.wantRuns("after its end", 2)
	if s := f.now(); s.LastError != nil || s.LastRun != runs[1].ID {
		f.Errorf("got %+v", s)
	}
}

func overlapQueue(f *scheduled) {
	hourly(f, automation.OverlapQueue)
	f.until("2026-03-28T14:00:00Z")
	f.wantRuns("while the last one is open", 2)
}

func overlapCancel(f *scheduled) {
	run := hourly(f, automation.OverlapCancel)
	f.until("2026-03-28T14:00:00Z")
	f.wantRuns("while the last one is open", 2)
	commands, err := f.store.Commands(f.Context(), 0, 10)
	if err != nil || len(commands) != 1 || commands[0].Run != run.ID || commands[0].Kind != automation.FactCancelAsked || commands[0].By != "schedule:nightly" {
		f.Errorf("got %+v, %v; want a cancel of the first run", commands, err)
	}
	f.end(f.runs()[1].ID)
	f.until("2026-03-28T15:00:00Z") // a last run that has ended needs no cancel
	f.wantRuns("after its end", 3)
}

// claimed claims the next time as a host does that dies right after.
func claimed(f *scheduled) automation.Fire {
	f.Helper()
	s := f.create(func(r *service.ScheduleRequest) { r.Cron, r.TimeZone = "0 * * * *", "" })
	plan, err := f.a.Plan(f.Context(), submitter(), service.PlanRequest{Definition: []byte(nightly)})
	if err != nil {
		f.Fatal(err)
	}
	f.clock.add(time.Hour)
	fire := automation.Fire{
		Schedule: s.ID, Tenant: s.Tenant, At: s.Next, Run: automation.NewID[automation.RunID](), PlanHash: plan.Hash, Workflow: "report",
		By: "schedule:nightly", Claimed: f.clock.Now(),
	}
	err = f.store.ClaimFire(f.Context(), store.Claim{Schedule: s, At: s.Next, Next: s.Next.Add(time.Hour), Due: s.Next.Add(time.Hour), Fire: &fire},
		automation.Act{Tenant: s.Tenant, By: "schedule:nightly", Action: "schedule.fire", At: f.clock.Now()})
	if err != nil {
		f.Fatal(err)
	}
	return fire
}

func killedBetween(f *scheduled) {
	fire := claimed(f)
	f.until("2026-03-28T13:00:05Z")
	f.wantRuns("while the claim is young", 0)
	f.until("2026-03-28T13:00:20Z")
	if run := f.wantRuns("by another host", 1)[0]; run.ID != fire.Run {
		f.Errorf("got run %s; want %s", run.ID, fire.Run)
	}
	f.until("2026-03-28T13:01:00Z")
	f.wantRuns("again", 1)
	if s := f.now(); s.LastRun != fire.Run {
		f.Errorf("got %+v", s)
	}
}

func killedAfter(f *scheduled) {
	fire := claimed(f)
	f.until("2026-03-28T13:00:20Z")
	f.wantRuns("by another host", 1)
	// The first host had accepted it and died before it ended the claim.
	s := f.now()
	err := f.store.ClaimFire(f.Context(), store.Claim{Schedule: s, At: fire.At, Next: s.Next, Due: s.Due, Fire: &fire},
		automation.Act{Tenant: s.Tenant, By: "schedule:nightly", Action: "schedule.fire", At: f.clock.Now()})
	if err != nil {
		f.Fatal(err)
	}
	f.until("2026-03-28T13:00:40Z")
	f.wantRuns("the same time twice", 1)
	if s := f.now(); s.LastRun != fire.Run || s.LastError != nil {
		f.Errorf("got last run %s, %v; want %s", s.LastRun, s.LastError, fire.Run)
	}
}

func paused(f *scheduled) {
	f.create(func(r *service.ScheduleRequest) {
		r.Cron, r.TimeZone, r.CatchUp = "0 * * * *", "", automation.CatchUpAll
	})
	s, err := f.a.PauseSchedule(f.Context(), admin(), "nightly", 1)
	if err != nil || !s.Paused || !s.Next.IsZero() || s.Version != 2 {
		f.Fatalf("got %+v, %v", s, err)
	}
	if s, err := f.a.PauseSchedule(f.Context(), admin(), "nightly", 0); err != nil || s.Version != 2 {
		f.Errorf("pausing again: got version %d, %v; want no change", s.Version, err)
	}
	if times, err := f.a.NextTimes(f.Context(), submitter(), "nightly", 0); err != nil || len(times) != 0 {
		f.Errorf("got %v, %v; want no times", times, err)
	}
	if next := f.until("2026-03-28T16:30:00Z"); !next.IsZero() {
		f.Errorf("got next %v; want none", next)
	}
	if s, err = f.a.ResumeSchedule(f.Context(), admin(), "nightly", 2); err != nil || !s.Next.Equal(f.at("2026-03-28T17:00:00Z")) {
		f.Errorf("got %+v, %v; want the next time after now", s, err)
	}
	f.until("2026-03-28T16:59:59Z")
	f.wantRuns("paused", 0)
	f.until("2026-03-28T17:00:00Z")
	f.wantRuns("resumed", 1)
}

// failing: a time that gives no plan is recorded, and the schedule goes on.
func failing(f *scheduled) {
	f.create(func(r *service.ScheduleRequest) {
		r.Cron, r.TimeZone, r.Overlap = "0 * * * *", "", automation.OverlapQueue
	})
	pl, err := f.a.Plugin(f.Context(), submitter(), "core@1.0.0")
	if err != nil {
		f.Fatal(err)
	}
	if _, err := f.a.DisablePlugin(f.Context(), admin(), pl.Digest, 0); err != nil {
		f.Fatal(err)
	}
	f.until("2026-03-28T13:00:00Z")
	f.wantRuns("with the plugin disabled", 0)
	s := f.now()
	if s.LastError == nil || !strings.HasPrefix(s.LastError.Message, "the definition gives no plan now: ") || s.LastError.Code == "" {
		f.Errorf("got %+v; want why", s.LastError)
	}
	list, err := f.a.Audit(f.Context(), admin(), 0, 1000)
	if last := list[len(list)-1]; err != nil || last.Action != "schedule.fire" || last.By != "schedule:nightly" || last.Object != string(s.ID) || !strings.Contains(string(last.Detail), `"message"`) {
		f.Errorf("got audit entry %+v %s, %v", last, last.Detail, err)
	}
	if _, err := f.a.ActivatePlugin(f.Context(), admin(), pl.Digest, nil, 0); err != nil {
		f.Fatal(err)
	}
	f.until("2026-03-28T14:00:00Z")
	f.wantRuns("with the plugin back", 1)
	if s := f.now(); s.LastError != nil {
		f.Errorf("got %v; want no error any more", s.LastError)
	}
}

func jittered(f *scheduled) {
	s := f.create(func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Jitter = "0 * * * *", "", "30m" })
	late := s.Due.Sub(s.Next)
	if late <= 0 || late >= 30*time.Minute {
		f.Fatalf("got a jitter of %v; want one above 0 and below 30m", late)
	}
	f.until(s.Due.Add(-time.Millisecond).Format(time.RFC3339Nano))
	f.wantRuns("before it is due", 0)
	f.until(s.Due.Format(time.RFC3339Nano))
	f.wantRuns("when it is due", 1)
	now := f.now()
	if !now.Last.Equal(s.Next) || now.Due.Sub(now.Next) == late {
		f.Errorf("got %+v; want another jitter for another time", now)
	}
	for _, name := range []string{"x", "y", "z"} { // a minute later comes the next time
		s := f.create(func(r *service.ScheduleRequest) { r.Name, r.Cron, r.Jitter = name, "0,1 13 * * *", "24h" })
		if late := s.Due.Sub(s.Next); late >= time.Minute {
			f.Errorf("got a jitter of %v; want none that reaches the next time", late)
		}
	}
}

func changedSchedule(f *scheduled) {
	s := f.create(nil)
	r := service.ScheduleRequest{Name: "nightly", Definition: nightly, Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Overlap: automation.OverlapQueue}
	f.clock.add(time.Minute)
	same, err := f.a.UpdateSchedule(f.Context(), admin(), "nightly", r, 1)
	if err != nil || same.Version != 2 || !same.Next.Equal(s.Next) || same.Overlap != automation.OverlapQueue || !same.Created.Equal(s.Created) {
		f.Errorf("got %+v, %v; want the same next time", same, err)
	}
	r.Cron, r.TimeZone, r.Interval = "", "", "90m"
	now, err := f.a.UpdateSchedule(f.Context(), admin(), string(s.ID), r, 2)
	if err != nil || !now.Next.Equal(s.Created.Add(90*time.Minute)) || now.TimeZone != "UTC" {
		f.Errorf("got %+v, %v; want 90 minutes after the creation", now, err)
	}
	_, err = f.a.UpdateSchedule(f.Context(), admin(), "nightly", r, 2)
	wantCode(f.T, err, automation.CodeConflict)
	select {
	case <-f.a.ScheduleChanges():
	default:
		f.Error("nobody was told of the change")
	}
	wantCode(f.T, f.a.DeleteSchedule(f.Context(), admin(), "nightly", 1), automation.CodeConflict)
	if err := f.a.DeleteSchedule(f.Context(), admin(), "nightly", 3); err != nil {
		f.Fatal(err)
	}
	f.until("2026-03-29T12:00:00Z")
	f.wantRuns("deleted", 0)
	_, err = f.a.Schedule(f.Context(), admin(), "nightly")
	wantCode(f.T, err, automation.CodeNotFound)
}

// tenants: each tenant's schedule runs in its own tenant.
func tenants(f *scheduled) {
	s := f.create(nil)
	stranger := admin()
	stranger.Tenant = "other"
	for _, ref := range []string{"nightly", string(s.ID)} {
		_, err := f.a.Schedule(f.Context(), stranger, ref)
		wantCode(f.T, err, automation.CodeNotFound)
		_, err = f.a.PauseSchedule(f.Context(), stranger, ref, 0)
		wantCode(f.T, err, automation.CodeNotFound)
		_, err = f.a.NextTimes(f.Context(), stranger, ref, 0)
		wantCode(f.T, err, automation.CodeNotFound)
		wantCode(f.T, f.a.DeleteSchedule(f.Context(), stranger, ref, 0), automation.CodeNotFound)
	}
	f.until("2026-03-29T01:00:00Z")
	if run := f.wantRuns("its own tenant", 1)[0]; run.Tenant != automation.DefaultTenant {
		f.Errorf("got tenant %s", run.Tenant)
	}
}

func TestScheduleRefused(t *testing.T) {
	t.Parallel()
	base := setup(t)
	f := newScheduled(t, base.store)
	for name, c := range map[string]struct {
		change func(*service.ScheduleRequest)
		want   string
	}{
		"no name":        {func(r *service.ScheduleRequest) { r.Name = "" }, "/name: "},
		"bad name":       {func(r *service.ScheduleRequest) { r.Name = "Nightly!" }, "/name: "},
		"neither":        {func(r *service.ScheduleRequest) { r.Cron = "" }, "/cron: a schedule has a cron expression or an interval: exactly one of the two; set cron, like \"0 3 * * *\", or interval, like \"15m\""},
		"both":           {func(r *service.ScheduleRequest) { r.Interval = "15m" }, "/cron: a schedule has a cron expression or an interval: exactly one of the two"},
		"bad cron":       {func(r *service.ScheduleRequest) { r.Cron = "61 * * * *" }, "/cron: the minute is not one (allowed: 0 to 59"},
		"never":          {func(r *service.ScheduleRequest) { r.Cron = "0 0 30 2 *" }, "/cron: the cron expression never fires: no month in it has such a day; check day of month and month"},
		"no zone":        {func(r *service.ScheduleRequest) { r.TimeZone = "Europe/Berlni" }, "/time_zone: there is no such time zone (allowed: an IANA name, like Europe/Berlin); did you mean Europe/Berlin?"},
		"interval words": {func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "soon" }, "/interval: that is not an interval (allowed: 1s to 8784h, like 15m or 1h30m)"},
		"too short":      {func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "999ms" }, "/interval: that is not an interval"},
		"too long":       {func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "8785h" }, "/interval: that is not an interval"},
		"negative":       {func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "-1h" }, "/interval: that is not an interval"},
		"zone unused":    {func(r *service.ScheduleRequest) { r.Cron, r.Interval = "", "15m" }, "/time_zone: an interval knows no time zone; leave time_zone out, or use cron"},
		"catch up":       {func(r *service.ScheduleRequest) { r.CatchUp = "some" }, "/catch_up: the value is not one of those allowed (allowed: skip, one, all)"},
		"overlap":        {func(r *service.ScheduleRequest) { r.Overlap = "kill" }, "/overlap: the value is not one of those allowed (allowed: skip, queue, cancel)"},
		"jitter words":   {func(r *service.ScheduleRequest) { r.Jitter = "a bit" }, "/jitter: that is not a jitter for this schedule (allowed: 0s to 24h0m0s, like 30s)"},
		"jitter below 0": {func(r *service.ScheduleRequest) { r.Jitter = "-1s" }, "/jitter: that is not a jitter for this schedule"},
		"jitter above": {func(r *service.ScheduleRequest) {
			r.Cron, r.TimeZone, r.Interval, r.Jitter = "", "", "15m", "16m"
		}, "/jitter: that is not a jitter for this schedule (allowed: 0s to 15m0s, like 30s)"},
		"no definition": {func(r *service.ScheduleRequest) { r.Definition = " \n" }, "/definition: a schedule needs the definition of a workflow"},
		"bad step": {func(r *service.ScheduleRequest) {
			r.Definition = strings.Replace(nightly, "core.act", "core.atc", 1)
		}, "/definition/steps/0/uses: "},
		"bad inputs":     {func(r *service.ScheduleRequest) { r.Inputs = []byte(`{`) }, "/inputs: the inputs are not JSON"},
		"unknown inputs": {func(r *service.ScheduleRequest) { r.Inputs = []byte(`{"x":1}`) }, "/inputs/x: "},
	} {
		r := service.ScheduleRequest{Name: "nightly", Definition: nightly, Cron: "30 2 * * *", TimeZone: "Europe/Berlin"}
		c.change(&r)
		_, _, err := f.a.CreateSchedule(t.Context(), admin(), r, "")
		wantOurs(t, err)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v; want %s alone", name, err, c.want)
		}
	}
	_, _, err := f.a.CreateSchedule(t.Context(), admin(), service.ScheduleRequest{
		Cron: "x", TimeZone: "x", CatchUp: "x", Overlap: "x", Jitter: "x", Definition: "name: 1",
	}, "a b")
	many, ok := err.(automation.Errors) //nolint:errorlint // the type itself is what is promised
	if !ok || len(many) < 8 {
		t.Errorf("got %v; want all problems at once", err)
	}
	if list, err := f.a.Schedules(t.Context(), admin(), automation.Page{}); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v; want nothing stored", list, err)
	}
	for _, count := range []int{-1, 1001} {
		_, err := f.a.NextTimes(t.Context(), admin(), "nightly", count)
		wantCode(t, err, automation.CodeBadRequest)
	}
	s := f.create(nil)
	_, _, err = f.a.CreateSchedule(t.Context(), admin(), service.ScheduleRequest{Name: s.Name, Definition: nightly, Interval: "15m"}, "")
	wantPlaces(t, err, "/name")
	wantCode(t, err, automation.CodeConflict)
}

func TestScheduleKey(t *testing.T) {
	t.Parallel()
	f := newScheduled(t, setup(t).store)
	p := admin()
	r := service.ScheduleRequest{Name: "nightly", Definition: nightly, Interval: "15m"}
	first, created, err := f.a.CreateSchedule(t.Context(), p, r, "k")
	if err != nil || !created {
		t.Fatal(err)
	}
	again, created, err := f.a.CreateSchedule(t.Context(), p, r, "k")
	if err != nil || created || again.ID != first.ID {
		t.Errorf("got %v, %v, %v; want the same schedule", again.ID, created, err)
	}
	r.Interval = "16m"
	_, _, err = f.a.CreateSchedule(t.Context(), p, r, "k")
	wantCode(t, err, automation.CodeConflict)
}
