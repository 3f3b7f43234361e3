package service_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// TestLimitRefused: every fault of a limit is told at once with its place, and
// nothing is stored.
func TestLimitRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, tt := range []struct {
		name    string
		request service.LimitRequest
		want    string
	}{
		{"nothing", service.LimitRequest{}, "/kind invalid, /max missing"},
		{"limits nothing", service.LimitRequest{Kind: "plugin"}, "/max missing"},
		{"another kind", service.LimitRequest{Kind: "os", Max: 1}, "/kind invalid"},
		{"global has no match", service.LimitRequest{Kind: "global", Match: "x", Max: 1}, "/match invalid"},
		{"a version", service.LimitRequest{Kind: "plugin", Match: "linux@1", Max: 1}, "/match invalid"},
		{"no action", service.LimitRequest{Kind: "action", Match: "linux", Max: 1}, "/match invalid"},
		{"no queue", service.LimitRequest{Kind: "queue", Match: "DMZ", Max: 1}, "/match invalid"},
		{"no asset", service.LimitRequest{Kind: "asset", Match: "a b", Max: 1}, "/match invalid"},
		{"a credential that is not there", service.LimitRequest{Kind: "credential", Match: "root", Max: 1}, "/match unknown_name"},
		{"a key with a line", service.LimitRequest{Kind: "concurrency_key", Match: "a\nb", Max: 1}, "/match invalid"},
		{"below nothing", service.LimitRequest{Kind: "global", Max: -1}, "/max invalid"},
		{"a rate of nothing", service.LimitRequest{Kind: "global", Rate: &service.RateRequest{}}, "/rate/count invalid, /rate/per invalid"},
		{"too long, too many", service.LimitRequest{Kind: "global", Rate: &service.RateRequest{Count: 1, Per: "745h", Burst: 10001}}, "/rate/per invalid, /rate/burst invalid"},
	} {
		_, _, err := f.CreateLimit(t.Context(), admin(), tt.request, "")
		if got := placesOf(err); got != tt.want {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
	if all, err := f.Limits(t.Context(), admin(), automation.Page{}); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v; want no limit stored", all, err)
	}
}

// TestLimitLife: a limit is created, found, changed from the version that was read,
// and deleted; another tenant's administrator may not.
func TestLimitLife(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := t.Context()
	r := service.LimitRequest{Kind: "plugin", Match: "linux", Max: 3, Rate: &service.RateRequest{Count: 10, Per: "1m"}}
	l, created, err := f.CreateLimit(ctx, admin(), r, "")
	want := &automation.Rate{Count: 10, Per: time.Minute, Burst: 1}
	if err != nil || !created || cmp.Diff(want, l.Rate) != "" || l.Max != 3 || l.Version != 1 {
		t.Fatalf("got %+v, %v, %v", l, created, err)
	}
	_, _, err = f.CreateLimit(ctx, admin(), r, "")
	wantCode(t, err, automation.CodeConflict)
	if got, err := f.LimitFor(ctx, admin(), "plugin", "linux"); err != nil || got.ID != l.ID {
		t.Errorf("got %+v, %v; want the limit", got, err)
	}
	r.Max, r.Rate = 5, nil
	_, err = f.UpdateLimit(ctx, admin(), string(l.ID), r, 7)
	wantCode(t, err, automation.CodeConflict)
	if l, err = f.UpdateLimit(ctx, admin(), string(l.ID), r, 1); err != nil || l.Max != 5 || l.Rate != nil || l.Version != 2 {
		t.Errorf("got %+v, %v", l, err)
	}
	r.Match = "core"
	_, err = f.UpdateLimit(ctx, admin(), string(l.ID), r, 0)
	wantCode(t, err, automation.CodeInvalid)
	foreign := admin()
	foreign.Tenant = "other"
	_, _, err = f.CreateLimit(ctx, foreign, r, "")
	wantCode(t, err, automation.CodeForbidden)
	wantCode(t, f.DeleteLimit(ctx, foreign, string(l.ID), 0), automation.CodeNotFound)
	if err := f.DeleteLimit(ctx, admin(), string(l.ID), 0); err != nil {
		t.Error(err)
	}
	_, err = f.Limit(ctx, admin(), string(l.ID))
	wantCode(t, err, automation.CodeNotFound)
	_, err = f.Limit(ctx, admin(), "plugin")
	wantCode(t, err, automation.CodeNotFound)
}
