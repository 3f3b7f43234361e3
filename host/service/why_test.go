package service_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// TestWhy: the leader says what items wait for; without a leader nobody does.
func TestWhy(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Service = service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: manifests{}})
	f.catalog(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	run, _, err := f.Submit(ctx, submitter(), service.SubmitRequest{Definition: []byte(onTargets)})
	if err != nil {
		t.Fatal(err)
	}
	short, stop := context.WithTimeoutCause(ctx, 200*time.Millisecond, &automation.Error{Code: automation.CodeTimeout, Message: "enough"})
	_, err = f.Why(short, submitter(), run.ID)
	stop()
	wantCode(t, err, automation.CodeTimeout)

	end := make(chan struct{})
	f.schedule(t, func(context.Context, automation.Attempt) automation.Outcome {
		<-end
		return automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{}`)}
	})
	f.until(t, run.ID, automation.RunRunning)
	reasons, err := f.Why(ctx, submitter(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range reasons {
		got = append(got, fmt.Sprint(r.Step, " ", r.Kind, " ", r.Count, " ", r.Needs))
		if r.Text == "" {
			t.Errorf("a reason without a sentence: %+v", r)
		}
	}
	if text := strings.Join(got, ", "); text != "one running 2 [], two needs 1 [one]" {
		t.Errorf("got %q", text)
	}
	close(end)
	if _, err := f.Wait(ctx, submitter(), run.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	if reasons, err := f.Why(ctx, submitter(), run.ID); err != nil || len(reasons) != 0 {
		t.Errorf("of a run that has ended: got %+v, %v", reasons, err)
	}
}
