package service_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

const onTargets = `
schema: opsconductor/v1
name: demo
targets: {select: "'web' in asset.tags"}
steps:
  - id: one
    uses: tool.act@1
    for_each: {in: targets}
  - id: two
    uses: tool.act
    needs: [one]
    for_each: {in: targets}
`

// catalog makes plugin tool active, and three assets, two of them tagged web.
func (f *fixture) catalog(t *testing.T) automation.Plugin {
	t.Helper()
	pl := f.upload(t, artifact(manifest("tool", "1.2.0"), ""))
	pl, err := f.ActivatePlugin(t.Context(), admin(), pl.Digest, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.asset(t, sshAsset("web-1"))
	f.asset(t, sshAsset("web-2"))
	db := sshAsset("db-1")
	db.Tags = []string{"db"}
	f.asset(t, db)
	return pl
}

func TestPlanThenSubmit(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pl := f.catalog(t)
	ctx, p := t.Context(), submitter()
	first, err := f.Plan(ctx, p, service.PlanRequest{Definition: []byte(onTargets)})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, target := range first.Plan.Targets {
		names = append(names, target.Name)
	}
	if strings.Join(names, " ") != "web-1 web-2" || first.Plan.Steps[0].Digest != pl.Digest || first.Hash != first.Plan.Hash() {
		t.Errorf("got targets %v, digest %s, hash %s", names, first.Plan.Steps[0].Digest, first.Hash)
	}
	again, err := f.Plan(ctx, p, service.PlanRequest{Definition: []byte(onTargets)})
	if err != nil || again.Hash != first.Hash {
		t.Errorf("got hash %s, %v; want the same plan", again.Hash, err)
	}
	stored, err := f.StoredPlan(ctx, p, first.Hash)
	if err != nil || stored.Plan.Hash() != first.Hash {
		t.Errorf("got %v; want the stored plan to be the one planned", err)
	}
	// The plan stays what it was, whatever the inventory does.
	f.asset(t, sshAsset("web-3"))
	run, created, err := f.Submit(ctx, p, service.SubmitRequest{PlanHash: first.Hash})
	if err != nil || !created || run.PlanHash != first.Hash {
		t.Errorf("got %+v, %v", run, err)
	}
	direct, _, err := f.Submit(ctx, p, service.SubmitRequest{Definition: []byte(onTargets), Key: "k"})
	if err != nil || direct.PlanHash == first.Hash {
		t.Errorf("got %+v, %v; want a plan of its own, with three targets", direct, err)
	}
	again2, created, err := f.Submit(ctx, p, service.SubmitRequest{Definition: []byte(onTargets), Key: "k"})
	if err != nil || created || again2.ID != direct.ID {
		t.Errorf("the same key: got %s, %v, %v", again2.ID, created, err)
	}
	page, err := f.Items(ctx, p, direct.ID, service.ItemQuery{Step: "one"})
	if err != nil || len(page.Items) != 3 || page.Items[2].Target != "web-3" {
		t.Errorf("got %+v, %v; want an item a target", page.Items, err)
	}
	if _, err := f.DisablePlugin(ctx, admin(), pl.Digest, 0); err != nil {
		t.Fatal(err)
	}
	_, err = f.Plan(ctx, p, service.PlanRequest{Definition: []byte(onTargets)})
	wantCode(t, err, automation.CodeUnknownName)

	// A repetition gets its run also when it could not be planned any more.
	late, created, err := f.Submit(ctx, p, service.SubmitRequest{Definition: []byte(onTargets), Key: "k"})
	if err != nil || created || late.ID != direct.ID {
		t.Errorf("the same key after the plugin went: got %s, %v, %v; want %s", late.ID, created, err, direct.ID)
	}
	entries := f.lastAudit(t).Seq
	for _, key := range []string{"", "new", "k"} { // "k" with another request
		_, _, err = f.Submit(ctx, p, service.SubmitRequest{Definition: []byte(onTargets + " "), Key: key})
		wantCode(t, err, automation.CodeUnknownName)
	}
	if got := f.lastAudit(t).Seq; got != entries {
		t.Errorf("refused submissions left %d audit entries", got-entries)
	}
	if _, err := f.ActivatePlugin(ctx, admin(), pl.Digest, nil, 0); err != nil {
		t.Fatal(err)
	}
	fresh, created, err := f.Submit(ctx, p, service.SubmitRequest{Definition: []byte(onTargets + " "), Key: "new"})
	if err != nil || !created || fresh.ID == direct.ID {
		t.Errorf("a key whose first request was refused: got %s, %v, %v; want a run", fresh.ID, created, err)
	}
}

func TestPlanRefusesAllAtOnceAndStoresNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.catalog(t)
	ctx, p := t.Context(), submitter()
	const bad = `{"schema":"opsconductor/v1","name":"x","steps":[
		{"id":"a","uses":"tol.act"},{"id":"b","uses":"tool.atc"},{"id":"c","uses":"tool.act","needs":["d"]}]}`
	entries := f.lastAudit(t).Seq
	_, err := f.Plan(ctx, p, service.PlanRequest{Definition: []byte(bad)})
	var many automation.Errors
	if !errors.As(err, &many) || len(many) < 3 {
		t.Errorf("got %v; want every fault", err)
	}
	_, _, submitErr := f.Submit(ctx, p, service.SubmitRequest{Definition: []byte(bad)})
	if diff := cmp.Diff(err.Error(), submitErr.Error()); diff != "" {
		t.Errorf("submit says something else (-plan +submit):\n%s", diff)
	}
	if list, err := f.ListRuns(ctx, p, service.RunQuery{}, automation.Page{}); err != nil || len(list) != 0 || f.lastAudit(t).Seq != entries {
		t.Errorf("got %d runs, %v, audit entry %d after %d; want nothing stored", len(list), err, f.lastAudit(t).Seq, entries)
	}
	for _, d := range []string{"", "\x00", "[]", "{", strings.Repeat("a", 2<<20)} {
		_, err := f.Plan(ctx, p, service.PlanRequest{Definition: []byte(d)})
		if err == nil {
			t.Errorf("%.10q: got no error", d)
		}
		wantOurs(t, err)
	}
}
