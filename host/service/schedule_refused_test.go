package service_test

import (
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

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
		"no zone":        {func(r *service.ScheduleRequest) { r.TimeZone = "Europe/Berlni" }, "/time_zone: there is no such time zone (allowed: an IANA name, like Europe/Berlin); did you mean \"Europe/Berlin\"?"},
		"interval words": {func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "soon" }, "/interval: that is not an interval (allowed: 1s to 8784h, like 15m or 1h30m)"},
		"too short":      {func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "999ms" }, "/interval: that is not an interval"},
		"too long":       {func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "8785h" }, "/interval: that is not an interval"},
		"negative":       {func(r *service.ScheduleRequest) { r.Cron, r.TimeZone, r.Interval = "", "", "-1h" }, "/interval: that is not an interval"},
		"zone unused":    {func(r *service.ScheduleRequest) { r.Cron, r.Interval = "", "15m" }, "/time_zone: an interval knows no time zone; leave time_zone out, or use cron"},
		"catch up":       {func(r *service.ScheduleRequest) { r.CatchUp = "some" }, "/catch_up: the value is not one of those allowed (allowed: skip, one, all)"},
		"overlap":        {func(r *service.ScheduleRequest) { r.Overlap = "kill" }, "/overlap: the value is not one of those allowed (allowed: skip, queue, allow, cancel)"},
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
