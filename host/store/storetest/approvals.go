package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// newApproval is a decision that a run asks for.
func newApproval(run automation.Run, step, item int) automation.Approval {
	return automation.Approval{
		Tenant: run.Tenant, Run: run.ID, StepIndex: step, Step: "gate", Item: item, Workflow: run.Workflow, Submitted: run.By,
		State: automation.ApprovalPending, Message: "go on? é", Requested: store.Moment(start()), Expires: store.Moment(start().Add(time.Hour)),
	}
}

func decided(a automation.Approval, state automation.ApprovalState) automation.Approval {
	a.State = state
	if state == automation.ApprovalApproved || state == automation.ApprovalRejected {
		a.By, a.Reason, a.Decided = "bob", "looks good", store.Moment(start().Add(time.Minute))
	}
	return a
}

// approvals are written with the entries, listed by page and state, and a
// decision is final.
func approvals(t *testing.T, b Backend) {
	f := setup(t, b)
	epoch := f.lead("h")
	put := func(list ...automation.Approval) {
		t.Helper()
		f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Approvals: list}))
	}
	first, second := f.accept(), f.accept()
	var want []automation.Approval
	for _, state := range automation.ApprovalStates() {
		a := newApproval(first, 1, len(want))
		put(a, newApproval(second, 0, len(want)))
		put(decided(a, state))
		want = append([]automation.Approval{decided(a, state)}, want...)
	}
	for _, changed := range want { // what is not pending stays as it is
		put(decided(changed, automation.ApprovalRejected))
	}
	for i := range want {
		if want[i].State == automation.ApprovalPending {
			want[i] = decided(want[i], automation.ApprovalRejected)
		}
	}
	all := must(f.st.ListApprovals(t.Context(), tenant, "", automation.Page{Limit: 100}))
	equal(t, "approvals, the newest run first", all[5:], want)
	for i, a := range all[:5] {
		equal(t, "an approval of the newer run", a, newApproval(second, 0, 4-i))
	}
	var paged []automation.Approval
	page := automation.Page{Limit: 3}
	for {
		next := must(f.st.ListApprovals(t.Context(), tenant, "", page))
		paged = append(paged, next...)
		if len(next) < page.Limit {
			break
		}
		page.After = next[len(next)-1].Key()
	}
	equal(t, "all of them by pages", paged, all)
	for state, n := range map[automation.ApprovalState]int{"pending": 5, "approved": 1, "rejected": 2, "expired": 1, "cancelled": 1} {
		equal(t, "approvals that are "+string(state), len(must(f.st.ListApprovals(t.Context(), tenant, state, automation.Page{Limit: 100}))), n)
	}
	equal(t, "what another tenant sees", len(must(f.st.ListApprovals(t.Context(), other, "", automation.Page{Limit: 100}))), 0)
	f.must(f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Runs: []automation.RunUpdate{{Run: second.ID, State: automation.RunFailed, Ended: start()}}}))
	equal(t, "pending in a run that has ended", len(must(f.st.ListApprovals(t.Context(), tenant, automation.ApprovalPending, automation.Page{Limit: 100}))), 0)
	equal(t, "what it is then", must(f.st.ListApprovals(t.Context(), tenant, "", automation.Page{Limit: 1}))[0].State, automation.ApprovalCancelled)
	for _, after := range []string{"x", "x.1", "x.1.y", "x.-1.0", "x.1.2.3"} {
		_, err := f.st.ListApprovals(t.Context(), tenant, "", automation.Page{Limit: 1, After: after})
		wantCode(t, "a page after "+after, err, automation.CodeInvalid)
	}
	_, err := f.st.ListApprovals(t.Context(), tenant, "", automation.Page{})
	wantCode(t, "a page without a limit", err, automation.CodeInvalid)
	// Stale and wrong writes leave nothing.
	stale := newApproval(first, 9, 9)
	wantErr(t, "of a leader that was", f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch + 1, Approvals: []automation.Approval{stale}}), store.ErrFenced)
	stale.State = "gone"
	wantCode(t, "a state that there is not", f.st.Append(t.Context(), store.Batch{Host: "h", Epoch: epoch, Approvals: []automation.Approval{stale}}), automation.CodeInternal)
	equal(t, "approvals after stale writes", len(must(f.st.ListApprovals(t.Context(), tenant, "", automation.Page{Limit: 100}))), 10)
}

// told: what a command says comes back as it was said.
func told(t *testing.T, b Backend) {
	f := setup(t, b)
	run := f.accept()
	want := []automation.Command{
		{Kind: automation.FactDecisionGiven, Step: 3, Item: 9, Told: &automation.Told{Decision: automation.DecisionApprove}},
		{Kind: automation.FactEventReceived, Told: &automation.Told{Event: "deployed", Payload: json.RawMessage(`{"text":"\u0000 é ' \\"}`)}},
		{Kind: automation.FactItemResolved, Step: 1, Told: &automation.Told{
			Resolution: automation.ResolutionRan,
			Outcome:    &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodePluginFailed, Message: "no space"}},
		}},
	}
	for i := range want {
		c := &want[i]
		c.ID, c.Tenant, c.Run, c.By, c.At = automation.CommandID(rune('a'+i)), tenant, run.ID, "ann", store.Moment(start())
		f.must(f.st.PutCommand(t.Context(), *c, act("x")))
	}
	equal(t, "commands", must(f.st.Commands(t.Context(), 0, 10)), want)
	bare := want[0]
	bare.ID, bare.Told = "bare", nil
	if f.st.PutCommand(t.Context(), bare, act("x")) == nil {
		t.Error("a decision that says nothing was stored")
	}
}
