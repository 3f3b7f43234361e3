package storetest

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func newWindow(name string) automation.Window {
	return automation.Window{
		ID: automation.NewID[automation.WindowID](), Tenant: tenant, Name: name,
		WindowSpec: automation.WindowSpec{
			Kind: automation.WindowMaintenance, Scope: automation.WindowChanges, Assets: []string{"web-1"}, Tags: []string{"prod"},
			Cron: "0 2 * * *", Duration: "4h", TimeZone: "Europe/Berlin",
		},
		Created: store.Moment(start()), Updated: store.Moment(start()), Version: 1,
	}
}

func windows(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	settings, stop := f.st.Wake(store.TopicSettings)
	defer stop()
	w := newWindow("nights")
	got, created, err := f.st.CreateWindow(ctx, w, act("window.create"))
	f.must(err)
	equal(t, "created", created, true)
	select {
	case <-settings:
	case <-ctx.Done():
		t.Error("a window that is created does not wake the leader")
	}
	equal(t, "what CreateWindow returns", got, w)
	_, _, err = f.st.CreateWindow(ctx, newWindow("nights"), act("window.create"))
	wantCode(t, "the name is taken", err, automation.CodeConflict)
	got, err = f.st.WindowByName(ctx, tenant, "nights")
	f.must(err)
	equal(t, "by its name", got, w)

	freeze := newWindow("freeze")
	freeze.WindowSpec = automation.WindowSpec{
		Kind: automation.WindowFreeze, Scope: automation.WindowAll, Assets: []string{"*"},
		From: store.Moment(start()), Until: store.Moment(start().Add(time.Hour)),
	}
	got, _, err = f.st.CreateWindow(ctx, freeze, act("window.create"))
	f.must(err)
	equal(t, "a window of one time", got, freeze)
	foreign := newWindow("nights")
	foreign.Tenant = other
	_, _, err = f.st.CreateWindow(ctx, foreign, actOf(other, "window.create"))
	f.must(err)
	all, err := f.st.AllWindows(ctx)
	f.must(err)
	equal(t, "windows of all tenants", len(all), 3)
	list, err := f.st.ListWindows(ctx, tenant, automation.Page{Limit: 10, After: "freeze"})
	f.must(err)
	equal(t, "windows after freeze", list, []automation.Window{w})

	changed := w
	changed.Duration, changed.Updated = "5h", store.Moment(start().Add(time.Minute))
	got, err = f.st.UpdateWindow(ctx, changed, act("window.update"))
	f.must(err)
	changed.Version = 2
	equal(t, "what UpdateWindow returns", got, changed)
	_, err = f.st.UpdateWindow(ctx, w, act("window.update"))
	wantCode(t, "an update of an old version", err, automation.CodeConflict)
	foreign.Tenant = tenant
	_, err = f.st.UpdateWindow(ctx, foreign, act("window.update"))
	wantCode(t, "update another tenant's", err, automation.CodeNotFound)
	wantCode(t, "delete another tenant's", f.st.DeleteWindow(ctx, tenant, foreign.ID, act("window.delete")), automation.CodeNotFound)
	f.must(f.st.DeleteWindow(ctx, tenant, w.ID, act("window.delete")))
	_, err = f.st.Window(ctx, tenant, w.ID)
	wantCode(t, "a deleted window", err, automation.CodeNotFound)
}
