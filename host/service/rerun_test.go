package service_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// TestRerunRefused: what can't be run again is refused with the reason, and
// nothing is accepted.
func TestRerunRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Service = service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: manifests{}})
	f.catalog(t)
	began, end := make(chan string, 8), make(chan struct{})
	f.schedule(t, func(_ context.Context, a automation.Attempt) automation.Outcome {
		began <- a.StepID
		<-end
		return automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{}`)}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p := submitter()
	run, _, err := f.Submit(ctx, p, service.SubmitRequest{Definition: []byte(onTargets)})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	refuse := func(what string, id automation.RunID, r service.RerunRequest, code automation.Code, says string) {
		t.Helper()
		_, _, err := f.Rerun(ctx, p, id, r)
		if automation.CodeOf(err) != code || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v; want %s that says %q", what, err, code, says)
		}
	}
	refuse("a run that goes on", run.ID, service.RerunRequest{}, automation.CodeConflict, "it is running")
	close(end)
	if got, err := f.Wait(ctx, p, run.ID, time.Minute); err != nil || got.State != automation.RunSucceeded {
		t.Fatalf("got %s, %v", got.State, err)
	}
	refuse("a run that succeeded", run.ID, service.RerunRequest{Scope: service.RerunSteps}, automation.CodeConflict, "nothing of it failed")
	refuse("another scope", run.ID, service.RerunRequest{Scope: "some"}, automation.CodeBadRequest, "failed_targets, failed_steps, all")
	refuse("no run", automation.NewID[automation.RunID](), service.RerunRequest{}, automation.CodeNotFound, "no such run")
	runs, err := f.ListRuns(ctx, p, service.RunQuery{}, automation.Page{})
	if err != nil || len(runs) != 1 {
		t.Errorf("got %d runs, %v; want the first alone", len(runs), err)
	}
	again, created, err := f.Rerun(ctx, p, run.ID, service.RerunRequest{Scope: service.RerunAll, Key: "k"})
	if err != nil || !created || again.RerunOf != run.ID {
		t.Fatalf("got %+v, %v, %v", again, created, err)
	}
	if other, created, err := f.Rerun(ctx, p, run.ID, service.RerunRequest{Scope: service.RerunAll, Key: "k"}); err != nil || created || other.ID != again.ID {
		t.Errorf("the same key: got %s, %v, %v; want %s", other.ID, created, err, again.ID)
	}
}
