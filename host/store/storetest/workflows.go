package storetest

import (
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func newWorkflow(name string, version int, includes ...string) automation.Workflow {
	w := automation.Workflow{
		ID: automation.NewID[automation.WorkflowID](), Tenant: tenant, Name: name, Version: version, Description: "What it does",
		Definition: "name: " + name + " # ü", Includes: includes, State: automation.WorkflowActive, By: "ann", Created: store.Moment(start()),
	}
	w.Digest = digest(w.Ref())
	return w
}

func (f *fixture) workflow(w automation.Workflow) automation.Workflow {
	f.t.Helper()
	got, created, err := f.st.CreateWorkflow(f.t.Context(), w, actOf(w.Tenant, "workflow.store"))
	f.must(err)
	equal(f.t, "created", created, true)
	return got
}

func workflows(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	one := newWorkflow("patch", 1)
	equal(t, "what CreateWorkflow returns", f.workflow(one), one)
	two, outer := newWorkflow("patch", 2), newWorkflow("fleet", 1, "patch@1", "patch@2")
	f.workflow(two)
	equal(t, "a workflow that includes others", f.workflow(outer), outer)
	for name, bad := range map[string]automation.Workflow{
		"a version that is there": newWorkflow("patch", 2),
		"a gap":                   newWorkflow("patch", 4),
		"a first version of 2":    newWorkflow("new", 2),
		"the same bytes":          func() automation.Workflow { w := newWorkflow("patch", 3); w.Digest = one.Digest; return w }(),
	} {
		_, _, err := f.st.CreateWorkflow(ctx, bad, act("workflow.store"))
		wantCode(t, name, err, automation.CodeConflict)
	}
	got, err := f.st.Workflow(ctx, tenant, "patch", 1)
	f.must(err)
	equal(t, "by its version", got, one)
	got, err = f.st.Workflow(ctx, tenant, "patch", 0)
	f.must(err)
	equal(t, "the newest", got, two)
	f.listWorkflows()

	_, err = f.st.RetireWorkflow(ctx, tenant, one.ID, act("workflow.retire"))
	wantCode(t, "retire what an active one includes", err, automation.CodeConflict)
	retired, err := f.st.RetireWorkflow(ctx, tenant, outer.ID, act("workflow.retire"))
	f.must(err)
	equal(t, "a retired one", []any{retired.State, retired.Retired, retired.Definition}, []any{automation.WorkflowRetired, store.Moment(start()), outer.Definition})
	_, err = f.st.RetireWorkflow(ctx, tenant, outer.ID, act("workflow.retire"))
	wantCode(t, "retire again", err, automation.CodeConflict)
	_, err = f.st.RetireWorkflow(ctx, tenant, two.ID, act("workflow.retire"))
	f.must(err)
	got, err = f.st.Workflow(ctx, tenant, "patch", 0)
	f.must(err)
	equal(t, "the newest that is active", got.Version, 1)
	_, err = f.st.Workflow(ctx, tenant, "fleet", 0)
	wantCode(t, "a name without an active version", err, automation.CodeNotFound)

	for name, call := range map[string]func() error{
		"Workflow":       func() error { _, err := f.st.Workflow(ctx, other, "patch", 1); return err },
		"RetireWorkflow": func() error { _, err := f.st.RetireWorkflow(ctx, other, one.ID, actOf(other, "x")); return err },
		"no version":     func() error { _, err := f.st.Workflow(ctx, tenant, "patch", 9); return err },
	} {
		wantCode(t, name+" of nothing, or another tenant's", call(), automation.CodeNotFound)
	}
	if err := b.Exec(t, f.st, `UPDATE workflows SET definition = 'another'`); err == nil || !strings.Contains(err.Error(), "never changed") {
		t.Errorf("a stored definition was changed: %v", err)
	}
}

func (f *fixture) listWorkflows() {
	f.t.Helper()
	for _, c := range []struct {
		name, after string
		limit       int
		want        string
	}{
		{"", "", 10, "fleet@1 patch@2 patch@1"},
		{"", "", 2, "fleet@1 patch@2"},
		{"", "patch@2", 10, "patch@1"},
		{"", "fleet@1", 1, "patch@2"},
		{"patch", "", 10, "patch@2 patch@1"},
		{"none", "", 10, ""},
	} {
		list, err := f.st.ListWorkflows(f.t.Context(), tenant, c.name, automation.Page{After: c.after, Limit: c.limit})
		f.must(err)
		var got []string
		for _, w := range list {
			got = append(got, w.Ref())
			equal(f.t, "the definition in a list", w.Definition, "")
		}
		equal(f.t, "workflows of "+c.name+" after "+c.after, strings.Join(got, " "), c.want)
	}
	_, err := f.st.ListWorkflows(f.t.Context(), tenant, "", automation.Page{})
	wantCode(f.t, "a page without a limit", err, automation.CodeInvalid)
	list, err := f.st.ListWorkflows(f.t.Context(), other, "", automation.Page{Limit: 10})
	f.must(err)
	equal(f.t, "another tenant's", len(list), 0)
}

// children: a commit of the leader accepts runs of sub-workflows.
func children(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	top, epoch := f.accept(), f.lead("h")
	child := func(item int) (automation.Run, automation.Entry) {
		r := newRun(tenant, f.plan)
		r.Parent = &automation.Parent{Run: top.ID, Step: "patch", Item: item, Attempt: 1}
		return r, automation.Entry{Run: r.ID, Facts: []automation.Fact{{
			Kind: automation.FactRunAccepted, At: start(), Tenant: tenant, Plan: f.plan, By: "ann",
			Begin: &automation.Begin{Parent: r.Parent, Inputs: []byte(`{"a":1}`), Timeout: 5},
		}}}
	}
	one, first := child(0)
	two, second := child(1)
	entries := []automation.Entry{granted(top.ID, 0), first, second, granted(one.ID, 0)}
	f.must(f.st.Append(ctx, store.Batch{
		Host: "h", Epoch: epoch, Entries: entries, Accepted: []automation.Run{one, two},
		Runs: []automation.RunUpdate{
			{Run: one.ID, State: automation.RunRunning, Started: start()},
			{Run: two.ID, State: automation.RunSucceeded, Ended: start(), Outputs: []byte(`{"n":[1,2]}`)},
		},
	}))
	got := f.record(one.ID)
	want := one
	want.State, want.Created, want.Started, want.Seq = automation.RunRunning, store.Moment(start()), store.Moment(start()), entries[3].Seq
	equal(t, "the record of a child", got, want)
	got = f.record(two.ID)
	equal(t, "outputs", string(got.Outputs), `{"n":[1,2]}`)
	equal(t, "its number", got.Seq, entries[2].Seq)
	equal(t, "its first entry", f.entries(two.ID)[0].Facts[0].Begin, second.Facts[0].Begin)
	accepted, err := f.st.Accepted(ctx, 0, 1, 10)
	f.must(err)
	equal(t, "what acceptors added: nothing of the leader's", len(accepted), 0)
	seen := map[automation.RunID]int{}
	_, err = f.st.Replay(ctx, 0, func(e automation.Entry) error { seen[e.Run]++; return nil })
	f.must(err)
	equal(t, "what is replayed", seen, map[automation.RunID]int{top.ID: 2, one.ID: 2})
	f.listChildren(top, one, two)
	f.refuseChildren(epoch, child)
}

func (f *fixture) listChildren(top, one, two automation.Run) {
	f.t.Helper()
	for name, c := range map[string]struct {
		q    store.RunQuery
		want []automation.RunID
	}{
		"on top":          {store.RunQuery{}, []automation.RunID{top.ID}},
		"all":             {store.RunQuery{Nested: true}, []automation.RunID{two.ID, one.ID, top.ID}},
		"of a parent":     {store.RunQuery{Parent: top.ID}, []automation.RunID{two.ID, one.ID}},
		"of its state":    {store.RunQuery{Parent: top.ID, State: automation.RunRunning}, []automation.RunID{one.ID}},
		"nested, ended":   {store.RunQuery{Nested: true, State: automation.RunSucceeded}, []automation.RunID{two.ID}},
		"on top, running": {store.RunQuery{State: automation.RunRunning}, nil},
		"of a child":      {store.RunQuery{Parent: one.ID}, nil},
	} {
		list, err := f.st.ListRuns(f.t.Context(), tenant, c.q, automation.Page{Limit: 10})
		f.must(err)
		var got []automation.RunID
		for _, r := range list {
			got = append(got, r.ID)
			if r.Outputs != nil {
				f.t.Errorf("%s: a list has the outputs of %s", name, r.ID)
			}
		}
		equal(f.t, name, got, c.want)
	}
}

// refuseChildren: a batch with a run that can't be accepted is not stored at all.
func (f *fixture) refuseChildren(epoch int64, child func(int) (automation.Run, automation.Entry)) {
	f.t.Helper()
	good, entry := child(2)
	noPlan, noParent, taken := good, good, good
	noPlan.PlanHash, noParent.Parent = digest("none"), nil
	noPlan.ID = automation.NewID[automation.RunID]()
	planless := entry
	planless.Run = noPlan.ID
	for name, c := range map[string]struct {
		batch store.Batch
		code  automation.Code
	}{
		"without its plan":  {store.Batch{Accepted: []automation.Run{noPlan}, Entries: []automation.Entry{planless}}, automation.CodeNotFound},
		"without an entry":  {store.Batch{Accepted: []automation.Run{good}}, automation.CodeInternal},
		"without a parent":  {store.Batch{Accepted: []automation.Run{noParent}, Entries: []automation.Entry{entry}}, automation.CodeInternal},
		"twice":             {store.Batch{Accepted: []automation.Run{good, taken}, Entries: []automation.Entry{entry}}, automation.CodeConflict},
		"with the epoch of": {store.Batch{Epoch: epoch + 1, Accepted: []automation.Run{good}, Entries: []automation.Entry{entry}}, automation.CodeConflict},
	} {
		c.batch.Host = "h"
		if c.batch.Epoch == 0 {
			c.batch.Epoch = epoch
		}
		wantCode(f.t, name, f.st.Append(f.t.Context(), c.batch), c.code)
		_, err := f.st.Run(f.t.Context(), tenant, good.ID)
		wantCode(f.t, name+": the run", err, automation.CodeNotFound)
	}
}
