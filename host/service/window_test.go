package service_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// TestWindowRefused: every fault of a window is told at once with its place, and
// nothing is stored.
func TestWindowRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	good := func() service.WindowRequest {
		return service.WindowRequest{Name: "nights", WindowSpec: automation.WindowSpec{Tags: []string{"prod"}, Cron: "0 2 * * *", Duration: "4h"}}
	}
	day := time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		change func(*service.WindowRequest)
		want   string // pointers and codes
	}{
		{"no name, no assets", func(r *service.WindowRequest) { r.Name, r.Tags = "", nil }, "/name missing, /assets missing"},
		{"no times", func(r *service.WindowRequest) { r.Cron, r.Duration = "", "" }, "/cron missing"},
		{"another kind and scope", func(r *service.WindowRequest) { r.Kind, r.Scope = "blackout", "some" }, "/kind invalid, /scope invalid"},
		{"both times", func(r *service.WindowRequest) { r.From, r.Until = day, day.Add(time.Hour) }, "/from invalid"},
		{"a cron that never fires", func(r *service.WindowRequest) { r.Cron = "0 0 30 2 *" }, "/cron invalid"},
		{"a zone that is not", func(r *service.WindowRequest) { r.TimeZone = "Europe/Berln" }, "/time_zone unknown_name"},
		{"too long", func(r *service.WindowRequest) { r.Duration = "800h" }, "/duration invalid"},
		{"an end before its begin", func(r *service.WindowRequest) { r.Cron, r.Duration, r.From, r.Until = "", "", day, day.Add(-time.Hour) }, "/until invalid"},
		{"an end alone", func(r *service.WindowRequest) { r.Cron, r.Duration, r.Until = "", "", day }, "/until invalid"},
		{"a duration without cron", func(r *service.WindowRequest) { r.Cron, r.From, r.Until = "", day, day.Add(time.Hour) }, "/duration invalid"},
		{"bad words", func(r *service.WindowRequest) { r.Assets, r.Tags = []string{"a b"}, []string{""} }, "/assets invalid, /tags invalid"},
		{"too many", func(r *service.WindowRequest) { r.Tags = make([]string, 1001) }, "/tags limit"},
	} {
		r := good()
		tt.change(&r)
		_, _, err := f.CreateWindow(t.Context(), admin(), r, "")
		if got := placesOf(err); got != tt.want {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
	if all, err := f.Windows(t.Context(), admin(), automation.Page{}); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v; want no window stored", all, err)
	}
	w, _, err := f.CreateWindow(t.Context(), admin(), good(), "")
	if err != nil || w.Kind != automation.WindowMaintenance || w.Scope != automation.WindowChanges || w.TimeZone != "UTC" {
		t.Errorf("got %+v, %v; want it with its defaults", w, err)
	}
	_, _, err = f.CreateWindow(t.Context(), admin(), good(), "")
	wantCode(t, err, automation.CodeConflict)
	_, err = f.UpdateWindow(t.Context(), admin(), "nights", good(), 7)
	wantCode(t, err, automation.CodeConflict)
	_, err = f.Window(t.Context(), admin(), "days")
	wantCode(t, err, automation.CodeNotFound)
}

// placesOf lists the pointers and codes of an error.
func placesOf(err error) string {
	var many automation.Errors
	var one *automation.Error
	if !errors.As(err, &many) && errors.As(err, &one) {
		many = automation.Errors{one}
	}
	out := make([]string, len(many))
	for i, e := range many {
		out[i] = e.Pointer + " " + string(e.Code)
	}
	return strings.Join(out, ", ")
}
