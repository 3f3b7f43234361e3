package service_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

const inner = "schema: opsconductor/v1\nname: inner\nsteps: [{id: one, uses: tool.act@1, for_each: {in: targets}}]\n"

const outer = "schema: opsconductor/v1\nname: outer\ntargets: {select: \"'web' in asset.tags\"}\nsteps: [{id: all, uses: workflow.inner@1, for_each: {in: targets}}]\n"

// keep stores a definition.
func (f *fixture) keep(t *testing.T, definition string) automation.Workflow {
	t.Helper()
	w, _, err := f.StoreWorkflow(t.Context(), admin(), []byte(definition), "")
	if err != nil {
		t.Fatalf("store: %v", err)
	}
	return w
}

func TestStoreWorkflow(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.catalog(t)
	ctx := t.Context()
	first := f.keep(t, inner)
	if first.Ref() != "inner@1" || first.Definition != inner || first.State != automation.WorkflowActive || f.lastAudit(t).Action != "workflow.store" {
		t.Errorf("got %+v", first)
	}
	entries := f.lastAudit(t).Seq
	again, created, err := f.StoreWorkflow(ctx, admin(), []byte(inner), "")
	if err != nil || created || again.ID != first.ID || f.lastAudit(t).Seq != entries {
		t.Errorf("the same bytes again: %+v, created %v, %v", again, created, err)
	}
	if second := f.keep(t, inner+"# new\n"); second.Version != 2 {
		t.Errorf("other bytes are version %d; want 2", second.Version)
	}
	if again := f.keep(t, inner); again.Version != 1 {
		t.Errorf("the first bytes once more: version %d; want 1", again.Version)
	}
	w := f.keep(t, outer)
	if !slices.Equal(w.Includes, []string{"inner@1"}) {
		t.Errorf("includes %v", w.Includes)
	}
	_, _, err = f.StoreWorkflow(ctx, admin(), []byte("schema: opsconductor/v1\nname: self\nsteps: [{id: a, uses: workflow.self@1}, {id: b, uses: tool.atc}]\n"), "")
	wantPlaces(t, err, "/steps/0/uses", "/steps/1/uses")
	if err == nil || !strings.Contains(err.Error(), "self@1 -> self@1") {
		t.Errorf("a workflow that includes itself: %v", err)
	}
	_, _, err = f.StoreWorkflow(ctx, submitter(), []byte(inner), "")
	wantCode(t, err, automation.CodeForbidden)
}

// TestStoredTogether: many callers store other bytes under one name: each gets a
// version of its own.
func TestStoredTogether(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.catalog(t)
	versions := make([]int, 6)
	var all sync.WaitGroup
	for i := range versions {
		all.Go(func() {
			w, created, err := f.StoreWorkflow(t.Context(), admin(), fmt.Appendf(nil, "%s# %d\n", inner, i), "")
			if err != nil || !created {
				t.Errorf("store: created %v, %v", created, err)
			}
			versions[i] = w.Version
		})
	}
	all.Wait()
	slices.Sort(versions)
	if !slices.Equal(versions, []int{1, 2, 3, 4, 5, 6}) {
		t.Errorf("got the versions %v; want 1 to 6", versions)
	}
}

func TestRetireWorkflow(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.catalog(t)
	ctx := t.Context()
	f.keep(t, inner)
	f.keep(t, outer)
	planned, err := f.Plan(ctx, submitter(), service.PlanRequest{Workflow: "outer@1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.RetireWorkflow(ctx, admin(), "inner@1")
	if wantCode(t, err, automation.CodeConflict); !strings.Contains(err.Error(), "outer@1") {
		t.Errorf("got %v; want who includes it", err)
	}
	_, err = f.RetireWorkflow(ctx, admin(), "outer")
	wantCode(t, err, automation.CodeBadRequest)
	for _, ref := range []string{"outer@1", "inner@1", "inner@1"} {
		if w, err := f.RetireWorkflow(ctx, admin(), ref); err != nil || w.State != automation.WorkflowRetired {
			t.Fatalf("retire %s: %+v, %v", ref, w, err)
		}
	}
	_, err = f.Plan(ctx, submitter(), service.PlanRequest{Workflow: "inner@1"})
	wantCode(t, err, automation.CodeConflict)
	_, _, err = f.StoreWorkflow(ctx, admin(), []byte(inner), "")
	wantCode(t, err, automation.CodeConflict)
	if _, _, err := f.Submit(ctx, submitter(), service.SubmitRequest{PlanHash: planned.Hash}); err != nil {
		t.Errorf("a plan that was made before: %v", err)
	}
}

// TestPlanOfAStoredWorkflow: by its name, and what is refused.
func TestPlanOfAStoredWorkflow(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pl := f.catalog(t)
	ctx, p := t.Context(), submitter()
	f.keep(t, inner)
	f.keep(t, outer)
	plan, err := f.Plan(ctx, p, service.PlanRequest{Workflow: "outer"})
	if err != nil || len(plan.Plan.Templates) != 1 {
		t.Fatalf("got %d templates, %v", len(plan.Plan.Templates), err)
	}
	read, err := f.StoredPlan(ctx, p, plan.Hash)
	if err != nil || len(read.Plan.Templates) != 1 {
		t.Errorf("the stored plan has %d templates, %v", len(read.Plan.Templates), err)
	}
	template := plan.Plan.Steps[0].Digest
	_, _, err = f.Submit(ctx, p, service.SubmitRequest{PlanHash: template})
	wantCode(t, err, automation.CodeConflict)
	for ref, want := range map[string]string{"outre@1": `did you mean "outer"?`, "outer@7": "outer@1", "outer@x": "outer@1"} {
		_, err := f.Plan(ctx, p, service.PlanRequest{Workflow: ref})
		if wantCode(t, err, automation.CodeUnknownName); !strings.Contains(err.Error()+automation.AsError(err).Allowed+automation.AsError(err).Suggestion, want) {
			t.Errorf("%s: got %v; want %s", ref, err, want)
		}
	}
	for name, r := range map[string]service.PlanRequest{"both": {Workflow: "outer", Definition: []byte(inner)}, "neither": {}} {
		_, err := f.Plan(ctx, p, r)
		if wantCode(t, err, automation.CodeBadRequest); err == nil {
			t.Errorf("%s was planned", name)
		}
	}
	if _, err := f.DisablePlugin(ctx, admin(), pl.Digest, 0); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.Submit(ctx, p, service.SubmitRequest{PlanHash: plan.Hash})
	if wantCode(t, err, automation.CodeConflict); !strings.Contains(err.Error(), "one (tool@1.2.0)") {
		t.Errorf("a plugin that a sub-workflow pins is disabled: %v", err)
	}
}
