package service_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
)

// telling is a fixture with the plugin core, and with a scheduler whose attempts
// can't say whether they ran, but for a second attempt, which succeeds.
func telling(t *testing.T, own bool) *fixture {
	t.Helper()
	f := setup(t)
	f.Service = service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: manifests{}, OwnApprovals: own})
	f.catalog(t)
	f.withCore(t)
	f.schedule(t, func(_ context.Context, a automation.Attempt) automation.Outcome {
		if a.Attempt == 1 {
			return automation.Outcome{State: automation.ItemUnknown, Error: &automation.Error{Code: automation.CodeUnknownOutcome, Message: "who knows"}}
		}
		return automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{"on":"x"}`)}
	})
	return f
}

// withCore makes the plugin core active, by its manifest.
func (f *fixture) withCore(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile("../../plugins/core/plugin.json")
	if err != nil {
		t.Fatal(err)
	}
	m := manifest("doubt", "1.0.0")
	m.Actions[0].Output = json.RawMessage(`{"type":"object","properties":{"on":{"type":"string"}},"required":["on"]}`)
	for _, wasm := range [][]byte{raw, artifact(m, "")} {
		pl := f.upload(t, wasm)
		if _, err := f.ActivatePlugin(t.Context(), admin(), pl.Digest, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fixture) begin(t *testing.T, p automation.Principal, steps string) automation.Run {
	t.Helper()
	run, _, err := f.Submit(t.Context(), p, service.SubmitRequest{Definition: []byte("schema: opsconductor/v1\nname: t\nsteps:\n" + steps)})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// awaitItem waits until an item satisfies ok.
func (f *fixture) awaitItem(t *testing.T, ref service.ItemRef, ok func(service.Item) bool) service.Item {
	t.Helper()
	wake, stop := f.store.Wake(store.TopicEntries)
	defer stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	end := time.After(20 * time.Second)
	for {
		page, err := f.Items(t.Context(), admin(), ref.Run, service.ItemQuery{Step: ref.Step})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > ref.Item && ok(page.Items[ref.Item]) {
			return page.Items[ref.Item]
		}
		select {
		case <-wake:
		case <-look.C:
		case <-end:
			t.Fatalf("the item is %+v", page.Items)
		}
	}
}

func (f *fixture) pending(t *testing.T, ref service.ItemRef) service.Item {
	t.Helper()
	return f.awaitItem(t, ref, func(i service.Item) bool { return i.WaitsFor != nil })
}

func wantText(t *testing.T, what string, err error, code automation.Code, text string) {
	t.Helper()
	wantOurs(t, err)
	if automation.CodeOf(err) != code || err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("%s: got %v; want %s that says %q", what, err, code, text)
	}
}

const gate = `  - {id: gate, uses: core.approval@1, with: {message: "go on?", expires: 2h}}
  - {id: after, uses: core.noop@1, needs: [gate], with: {by: "${{ steps.gate.outputs.approved_by }}"}}
`

func TestDecide(t *testing.T) {
	t.Parallel()
	f := telling(t, false)
	ctx, boss := t.Context(), admin()
	run := f.begin(t, submitter(), gate)
	ref := service.ItemRef{Run: run.ID, Step: "gate"}
	item := f.pending(t, ref)
	if *item.WaitsFor != (automation.Wait{For: automation.WaitForApproval, Message: "go on?"}) || item.Reason != "waits for an approval: go on?" || item.Due.Sub(item.Started) != 2*time.Hour {
		t.Errorf("got %+v", item)
	}
	list, err := f.ListApprovals(ctx, submitter(), automation.ApprovalPending, automation.Page{})
	if err != nil || len(list) != 1 || list[0].Run != run.ID || list[0].Workflow != "t" || list[0].Submitted != "test submitter" {
		t.Fatalf("got %+v, %v; want the one that waits", list, err)
	}
	for name, c := range map[string]struct {
		r    service.DecideRequest
		code automation.Code
		text string
	}{
		"no decision":        {service.DecideRequest{ItemRef: ref}, automation.CodeBadRequest, "/decision"},
		"another word":       {service.DecideRequest{ItemRef: ref, Decision: "yes"}, automation.CodeBadRequest, "approve, reject"},
		"a reason of bytes":  {service.DecideRequest{ItemRef: ref, Decision: "approve", Reason: "\xff"}, automation.CodeBadRequest, "/reason"},
		"no such run":        {service.DecideRequest{ItemRef: service.ItemRef{Run: automation.NewID[automation.RunID](), Step: "gate"}, Decision: "approve"}, automation.CodeNotFound, "run"},
		"no such step":       {service.DecideRequest{ItemRef: service.ItemRef{Run: run.ID, Step: "gat"}, Decision: "approve"}, automation.CodeNotFound, "gate, after"},
		"no step":            {service.DecideRequest{ItemRef: service.ItemRef{Run: run.ID}, Decision: "approve"}, automation.CodeNotFound, "gate, after"},
		"no such item":       {service.DecideRequest{ItemRef: service.ItemRef{Run: run.ID, Step: "gate", Item: 1}, Decision: "approve"}, automation.CodeNotFound, "no item 1"},
		"a negative item":    {service.DecideRequest{ItemRef: service.ItemRef{Run: run.ID, Step: "gate", Item: -1}, Decision: "approve"}, automation.CodeNotFound, "no item -1"},
		"a step of no asker": {service.DecideRequest{ItemRef: service.ItemRef{Run: run.ID, Step: "after"}, Decision: "approve"}, automation.CodeConflict, "step after is no approval"},
	} {
		_, _, err := f.Decide(ctx, boss, c.r)
		wantText(t, name, err, c.code, c.text)
	}
	got, taken, err := f.Decide(ctx, boss, service.DecideRequest{ItemRef: ref, Decision: "approve", Reason: "it is time", Key: "k"})
	if err != nil || !taken || got.State != automation.ItemSucceeded || got.Answer == nil || got.Answer.By != "test admin" || got.Answer.Reason != "it is time" {
		t.Fatalf("got %+v, %v, %v; want it approved", got, taken, err)
	}
	if entry := f.lastAudit(t); entry.Action != "approval.decide" || entry.Object != string(run.ID) || !strings.Contains(string(entry.Detail), `"decision":"approve"`) {
		t.Errorf("audit %+v %s", entry, entry.Detail)
	}
	for _, key := range []string{"k", "", "other"} { // the same again changes nothing
		if again, taken, err := f.Decide(ctx, boss, service.DecideRequest{ItemRef: ref, Decision: "approve", Reason: "it is time", Key: key}); err != nil || !taken || again.State != automation.ItemSucceeded {
			t.Errorf("again with key %q: got %+v, %v, %v", key, again, taken, err)
		}
	}
	_, _, err = f.Decide(ctx, boss, service.DecideRequest{ItemRef: ref, Decision: "reject"})
	wantText(t, "the other decision", err, automation.CodeConflict, "approve by test admin")
	_, _, err = f.Decide(ctx, boss, service.DecideRequest{ItemRef: ref, Decision: "reject", Key: "k"})
	wantCode(t, err, automation.CodeConflict)
	list, err = f.ListApprovals(ctx, boss, "", automation.Page{})
	if err != nil || len(list) != 1 || list[0].State != automation.ApprovalApproved || list[0].By != "test admin" || list[0].Reason != "it is time" {
		t.Errorf("got %+v, %v", list, err)
	}
	_, err = f.ListApprovals(ctx, boss, "open", automation.Page{})
	wantPlaces(t, err, "/state")
}

// TestDecideOwn: who submitted the run does not decide, but where that is allowed.
func TestDecideOwn(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} {
		f := telling(t, own)
		run := f.begin(t, admin(), gate)
		ref := service.ItemRef{Run: run.ID, Step: "gate"}
		f.pending(t, ref)
		_, _, err := f.Decide(t.Context(), admin(), service.DecideRequest{ItemRef: ref, Decision: "reject"})
		if own {
			wantCode(t, err, "")
			continue
		}
		wantText(t, "one's own", err, automation.CodeForbidden, "who submitted the run may not decide")
		other := admin()
		other.Name = "somebody else"
		_, _, err = f.Decide(t.Context(), other, service.DecideRequest{ItemRef: ref, Decision: "reject"})
		wantCode(t, err, "")
	}
}

func TestSendEvent(t *testing.T) {
	t.Parallel()
	f := telling(t, false)
	ctx, p := t.Context(), submitter()
	run := f.begin(t, p, `  - {id: go, uses: core.wait@1, with: {event: go}}
  - {id: then, uses: core.wait@1, needs: [go], with: {event: later, timeout: 1h}}
`)
	f.pending(t, service.ItemRef{Run: run.ID, Step: "go"})
	for name, c := range map[string]struct {
		r    service.EventRequest
		code automation.Code
		text string
	}{
		"no name":       {service.EventRequest{Run: run.ID}, automation.CodeBadRequest, "/name"},
		"no good name":  {service.EventRequest{Run: run.ID, Name: "a b"}, automation.CodeBadRequest, "letters"},
		"a list":        {service.EventRequest{Run: run.ID, Name: "a", Payload: json.RawMessage(`[1]`)}, automation.CodeBadRequest, "/payload"},
		"null":          {service.EventRequest{Run: run.ID, Name: "a", Payload: json.RawMessage(`null`)}, automation.CodeBadRequest, "/payload"},
		"no JSON":       {service.EventRequest{Run: run.ID, Name: "a", Payload: json.RawMessage(`{`)}, automation.CodeBadRequest, "/payload"},
		"too much":      {service.EventRequest{Run: run.ID, Name: "a", Payload: json.RawMessage(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`)}, automation.CodeLimit, "65536"},
		"no such run":   {service.EventRequest{Run: automation.NewID[automation.RunID](), Name: "a"}, automation.CodeNotFound, "run"},
		"a bad key":     {service.EventRequest{Run: run.ID, Name: "a", Key: " "}, automation.CodeBadRequest, "Key"},
		"no identifier": {service.EventRequest{Run: "x", Name: "a"}, "", ""},
	} {
		_, err := f.SendEvent(ctx, p, c.r)
		if c.code == "" {
			c.code = automation.CodeOf(err)
		}
		wantText(t, name, err, c.code, c.text)
	}
	send := func(key, name, payload string) service.EventReceipt {
		t.Helper()
		got, err := f.SendEvent(ctx, p, service.EventRequest{Run: run.ID, Name: name, Payload: json.RawMessage(payload), Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for range 2 { // the second time the same answer, and no second event
		if got := send("k", "later", `{"n":1}`); got != (service.EventReceipt{Name: "later", State: service.EventKept}) {
			t.Errorf("got %+v; want it kept", got)
		}
	}
	_, err := f.SendEvent(ctx, p, service.EventRequest{Run: run.ID, Name: "later", Payload: json.RawMessage(`{"n":2}`), Key: "k"})
	wantCode(t, err, automation.CodeConflict)
	for range 2 {
		if got := send("go", "go", `{"n": 2}`); got != (service.EventReceipt{Name: "go", State: service.EventDelivered, Items: 1}) {
			t.Errorf("got %+v; want it delivered", got)
		}
	}
	if got, err := f.Wait(ctx, p, run.ID, time.Minute); err != nil || got.State != automation.RunSucceeded {
		t.Fatalf("got %+v, %v", got, err)
	}
	item := f.awaitItem(t, service.ItemRef{Run: run.ID, Step: "then"}, func(i service.Item) bool { return i.State.Ended() })
	var out struct {
		Event struct{ N int }
	}
	if err := json.Unmarshal(item.Output, &out); err != nil || out.Event.N != 1 {
		t.Errorf("got %s, %v; want the event that was kept", item.Output, err)
	}
	_, err = f.SendEvent(ctx, p, service.EventRequest{Run: run.ID, Name: "go"})
	wantText(t, "to a run that has ended", err, automation.CodeConflict, "ended already")
	if got := send("go", "go", `{"n": 2}`); got.State != service.EventDelivered { // but a repetition has its answer
		t.Errorf("got %+v", got)
	}
}

const doubtful = `  - {id: act, uses: doubt.act@1, for_each: {in: targets}}
`

func TestResolve(t *testing.T) {
	t.Parallel()
	f := telling(t, false)
	ctx, p := t.Context(), submitter()
	run, _, err := f.Submit(ctx, p, service.SubmitRequest{Definition: []byte("schema: opsconductor/v1\nname: t\ntargets: {select: \"'web' in asset.tags\"}\nsteps:\n" + doubtful)})
	if err != nil {
		t.Fatal(err)
	}
	first, second := service.ItemRef{Run: run.ID, Step: "act"}, service.ItemRef{Run: run.ID, Step: "act", Item: 1}
	for _, ref := range []service.ItemRef{first, second} {
		f.awaitItem(t, ref, func(i service.Item) bool {
			return i.State == automation.ItemUnknown && i.Error != nil && i.Reason != ""
		})
	}
	steps, _, err := f.Steps(ctx, p, run.ID)
	if err != nil || steps[0].State != automation.ItemUnknown || steps[0].Counts[automation.ItemUnknown] != 2 {
		t.Errorf("got %+v, %v; want the step to wait for what is unknown", steps, err)
	}
	good := &service.ResolvedOutcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{"on":"web"}`)}
	for name, c := range map[string]struct {
		r    service.ResolveRequest
		code automation.Code
		text string
	}{
		"nothing":                    {service.ResolveRequest{ItemRef: first}, automation.CodeBadRequest, "ran, did_not_run, abandon"},
		"ran, and nothing more":      {service.ResolveRequest{ItemRef: first, Resolution: "ran"}, automation.CodeBadRequest, "/outcome"},
		"did not run, with outcome":  {service.ResolveRequest{ItemRef: first, Resolution: "did_not_run", Outcome: good}, automation.CodeBadRequest, "/outcome"},
		"ran and was cancelled":      {service.ResolveRequest{ItemRef: first, Resolution: "ran", Outcome: &service.ResolvedOutcome{State: "cancelled"}}, automation.CodeBadRequest, "/outcome"},
		"failed with an output":      {service.ResolveRequest{ItemRef: first, Resolution: "ran", Outcome: &service.ResolvedOutcome{State: "failed", Output: good.Output}}, automation.CodeBadRequest, "/outcome"},
		"succeeded with a list":      {service.ResolveRequest{ItemRef: first, Resolution: "ran", Outcome: &service.ResolvedOutcome{State: "succeeded", Output: json.RawMessage(`[]`)}}, automation.CodeBadRequest, "/outcome/output"},
		"failed with a control char": {service.ResolveRequest{ItemRef: first, Resolution: "ran", Outcome: &service.ResolvedOutcome{State: "failed", Message: "\x00"}}, automation.CodeBadRequest, "/outcome/message"},
		"another's output":           {service.ResolveRequest{ItemRef: first, Resolution: "ran", Outcome: &service.ResolvedOutcome{State: "succeeded", Output: json.RawMessage(`{"on": 7}`)}}, automation.CodeWrongType, "/outcome/output/on"},
		"no such item":               {service.ResolveRequest{ItemRef: service.ItemRef{Run: run.ID, Step: "act", Item: 2}, Resolution: "abandon"}, automation.CodeNotFound, "no item 2"},
	} {
		_, _, err := f.Resolve(ctx, p, c.r)
		wantText(t, name, err, c.code, c.text)
	}
	stranger := submitter()
	stranger.Name = "stranger"
	_, _, err = f.Resolve(ctx, stranger, service.ResolveRequest{ItemRef: first, Resolution: "abandon"})
	wantText(t, "a stranger", err, automation.CodeForbidden, "the token named test submitter")

	for range 2 { // the same again changes nothing
		got, taken, err := f.Resolve(ctx, p, service.ResolveRequest{ItemRef: first, Resolution: "ran", Outcome: good, Reason: "saw the file"})
		if err != nil || !taken || got.State != automation.ItemSucceeded || got.Answer == nil || got.Answer.Resolution != automation.ResolutionRan || got.Error != nil {
			t.Fatalf("got %+v, %v, %v; want it succeeded", got, taken, err)
		}
	}
	_, _, err = f.Resolve(ctx, admin(), service.ResolveRequest{ItemRef: first, Resolution: "abandon"})
	wantText(t, "another resolution", err, automation.CodeConflict, "ran, says test submitter")
	if got, taken, err := f.Resolve(ctx, admin(), service.ResolveRequest{ItemRef: second, Resolution: "did_not_run"}); err != nil || !taken || got.State == automation.ItemUnknown {
		t.Fatalf("got %+v, %v, %v; want it to go on", got, taken, err)
	}
	if got, err := f.Wait(ctx, p, run.ID, time.Minute); err != nil || got.State != automation.RunSucceeded {
		t.Errorf("got %+v, %v; want the second attempt to have made it good", got, err)
	}
	if got := f.awaitItem(t, second, func(i service.Item) bool { return i.State.Ended() }); got.Attempt != 2 {
		t.Errorf("got %+v; want a second attempt", got)
	}
}

// TestTellWithoutLeader: what the scheduler does not come to is said to be open,
// and what it refuses after all is refused.
func TestTellWithoutLeader(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.catalog(t)
	f.withCore(t)
	run := f.begin(t, submitter(), gate)
	l := f.lead(t)
	l.commit(t, run.ID, &automation.RunUpdate{State: automation.RunRunning, Started: f.clock.Now()},
		automation.Fact{Kind: automation.FactWaitStarted, Delay: time.Hour, Wait: &automation.Wait{For: automation.WaitForApproval, Message: "go on?"}})
	r := service.DecideRequest{ItemRef: service.ItemRef{Run: run.ID, Step: "gate"}, Decision: automation.DecisionApprove}
	got, taken, err := f.Decide(t.Context(), admin(), r)
	if err != nil || taken || got.State != automation.ItemRunning {
		t.Errorf("got %+v, %v, %v; want the item as it is, and that nothing was taken yet", got, taken, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // a leader that finds the command too late
		for {
			waiting, err := f.store.Commands(t.Context(), 0, 10)
			if err != nil || len(waiting) == 2 {
				ids := make([]automation.CommandID, len(waiting))
				for i := range waiting {
					ids[i] = waiting[i].ID
				}
				if err := f.store.Append(t.Context(), store.Batch{Host: l.host.ID, Epoch: l.epoch, Commands: ids}); err != nil {
					t.Error(err)
				}
				return
			}
		}
	})
	_, _, err = f.Decide(t.Context(), admin(), r)
	wg.Wait()
	wantText(t, "refused", err, automation.CodeConflict, "had changed")
	f.clock.add(time.Hour)
	_, _, err = f.Decide(t.Context(), admin(), r)
	wantText(t, "after its time", err, automation.CodeConflict, "time to decide was over")
}
