package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func newSchedule(name string) automation.Schedule {
	return automation.Schedule{
		ID: automation.NewID[automation.ScheduleID](), Tenant: tenant, Name: name, Definition: "name: x", Inputs: []byte(`{"z":1, "a":2}`),
		Cron: "0 3 * * *", TimeZone: "Europe/Berlin", CatchUp: automation.CatchUpOne, Overlap: automation.OverlapCancel, Jitter: "30s",
		Next: store.Moment(start().Add(time.Hour)), Due: store.Moment(start().Add(time.Hour + time.Second)),
		Created: store.Moment(start()), Updated: store.Moment(start()), Version: 1,
	}
}

func (f *fixture) schedule(s automation.Schedule) automation.Schedule {
	f.t.Helper()
	got, created, err := f.st.CreateSchedule(f.t.Context(), s, actOf(s.Tenant, "schedule.create"))
	f.must(err)
	equal(f.t, "created", created, true)
	return got
}

func (f *fixture) claim(s automation.Schedule) store.Claim {
	next := s.Next.Add(24 * time.Hour)
	return store.Claim{Schedule: s, At: s.Next, Next: next, Due: next.Add(time.Second), Fire: &automation.Fire{
		Schedule: s.ID, Tenant: s.Tenant, At: s.Next, Run: automation.NewID[automation.RunID](), PlanHash: f.plan, Workflow: "x",
		By: "schedule:x", Claimed: store.Moment(start()),
	}}
}

func schedules(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	s := newSchedule("nightly")
	equal(t, "what CreateSchedule returns", f.schedule(s), s)
	bare := automation.Schedule{
		ID: "bare", Tenant: tenant, Name: "Bare", Definition: "x", Interval: "15m", TimeZone: "UTC", CatchUp: automation.CatchUpSkip,
		Overlap: automation.OverlapSkip, Paused: true, Created: s.Created, Updated: s.Updated, Version: 1,
	}
	equal(t, "a schedule with nothing else set", f.schedule(bare), bare)
	got, err := f.st.Schedule(ctx, tenant, s.ID)
	f.must(err)
	equal(t, "by its identifier", got, s)
	got, err = f.st.ScheduleByName(ctx, tenant, "nightly")
	f.must(err)
	equal(t, "by its name", got, s)
	_, _, err = f.st.CreateSchedule(ctx, newSchedule("nightly"), act("schedule.create"))
	wantCode(t, "the name is taken", err, automation.CodeConflict)
	f.updateSchedules(s, bare)

	f.schedule(newSchedule("a"))
	list, err := f.st.ListSchedules(ctx, tenant, automation.Page{Limit: 10, After: "Bare"})
	f.must(err)
	if len(list) != 2 || list[0].Name != "a" || list[1].Name != "nightly" {
		t.Errorf("schedules after Bare: %+v", list)
	}
	f.must(f.st.DeleteSchedule(ctx, tenant, s.ID, act("schedule.delete")))
	wantCode(t, "deleting again", f.st.DeleteSchedule(ctx, tenant, s.ID, act("schedule.delete")), automation.CodeNotFound)
	_, err = f.st.Schedule(ctx, tenant, s.ID)
	wantCode(t, "a deleted schedule", err, automation.CodeNotFound)

	foreign := newSchedule("a")
	foreign.Tenant = other
	f.schedule(foreign)
	_, err = f.st.Schedule(ctx, tenant, foreign.ID)
	wantCode(t, "another tenant's schedule", err, automation.CodeNotFound)
	_, err = f.st.ScheduleByName(ctx, other, "Bare")
	wantCode(t, "another tenant's by name", err, automation.CodeNotFound)
	wantCode(t, "delete another tenant's", f.st.DeleteSchedule(ctx, tenant, foreign.ID, act("schedule.delete")), automation.CodeNotFound)
	foreign.Tenant = tenant
	_, err = f.st.UpdateSchedule(ctx, foreign, act("schedule.update"))
	wantCode(t, "update another tenant's", err, automation.CodeNotFound)
	_, err = f.st.ListSchedules(ctx, tenant, automation.Page{})
	wantCode(t, "a page without a limit", err, automation.CodeInvalid)
}

func (f *fixture) updateSchedules(s, bare automation.Schedule) {
	f.t.Helper()
	ctx, t := f.t.Context(), f.t
	changed := s
	changed.Inputs, changed.Jitter, changed.Next, changed.Due, changed.LastRun = nil, "", time.Time{}, time.Time{}, "ignored"
	got, err := f.st.UpdateSchedule(ctx, changed, act("schedule.update"))
	f.must(err)
	changed.Version, changed.Next, changed.Due, changed.LastRun = 2, s.Next, s.Due, ""
	equal(t, "an update that leaves the next time", got, changed)
	changed.Paused = true
	got, err = f.st.UpdateSchedule(ctx, changed, act("schedule.pause"))
	f.must(err)
	if !got.Paused || !got.Next.IsZero() || !got.Due.IsZero() || got.Version != 3 {
		t.Errorf("a paused schedule: %+v; want no next time", got)
	}
	_, err = f.st.UpdateSchedule(ctx, changed, act("schedule.update"))
	wantCode(t, "a stale version", err, automation.CodeConflict)
	got.Name = bare.Name
	_, err = f.st.UpdateSchedule(ctx, got, act("schedule.update"))
	wantCode(t, "a rename to a name that is taken", err, automation.CodeConflict)
	_, err = f.st.UpdateSchedule(ctx, newSchedule("gone"), act("schedule.update"))
	wantCode(t, "an update of nothing", err, automation.CodeNotFound)
}

func fires(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	late, early, paused := newSchedule("late"), newSchedule("early"), newSchedule("paused")
	early.Next, early.Due = start().Truncate(time.Second), start().Truncate(time.Second)
	paused.Paused, paused.Next, paused.Due = true, time.Time{}, time.Time{}
	f.schedule(late)
	f.schedule(early)
	f.schedule(paused)
	list, err := f.st.NextSchedules(ctx, 10)
	f.must(err)
	if len(list) != 2 || list[0].Name != "early" || list[1].Name != "late" {
		t.Errorf("next schedules: %+v", list)
	}
	f.putOff(early)
	c := f.claim(early)
	for what, spoil := range map[string]func(*store.Claim){
		"another version": func(c *store.Claim) { c.Schedule.Version = 2 },
		"another time":    func(c *store.Claim) { c.Schedule.Next = c.Next },
		"another tenant":  func(c *store.Claim) { c.Schedule.Tenant = other },
	} {
		bad := c
		spoil(&bad)
		wantCode(t, "a claim of "+what, f.st.ClaimFire(ctx, bad, actOf(bad.Schedule.Tenant, "schedule.fire")), automation.CodeConflict)
	}
	f.must(f.st.ClaimFire(ctx, c, act("schedule.fire")))
	claimed, err := f.st.ClaimedFires(ctx, 10)
	f.must(err)
	equal(t, "claimed", claimed, []automation.Fire{*c.Fire})
	s, err := f.st.Schedule(ctx, tenant, early.ID)
	f.must(err)
	if !s.Next.Equal(c.Next) || !s.Due.Equal(c.Due) || !s.Last.Equal(c.At) || s.Version != 1 {
		t.Errorf("after the claim: %+v", s)
	}
	if list, err = f.st.NextSchedules(ctx, 10); err != nil || len(list) != 1 {
		t.Errorf("next schedules with one claimed: %+v, %v", list, err)
	}
	wantCode(t, "a second claim before the first is finished", f.st.ClaimFire(ctx, f.claim(s), act("schedule.fire")), automation.CodeConflict)
	bare := f.claim(s)
	bare.Fire = nil
	wantCode(t, "a claim without a run before the first is finished", f.st.ClaimFire(ctx, bare, act("schedule.fire")), automation.CodeConflict)
	f.must(f.st.FinishFire(ctx, *c.Fire, c.Fire.Run, nil))
	f.must(f.st.FinishFire(ctx, *c.Fire, "again", nil)) // is passed over
	s, err = f.st.Schedule(ctx, tenant, early.ID)
	f.must(err)
	equal(t, "the last run", s.LastRun, c.Fire.Run)
	f.failures(s)
}

// putOff: a schedule is looked at later, its next time staying as it is.
func (f *fixture) putOff(s automation.Schedule) {
	f.t.Helper()
	ctx, later := f.t.Context(), s.Due.Add(time.Minute)
	for _, spoil := range []func(*automation.Schedule){
		func(s *automation.Schedule) { s.Version = 2 },
		func(s *automation.Schedule) { s.Next = later },
		func(s *automation.Schedule) { s.Due = later },
		func(s *automation.Schedule) { s.Tenant = other },
	} {
		stale := s
		spoil(&stale)
		f.must(f.st.PutOff(ctx, stale, later)) // is passed over
	}
	equal(f.t, "what was not put off", must(f.st.Schedule(ctx, tenant, s.ID)), s)
	f.must(f.st.PutOff(ctx, s, later))
	off := s
	off.Due = later
	equal(f.t, "what was put off", must(f.st.Schedule(ctx, tenant, s.ID)), off)
	f.must(f.st.PutOff(ctx, off, s.Due))
}

// failures: a time without a run, by its claim and by its end.
func (f *fixture) failures(s automation.Schedule) {
	f.t.Helper()
	ctx, t := f.t.Context(), f.t
	problem := &automation.Error{Code: automation.CodeMissing, Message: "no targets", Suggestion: "x"}
	c := f.claim(s)
	run := s.LastRun
	c.Fire, c.Problem = nil, problem
	f.must(f.st.ClaimFire(ctx, c, act("schedule.fire")))
	s, err := f.st.Schedule(ctx, tenant, s.ID)
	f.must(err)
	equal(t, "the last error", s.LastError, problem)
	equal(t, "the last run stays", s.LastRun, run)
	c = f.claim(s)
	f.must(f.st.ClaimFire(ctx, c, act("schedule.fire")))
	f.must(f.st.FinishFire(ctx, *c.Fire, c.Fire.Run, nil))
	s, err = f.st.Schedule(ctx, tenant, s.ID)
	f.must(err)
	equal(t, "the last error after a run", s.LastError, (*automation.Error)(nil))
	c = f.claim(s)
	f.must(f.st.ClaimFire(ctx, c, act("schedule.fire")))
	f.must(f.st.FinishFire(ctx, *c.Fire, "", problem))
	s, err = f.st.Schedule(ctx, tenant, s.ID)
	f.must(err)
	equal(t, "the last error of a claimed time", s.LastError, problem)
	c = f.claim(s)
	c.Next, c.Due = time.Time{}, time.Time{}
	f.must(f.st.ClaimFire(ctx, c, act("schedule.fire")))
	f.must(f.st.DeleteSchedule(ctx, tenant, s.ID, act("schedule.delete")))
	claimed, err := f.st.ClaimedFires(ctx, 10)
	f.must(err)
	equal(t, "claims of a deleted schedule", len(claimed), 0)
	_, err = f.st.NextSchedules(ctx, 0)
	wantCode(t, "NextSchedules", err, automation.CodeInvalid)
	_, err = f.st.ClaimedFires(ctx, 0)
	wantCode(t, "ClaimedFires", err, automation.CodeInvalid)
}

// oneClaimWins: of many claims of one time, one succeeds.
func oneClaimWins(t *testing.T, b Backend) {
	f := setup(t, b)
	s := f.schedule(newSchedule("x"))
	for range 5 {
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				c := f.claim(s)
				err := f.st.ClaimFire(t.Context(), c, act("schedule.fire"))
				if err != nil {
					wantCode(t, "a claim that lost", err, automation.CodeConflict)
					return
				}
				won.Add(1)
				f.must(f.st.FinishFire(t.Context(), *c.Fire, c.Fire.Run, nil))
			})
		}
		wg.Wait()
		equal(t, "how many of ten claims won", won.Load(), int64(1))
		var err error
		s, err = f.st.Schedule(t.Context(), tenant, s.ID)
		f.must(err)
	}
	n, err := store.VerifyAudit(t.Context(), f.st, tenant)
	f.must(err)
	equal(t, "audit entries", n, int64(6))
}

// timesOf: which times got a run.
func timesOf(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	s, neighbour := f.schedule(newSchedule("x")), f.schedule(newSchedule("y"))
	first := s.Next
	day := func(n int) time.Time { return first.Add(time.Duration(n) * 24 * time.Hour) }
	all := func(id automation.ScheduleID, from, to time.Time, limit int) []automation.ScheduleRun {
		t.Helper()
		got, err := f.st.ScheduleRuns(ctx, tenant, id, from, to, limit)
		f.must(err)
		return got
	}
	c := f.claim(s)
	f.must(f.st.ClaimFire(ctx, c, act("schedule.fire")))
	f.must(f.st.FinishFire(ctx, *c.Fire, c.Fire.Run, nil))
	f.must(f.st.PutScheduleRuns(ctx, tenant, s.ID, []automation.ScheduleRun{{At: day(-1), Run: "a"}, {At: day(-2), Run: "b"}}))
	equal(t, "the runs of times", all(s.ID, day(-9), day(9), 10), []automation.ScheduleRun{{At: day(-2), Run: "b"}, {At: day(-1), Run: "a"}, {At: first, Run: c.Fire.Run}})
	equal(t, "from is in, to is not", all(s.ID, day(-2), day(-1), 10), []automation.ScheduleRun{{At: day(-2), Run: "b"}})
	equal(t, "the first two", len(all(s.ID, day(-9), day(9), 2)), 2)
	equal(t, "another schedule's", len(all(neighbour.ID, day(-9), day(9), 10)), 0)
	f.must(f.st.PutScheduleRuns(ctx, tenant, s.ID, []automation.ScheduleRun{{At: day(-2), Run: "c"}}))
	equal(t, "a time's newer run", all(s.ID, day(-2), day(-1), 10), []automation.ScheduleRun{{At: day(-2), Run: "c"}})
	err := f.st.PutScheduleRuns(ctx, other, s.ID, []automation.ScheduleRun{{At: day(1), Run: "d"}})
	wantCode(t, "another tenant's schedule", err, automation.CodeNotFound)
	list, err := f.st.ScheduleRuns(ctx, other, s.ID, day(-9), day(9), 10)
	f.must(err)
	equal(t, "what another tenant reads", len(list), 0)
	_, err = f.st.ScheduleRuns(ctx, tenant, s.ID, day(-9), day(9), 0)
	wantCode(t, "ScheduleRuns", err, automation.CodeInvalid)
	problem := &automation.Error{Code: automation.CodeMissing, Message: "x"}
	s, err = f.st.Schedule(ctx, tenant, s.ID)
	f.must(err)
	c = f.claim(s)
	f.must(f.st.ClaimFire(ctx, c, act("schedule.fire")))
	f.must(f.st.FinishFire(ctx, *c.Fire, "", problem))
	equal(t, "a time without a run", len(all(s.ID, c.At, day(9), 10)), 0)
	f.must(f.st.DeleteSchedule(ctx, tenant, s.ID, act("schedule.delete")))
	equal(t, "of a deleted schedule", len(all(s.ID, day(-9), day(9), 10)), 0)
}
