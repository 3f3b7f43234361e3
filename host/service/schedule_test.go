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
		"catch up all": catchUpAll, "overlap skip": overlapSkip, "overlap queue": overlapQueue, "overlap queue has a bound": overlapQueueBound, "overlap allow": overlapAllow, "overlap cancel": overlapCancel,
		"killed between claim and run": killedBetween, "killed after the run": killedAfter, "paused": paused, "failing": failing,
		"jitter": jittered, "changed": changedSchedule, "tenants": tenants,
	})
}

func daylightSaving(f *scheduled) {
	s := f.create(func(r *service.ScheduleRequest) { r.Overlap = automation.OverlapAllow })
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
		r.Cron, r.TimeZone, r.Interval, r.Overlap = "", "", "1m", automation.OverlapAllow
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
		r.Cron, r.TimeZone, r.CatchUp, r.Overlap = "0 * * * *", "", policy, automation.OverlapAllow
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

// overlapQueue: times wait for the last run to end and get their runs one after the
// other; no host has missed them, so the catch-up policy has no say.
func overlapQueue(f *scheduled) {
	first := hourly(f, automation.OverlapQueue)
	if next := f.until("2026-03-28T14:00:00Z"); !next.Equal(f.at("2026-03-28T14:00:01Z")) {
		f.Errorf("it is looked at again at %v; want a second later", next)
	}
	f.until("2026-03-28T15:30:00Z")
	f.wantRuns("while the first is open", 1)
	if s := f.now(); s.LastError != nil || !s.Next.Equal(f.at("2026-03-28T14:00:00Z")) || s.Version != 1 {
		f.Errorf("got %+v; want 14:00 to wait", s)
	}
	f.end(first.ID)
	f.until("2026-03-28T15:30:05Z")
	second := f.wantRuns("after its end", 2)[1]
	if at := f.scheduledAt(second.ID); at != "2026-03-28T14:00:00Z" {
		f.Errorf("the second run is for %s; want 14:00", at)
	}
	f.until("2026-03-28T15:31:00Z")
	f.wantRuns("while the second is open", 2)
	f.end(second.ID)
	f.until("2026-03-28T15:31:05Z")
	third := f.wantRuns("after that", 3)[2]
	if s := f.now(); f.scheduledAt(third.ID) != "2026-03-28T15:00:00Z" || !s.Next.Equal(f.at("2026-03-28T16:00:00Z")) || s.LastError != nil {
		f.Errorf("the third run is for %s, and the schedule %+v; want 15:00, then 16:00", f.scheduledAt(third.ID), s)
	}
	f.end(third.ID)
	f.until("2026-03-28T18:30:00Z") // no run was open at 16, 17, 18 o'clock: no host was there
	f.wantRuns("times that were missed", 3)
}

// overlapQueueBound: of more than a hundred times that wait, the newest get runs.
func overlapQueueBound(f *scheduled) {
	first := hourly(f, automation.OverlapQueue)
	f.until("2026-04-04T13:30:00Z") // 168 times later
	f.end(first.ID)
	f.until("2026-04-04T13:31:00Z")
	second := f.wantRuns("after its end", 2)[1]
	if at := f.scheduledAt(second.ID); at != "2026-03-31T10:00:00Z" {
		f.Errorf("the second run is for %s; want the hundredth time before", at)
	}
}

func overlapAllow(f *scheduled) {
	hourly(f, automation.OverlapAllow)
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
		r.Cron, r.TimeZone, r.Overlap = "0 * * * *", "", automation.OverlapAllow
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
	r := service.ScheduleRequest{Name: "nightly", Definition: nightly, Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Overlap: automation.OverlapAllow}
	f.clock.add(time.Minute)
	same, err := f.a.UpdateSchedule(f.Context(), admin(), "nightly", r, 1)
	if err != nil || same.Version != 2 || !same.Next.Equal(s.Next) || same.Overlap != automation.OverlapAllow || !same.Created.Equal(s.Created) {
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
