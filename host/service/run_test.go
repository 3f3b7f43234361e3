package service_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

func submitter() automation.Principal { return principal(automation.RoleSubmitter) }

func TestSubmitByPlan(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), submitter()
	hash := f.fanPlan(t, 2)
	run, created, err := f.Submit(ctx, p, service.SubmitRequest{PlanHash: hash, Key: "k"})
	if err != nil || !created || run.State != automation.RunQueued || run.Workflow != "demo" || run.PlanHash != hash || run.By != p.Name || run.Seq == 0 {
		t.Fatalf("got %+v, %v, %v", run, created, err)
	}
	again, created, err := f.Submit(ctx, p, service.SubmitRequest{PlanHash: hash, Key: "k"})
	if err != nil || created || again.ID != run.ID {
		t.Errorf("the same key: got %s, %v, %v; want the same run", again.ID, created, err)
	}
	other := f.fanPlan(t, 3)
	_, _, err = f.Submit(ctx, p, service.SubmitRequest{PlanHash: other, Key: "k"})
	wantCode(t, err, automation.CodeConflict)
	if e := f.lastAudit(t); e.Action != "run.submit" || e.Object != string(run.ID) || !strings.Contains(string(e.Detail), string(hash)) {
		t.Errorf("got audit entry %+v %s; want the submission", e, e.Detail)
	}
	got, err := f.Run(ctx, p, run.ID)
	if diff := cmp.Diff(run, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	list, err := f.ListRuns(ctx, p, service.RunQuery{State: automation.RunQueued}, automation.Page{})
	if err != nil || len(list) != 1 || list[0].ID != run.ID {
		t.Errorf("got %v, %v; want the run", list, err)
	}
	stored, err := f.StoredPlan(ctx, p, hash)
	if err != nil || stored.Plan.Workflow != "demo" || stored.Hash != hash {
		t.Errorf("got %v, %v; want the plan", stored, err)
	}
}

func TestSubmitRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), submitter()
	hash := f.fanPlan(t, 1)
	for name, c := range map[string]struct {
		r    service.SubmitRequest
		want automation.Code
	}{
		"neither":       {service.SubmitRequest{}, automation.CodeBadRequest},
		"both":          {service.SubmitRequest{PlanHash: hash, Definition: []byte("x")}, automation.CodeBadRequest},
		"inputs":        {service.SubmitRequest{PlanHash: hash, Inputs: []byte("{}")}, automation.CodeBadRequest},
		"no hash":       {service.SubmitRequest{PlanHash: "x"}, automation.CodeBadRequest},
		"no such plan":  {service.SubmitRequest{PlanHash: automation.Digest(strings.Repeat("0", 64))}, automation.CodeNotFound},
		"malformed key": {service.SubmitRequest{PlanHash: hash, Key: "a b"}, automation.CodeBadRequest},
	} {
		_, _, err := f.Submit(ctx, p, c.r)
		if automation.CodeOf(err) != c.want {
			t.Errorf("%s: got %v; want %s", name, err, c.want)
		}
	}
	stranger := p
	stranger.Tenant = "other"
	_, _, err := f.Submit(ctx, stranger, service.SubmitRequest{PlanHash: hash})
	wantCode(t, err, automation.CodeNotFound)

	pl, err := f.Plugin(ctx, p, "core@1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.DisablePlugin(ctx, admin(), pl.Digest, 0); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.Submit(ctx, p, service.SubmitRequest{PlanHash: hash})
	wantCode(t, err, automation.CodeConflict)
	if err == nil || !strings.Contains(err.Error(), "fan (core@1.0.0)") {
		t.Errorf("got %v; want it to name step and plugin", err)
	}
	if list, err := f.ListRuns(ctx, p, service.RunQuery{}, automation.Page{}); err != nil || len(list) != 0 {
		t.Errorf("got %d runs, %v; want none", len(list), err)
	}
}

func TestRunsOfOthersAreNotFound(t *testing.T) {
	t.Parallel()
	f := setup(t)
	run := f.submit(t, f.fanPlan(t, 1))
	p := submitter()
	p.Tenant = "other"
	for what, call := range map[string]func(automation.Principal, automation.RunID) error{
		"run": func(p automation.Principal, id automation.RunID) error {
			_, err := f.Run(t.Context(), p, id)
			return err
		},
		"wait": func(p automation.Principal, id automation.RunID) error {
			_, err := f.Wait(t.Context(), p, id, 0)
			return err
		},
		"steps": func(p automation.Principal, id automation.RunID) error {
			_, _, err := f.Steps(t.Context(), p, id)
			return err
		},
		"failures": func(p automation.Principal, id automation.RunID) error {
			_, err := f.Failures(t.Context(), p, id)
			return err
		},
		"items": func(p automation.Principal, id automation.RunID) error {
			_, err := f.Items(t.Context(), p, id, service.ItemQuery{})
			return err
		},
		"logs": func(p automation.Principal, id automation.RunID) error {
			_, err := f.Logs(t.Context(), p, id, service.LogQuery{})
			return err
		},
		"cancel": func(p automation.Principal, id automation.RunID) error {
			_, err := f.Cancel(t.Context(), p, id, "", "")
			return err
		},
		"events": func(p automation.Principal, id automation.RunID) error {
			return f.Events(t.Context(), p, id, service.Cursor{}, func(service.Event) error { return nil })
		},
	} {
		// The view is in the cache by now for some of these: it is the tenant's own.
		if _, err := f.Items(t.Context(), submitter(), run.ID, service.ItemQuery{}); err != nil {
			t.Fatal(err)
		}
		if err := call(p, run.ID); automation.CodeOf(err) != automation.CodeNotFound {
			t.Errorf("%s: got %v; want not_found", what, err)
		}
		if err := call(submitter(), automation.NewID[automation.RunID]()); automation.CodeOf(err) != automation.CodeNotFound {
			t.Errorf("%s of no run: got %v; want not_found", what, err)
		}
		if err := call(submitter(), "x"); automation.CodeOf(err) != automation.CodeBadRequest {
			t.Errorf("%s of x: got %v; want bad_request", what, err)
		}
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), submitter()
	l := f.lead(t)
	run := f.submit(t, f.fanPlan(t, 3))
	page, err := f.Items(ctx, p, run.ID, service.ItemQuery{})
	if err != nil || len(page.Items) != 4 || page.Items[0].State != automation.ItemReady || page.Items[3].State != automation.ItemBlocked || page.Seq != run.Seq {
		t.Fatalf("got %+v, %v; want three ready and one blocked", page, err)
	}
	if got := page.Items[3].Reason; got != "waits for fan" {
		t.Errorf("got reason %q; want waits for fan", got)
	}
	l.commit(t, run.ID, l.running(), granted(0, 0, 1), granted(0, 1, 1))
	l.commit(t, run.ID, nil, succeeded(0, 0, 1, `{"x":1}`))
	seq := l.commit(t, run.ID, nil, failed(0, 1, 1))
	page, err = f.Items(ctx, p, run.ID, service.ItemQuery{Step: "fan"})
	if err != nil || page.Seq != seq || len(page.Items) != 3 {
		t.Fatalf("got %+v, %v", page, err)
	}
	first, second := page.Items[0], page.Items[1]
	if first.State != automation.ItemSucceeded || string(first.Output) != `{"x":1}` || first.DurationMS != 1.5 || first.Attempt != 1 || first.Host != l.host.ID || string(first.Value) != "0" {
		t.Errorf("got %+v; want it succeeded with its output", first)
	}
	if second.State != automation.ItemFailed || second.Error == nil || second.Error.Code != automation.CodeUnreachable {
		t.Errorf("got %+v; want it failed with its error", second)
	}
	steps, seqOf, err := f.Steps(ctx, p, run.ID)
	if err != nil || seqOf != seq || len(steps) != 2 || steps[0].Counts[automation.ItemSucceeded] != 1 || steps[0].Items != 3 ||
		steps[0].Uses != "core.act@1.0.0" || strings.Join(steps[1].Needs, "") != "fan" {
		t.Errorf("got %+v at %d, %v", steps, seqOf, err)
	}
	_, err = f.Items(ctx, p, run.ID, service.ItemQuery{Step: "none"})
	wantCode(t, err, automation.CodeUnknownName)
	for _, q := range []service.ItemQuery{{After: "x"}, {After: "AAAA"}, {Limit: -1}, {Limit: 1001}, {After: "MDAuMA"}} {
		_, err = f.Items(ctx, p, run.ID, q)
		wantCode(t, err, automation.CodeBadRequest)
	}
}

// TestItemsPage walks the pages of every size and wants each item once, in order.
func TestItemsPage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	run := f.submit(t, f.fanPlan(t, 5))
	want := "fan.0 fan.1 fan.2 fan.3 fan.4 sum.0"
	for limit := 1; limit <= 7; limit++ {
		var got []string
		q := service.ItemQuery{Limit: limit}
		for {
			page, err := f.Items(t.Context(), submitter(), run.ID, q)
			if err != nil || len(page.Items) > limit || len(page.Items) == 0 {
				t.Fatalf("limit %d: got %d items, %v", limit, len(page.Items), err)
			}
			for _, it := range page.Items {
				got = append(got, fmt.Sprintf("%s.%d", it.Step, it.Index))
			}
			if page.Next == "" {
				break
			}
			q.After = page.Next
		}
		if strings.Join(got, " ") != want {
			t.Errorf("limit %d: got %v; want %s", limit, got, want)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), submitter()
	l := f.lead(t)
	run := f.submit(t, f.fanPlan(t, 1))
	_, err := f.Cancel(ctx, p, run.ID, "\x1b[2J", "")
	wantPlaces(t, err, "/reason")
	for range 3 {
		if got, err := f.Cancel(ctx, p, run.ID, "wrong target", ""); err != nil || got.ID != run.ID {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	waiting, err := f.store.Commands(ctx, 0, 10)
	if err != nil || len(waiting) != 1 || waiting[0].Run != run.ID || waiting[0].Reason != "wrong target" || waiting[0].By != p.Name {
		t.Fatalf("got %+v, %v; want one command", waiting, err)
	}
	// The leader answers it; asking once more changes nothing, and is no conflict.
	ask := automation.Fact{Kind: automation.FactCancelAsked, By: p.Name, Reason: "wrong target"}
	l.commit(t, run.ID, l.ended(automation.RunCancelled), ask)
	if got, err := f.Cancel(ctx, p, run.ID, "", ""); err != nil || got.State != automation.RunCancelled {
		t.Errorf("got %v, %v; want the cancelled run", got.State, err)
	}
	done := f.submit(t, f.fanPlan(t, 1))
	l.wholeRun(t, done.ID, 1)
	_, err = f.Cancel(ctx, p, done.ID, "", "")
	wantCode(t, err, automation.CodeConflict)
	if err == nil || !strings.Contains(err.Error(), "succeeded") {
		t.Errorf("got %v; want to be told how it ended", err)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), submitter()
	l := f.lead(t)
	run := f.submit(t, f.fanPlan(t, 1))
	for _, timeout := range []time.Duration{-1, 0, time.Millisecond} {
		if got, err := f.Wait(ctx, p, run.ID, timeout); err != nil || got.State != automation.RunQueued {
			t.Errorf("%s: got %v, %v; want the run as it is", timeout, got.State, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err := f.Wait(gone, p, run.ID, time.Minute)
	if err == nil {
		t.Error("the caller has gone: got no error")
	}
	wantOurs(t, err)
	type answer struct {
		run automation.Run
		err error
	}
	answers := make(chan answer, 8)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range cap(answers) {
		wg.Go(func() {
			got, err := f.Wait(ctx, p, run.ID, time.Minute)
			answers <- answer{got, err}
		})
	}
	l.wholeRun(t, run.ID, 1)
	for range cap(answers) {
		if a := <-answers; a.err != nil || a.run.State != automation.RunSucceeded {
			t.Errorf("got %v, %v; want the run at its end", a.run.State, a.err)
		}
	}
}

func TestListRunsRefusesUnknownStates(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, err := f.ListRuns(t.Context(), submitter(), service.RunQuery{State: "done"}, automation.Page{})
	wantPlaces(t, err, "/state")
	if err != nil && !strings.Contains(err.Error(), "succeeded") {
		t.Errorf("got %v; want the states that there are", err)
	}
}
