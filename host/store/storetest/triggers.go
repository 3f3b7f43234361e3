package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func newTrigger(name string) automation.Trigger {
	return automation.Trigger{
		ID: automation.NewID[automation.TriggerID](), Tenant: tenant, Name: name, Definition: "name: x", Inputs: []byte(`{"z":"${{ event.z }}", "a":2}`),
		If: "event.ok", Scheme: automation.SignatureGitHub, Enabled: true, KeyID: "k", Sealed: []byte{1, 2, 0, 255}, SecretVersion: 2,
		PreviousUntil: store.Moment(start().Add(time.Hour)), Created: store.Moment(start()), Updated: store.Moment(start()), Version: 1,
	}
}

func (f *fixture) trigger(t automation.Trigger) automation.Trigger {
	f.t.Helper()
	got, created, err := f.st.CreateTrigger(f.t.Context(), t, actOf(t.Tenant, "trigger.create"))
	f.must(err)
	equal(f.t, "created", created, true)
	return got
}

func triggers(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	s := newTrigger("push")
	equal(t, "what CreateTrigger returns", f.trigger(s), s)
	bare := automation.Trigger{
		ID: "bare", Tenant: tenant, Name: "Bare", Definition: "x", Scheme: automation.SignatureStandard, KeyID: "k", Sealed: []byte{1},
		SecretVersion: 1, Created: s.Created, Updated: s.Updated, Version: 1,
	}
	equal(t, "a trigger with nothing else set", f.trigger(bare), bare)
	got, err := f.st.Trigger(ctx, tenant, s.ID)
	f.must(err)
	equal(t, "by its identifier", got, s)
	got, err = f.st.TriggerByName(ctx, tenant, "push")
	f.must(err)
	equal(t, "by its name", got, s)
	got, err = f.st.TriggerByID(ctx, s.ID)
	f.must(err)
	equal(t, "by its identifier, of any tenant", got, s)
	_, err = f.st.TriggerByID(ctx, "nothing")
	wantCode(t, "no trigger", err, automation.CodeNotFound)
	_, _, err = f.st.CreateTrigger(ctx, newTrigger("push"), act("trigger.create"))
	wantCode(t, "the name is taken", err, automation.CodeConflict)
	f.updateTriggers(s, bare)

	f.trigger(newTrigger("a"))
	list, err := f.st.ListTriggers(ctx, tenant, automation.Page{Limit: 10, After: "Bare"})
	f.must(err)
	if len(list) != 2 || list[0].Name != "a" || list[1].Name != "push" {
		t.Errorf("triggers after Bare: %+v", list)
	}
	f.must(f.st.DeleteTrigger(ctx, tenant, s.ID, act("trigger.delete")))
	wantCode(t, "deleting again", f.st.DeleteTrigger(ctx, tenant, s.ID, act("trigger.delete")), automation.CodeNotFound)

	foreign := newTrigger("a")
	foreign.Tenant = other
	f.trigger(foreign)
	_, err = f.st.Trigger(ctx, tenant, foreign.ID)
	wantCode(t, "another tenant's trigger", err, automation.CodeNotFound)
	_, err = f.st.TriggerByName(ctx, other, "Bare")
	wantCode(t, "another tenant's by name", err, automation.CodeNotFound)
	wantCode(t, "delete another tenant's", f.st.DeleteTrigger(ctx, tenant, foreign.ID, act("trigger.delete")), automation.CodeNotFound)
	foreign.Tenant = tenant
	_, err = f.st.UpdateTrigger(ctx, foreign, act("trigger.update"))
	wantCode(t, "update another tenant's", err, automation.CodeNotFound)
	_, err = f.st.ListTriggers(ctx, tenant, automation.Page{})
	wantCode(t, "a page without a limit", err, automation.CodeInvalid)
}

func (f *fixture) updateTriggers(s, bare automation.Trigger) {
	f.t.Helper()
	ctx, t := f.t.Context(), f.t
	changed := s
	changed.Inputs, changed.If, changed.Enabled, changed.PreviousUntil, changed.SecretVersion, changed.Sealed = nil, "", false, time.Time{}, 3, []byte{7}
	changed.LastRun = "ignored"
	got, err := f.st.UpdateTrigger(ctx, changed, act("trigger.update"))
	f.must(err)
	changed.Version, changed.LastRun = 2, ""
	equal(t, "an update", got, changed)
	_, err = f.st.UpdateTrigger(ctx, s, act("trigger.update"))
	wantCode(t, "a stale version", err, automation.CodeConflict)
	got.Name = bare.Name
	_, err = f.st.UpdateTrigger(ctx, got, act("trigger.update"))
	wantCode(t, "a rename to a name that is taken", err, automation.CodeConflict)
	_, err = f.st.UpdateTrigger(ctx, newTrigger("gone"), act("trigger.update"))
	wantCode(t, "an update of nothing", err, automation.CodeNotFound)
}

func (f *fixture) webhook(t automation.Trigger, id, body string) automation.Webhook {
	return automation.Webhook{
		Trigger: t.ID, Tenant: t.Tenant, ID: id, Body: digest(body), At: store.Moment(start()), Run: automation.NewID[automation.RunID](),
		PlanHash: f.plan, Workflow: "x", By: "trigger:" + t.Name,
	}
}

func (f *fixture) putWebhook(d automation.Webhook, o store.PutWebhook) (automation.Webhook, bool) {
	f.t.Helper()
	got, made, err := f.st.PutWebhook(f.t.Context(), d, o)
	f.must(err)
	return got, made
}

func webhooks(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	s, neighbour := f.trigger(newTrigger("push")), f.trigger(newTrigger("other"))
	first := f.webhook(s, "1", "body")
	want := func(what string, got automation.Webhook, made bool, wantWebhook automation.Webhook, wantMade bool) {
		t.Helper()
		equal(t, what, got, wantWebhook)
		equal(t, what+": made", made, wantMade)
	}
	got, made := f.putWebhook(first, store.PutWebhook{})
	want("a delivery", got, made, first, true)
	got, made = f.putWebhook(f.webhook(s, "1", "another"), store.PutWebhook{ByBody: true})
	want("the same identifier", got, made, first, false)
	second := f.webhook(s, "2", "body")
	got, made = f.putWebhook(second, store.PutWebhook{ByBody: true})
	want("the same body, where the first was recorded by its identifier alone", got, made, second, true)
	got, made = f.putWebhook(f.webhook(s, "3", "body"), store.PutWebhook{ByBody: true})
	want("the same body again", got, made, second, false)
	third := f.webhook(s, "3", "body")
	got, made = f.putWebhook(third, store.PutWebhook{})
	want("the same body, by its identifier alone", got, made, third, true)
	mine := f.webhook(neighbour, "1", "body")
	got, made = f.putWebhook(mine, store.PutWebhook{ByBody: true})
	want("another trigger's", got, made, mine, true)

	for id, want := range map[string]automation.Webhook{"1": first, "3": third} {
		got, err := f.st.Webhook(ctx, tenant, s.ID, id, "")
		f.must(err)
		equal(t, "delivery "+id, got, want)
	}
	got, err := f.st.Webhook(ctx, tenant, s.ID, "9", digest("body"))
	f.must(err)
	equal(t, "by its body", got, second)
	got, err = f.st.Webhook(ctx, tenant, s.ID, "1", digest("body"))
	f.must(err)
	equal(t, "the identifier comes before the body", got, first)
	_, err = f.st.Webhook(ctx, tenant, s.ID, "9", "")
	wantCode(t, "no delivery", err, automation.CodeNotFound)
	_, err = f.st.Webhook(ctx, other, s.ID, "1", "")
	wantCode(t, "another tenant's delivery", err, automation.CodeNotFound)
	foreign := f.webhook(s, "5", "x")
	foreign.Tenant = other
	_, _, err = f.st.PutWebhook(ctx, foreign, store.PutWebhook{})
	wantCode(t, "a delivery to another tenant's trigger", err, automation.CodeNotFound)
	f.lastWebhook(s)
	f.must(f.st.DeleteTrigger(ctx, tenant, s.ID, act("trigger.delete")))
	_, err = f.st.Webhook(ctx, tenant, s.ID, "1", "")
	wantCode(t, "a delivery of a deleted trigger", err, automation.CodeNotFound)
}

// lastWebhook: what a trigger tells of its last delivery, and which old ones go.
func (f *fixture) lastWebhook(s automation.Trigger) {
	f.t.Helper()
	ctx, t := f.t.Context(), f.t
	problem := &automation.Error{Code: automation.CodeMissing, Message: "no targets", Suggestion: "x"}
	at := store.Moment(start().Add(time.Minute))
	f.must(f.st.FailTrigger(ctx, other, s.ID, at, problem))
	got, err := f.st.Trigger(ctx, tenant, s.ID)
	f.must(err)
	equal(t, "the last error after another tenant's", got.LastError, (*automation.Error)(nil))
	f.must(f.st.FailTrigger(ctx, tenant, s.ID, at, problem))
	got, err = f.st.Trigger(ctx, tenant, s.ID)
	f.must(err)
	equal(t, "the last error", got.LastError, problem)
	equal(t, "when it failed", got.Last, at)
	equal(t, "the version", got.Version, int64(1))
	run := got.LastRun
	if run == "" {
		t.Error("the last run was taken away by a failure")
	}
	skipped := f.webhook(s, "6", "six")
	skipped.Run, skipped.PlanHash, skipped.Workflow, skipped.At = "", "", "", store.Moment(start().Add(2*time.Minute))
	stored, made := f.putWebhook(skipped, store.PutWebhook{KeptFrom: start().Add(time.Minute)})
	equal(t, "a delivery without a run", stored, skipped)
	equal(t, "made", made, true)
	got, err = f.st.Trigger(ctx, tenant, s.ID)
	f.must(err)
	if got.LastError != nil || got.LastRun != run || !got.Last.Equal(skipped.At) {
		t.Errorf("after a delivery without a run: %+v; want no error and the last run", got)
	}
	_, err = f.st.Webhook(ctx, tenant, s.ID, "1", "")
	wantCode(t, "an old delivery", err, automation.CodeNotFound)
	_, err = f.st.Webhook(ctx, tenant, s.ID, "6", "")
	f.must(err)
}

// oneWebhookWins: of many deliveries with one identifier, or of one body, one is
// recorded, and all get it.
func oneWebhookWins(t *testing.T, b Backend) {
	f := setup(t, b)
	s := f.trigger(newTrigger("push"))
	for round, name := range []string{"a", "b", "c"} {
		var won atomic.Int64
		var runs sync.Map
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				id := name
				if round == 2 { // the same body under ten identifiers
					id += string(rune('0' + i))
				}
				got, made := f.putWebhook(f.webhook(s, id, name), store.PutWebhook{ByBody: true, KeptFrom: start()})
				if made {
					won.Add(1)
				}
				runs.Store(got.Run, true)
			})
		}
		wg.Wait()
		n := 0
		runs.Range(func(any, any) bool { n++; return true })
		equal(t, "how many of ten deliveries won", won.Load(), int64(1))
		equal(t, "how many runs they got", n, 1)
	}
}
