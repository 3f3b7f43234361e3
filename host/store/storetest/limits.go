package storetest

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func newLimit(kind automation.LimitKind, match string) automation.Limit {
	return automation.Limit{
		ID: automation.NewID[automation.LimitID](), Tenant: tenant, Kind: kind, Match: match, Max: 3,
		Rate:    &automation.Rate{Count: 7, Per: 1500 * time.Millisecond, Burst: 2},
		Created: store.Moment(start()), Updated: store.Moment(start()), Version: 1,
	}
}

func (f *fixture) limit(l automation.Limit) automation.Limit {
	f.t.Helper()
	got, created, err := f.st.CreateLimit(f.t.Context(), l, actOf(l.Tenant, "limit.create"))
	f.must(err)
	equal(f.t, "created", created, true)
	equal(f.t, "what CreateLimit returns", got, l)
	return got
}

func limits(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	wake, stop := f.st.Wake(store.TopicSettings)
	defer stop()
	l := f.limit(newLimit(automation.LimitPlugin, "linux"))
	select {
	case <-wake:
	case <-time.After(5 * time.Second):
		t.Error("a new limit wakes nobody")
	}
	only := newLimit(automation.LimitGlobal, "")
	only.Rate = nil
	f.limit(only)
	rate := newLimit(automation.LimitAsset, "")
	rate.Max = 0
	f.limit(rate)
	foreign := newLimit(automation.LimitPlugin, "linux")
	foreign.Tenant = other
	f.limit(foreign)

	_, _, err := f.st.CreateLimit(ctx, newLimit(automation.LimitPlugin, "linux"), act("limit.create"))
	wantCode(t, "a limit of that kind and match is there", err, automation.CodeConflict)
	nothing := newLimit(automation.LimitPlugin, "core")
	nothing.Max, nothing.Rate = 0, nil
	_, _, err = f.st.CreateLimit(ctx, nothing, act("limit.create"))
	if err == nil {
		t.Error("a limit that limits nothing was stored")
	}
	got, err := f.st.Limit(ctx, tenant, l.ID)
	f.must(err)
	equal(t, "by its identifier", got, l)
	got, err = f.st.LimitFor(ctx, tenant, automation.LimitPlugin, "linux")
	f.must(err)
	equal(t, "by kind and match", got, l)
	_, err = f.st.LimitFor(ctx, tenant, automation.LimitPlugin, "none")
	wantCode(t, "no such limit", err, automation.CodeNotFound)

	changed := l
	changed.Max, changed.Rate, changed.Updated = 9, nil, store.Moment(start().Add(time.Hour))
	changed.Kind, changed.Match, changed.Created = automation.LimitTenant, "x", time.Time{} // are not changed
	got, err = f.st.UpdateLimit(ctx, changed, act("limit.update"))
	f.must(err)
	changed.Kind, changed.Match, changed.Created, changed.Version = l.Kind, l.Match, l.Created, 2
	equal(t, "what UpdateLimit returns", got, changed)
	_, err = f.st.UpdateLimit(ctx, l, act("limit.update"))
	wantCode(t, "a stale version", err, automation.CodeConflict)
	_, err = f.st.UpdateLimit(ctx, newLimit(automation.LimitQueue, "q"), act("limit.update"))
	wantCode(t, "an update of nothing", err, automation.CodeNotFound)

	list, err := f.st.ListLimits(ctx, tenant, automation.Page{Limit: 2, After: string(l.ID)})
	f.must(err)
	equal(t, "a page of limits", list, []automation.Limit{only, rate})
	all, err := f.st.AllLimits(ctx)
	f.must(err)
	equal(t, "the limits that count", all, []automation.Limit{changed, only, rate})
	f.must(f.st.DeleteLimit(ctx, tenant, l.ID, act("limit.delete")))
	wantCode(t, "deleting again", f.st.DeleteLimit(ctx, tenant, l.ID, act("limit.delete")), automation.CodeNotFound)
	wantCode(t, "another tenant's", f.st.DeleteLimit(ctx, tenant, foreign.ID, act("limit.delete")), automation.CodeNotFound)
}

// buckets: what a commit says of the rates is there for the next leader, of its own
// shard, and a commit that is fenced says nothing.
func buckets(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	host, err := f.st.RegisterHost(ctx, automation.Host{ID: automation.NewID[automation.HostID](), Name: "h", Slots: 1})
	f.must(err)
	epoch, err := f.st.Lead(ctx, 0, host.ID, 0, time.Minute)
	f.must(err)
	put := func(epoch int64, list ...automation.Bucket) error {
		return f.st.Append(ctx, store.Batch{Host: host.ID, Epoch: epoch, Buckets: list})
	}
	f.must(put(epoch, automation.Bucket{Key: "global:", Tat: 1 << 60}, automation.Bucket{Key: "asset:ü", Tat: 12345678901234567}))
	f.must(put(epoch, automation.Bucket{Key: "global:", Tat: 1<<60 + 1}, automation.Bucket{Key: "asset:ü"}, automation.Bucket{Key: "tenant:x", Tat: -1}))
	if err := put(epoch+1, automation.Bucket{Key: "global:", Tat: 1}); err == nil {
		t.Error("a commit of another epoch was taken")
	}
	got, err := f.st.Buckets(ctx, 0)
	f.must(err)
	equal(t, "the buckets", got, []automation.Bucket{{Key: "global:", Tat: 1<<60 + 1}, {Key: "tenant:x", Tat: -1}})
	got, err = f.st.Buckets(ctx, 1)
	f.must(err)
	equal(t, "the buckets of another shard", len(got), 0)
}
