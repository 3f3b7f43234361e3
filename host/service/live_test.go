package service_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/runner/engine"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/worker"
	"opsconductor.dev/plugins"
)

// executor is a func as an Executor.
type executor func(ctx context.Context, a automation.Attempt) automation.Outcome

func (e executor) Execute(ctx context.Context, a automation.Attempt, _ worker.Intent) automation.Outcome {
	return e(ctx, a)
}

// schedule runs the real scheduler over the fixture's store until the test ends.
func (f *fixture) schedule(t *testing.T, e executor) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := scheduler.New(scheduler.Config{
		Store: f.store, Executor: e, Host: automation.NewID[automation.HostID](), Name: "h", Slots: 16, Alone: true, Drain: time.Millisecond,
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Errorf("the scheduler ended: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// TestARunThroughTheScheduler follows a run live from its submission to its end,
// and holds what events, items, steps and the record say against each other.
func TestARunThroughTheScheduler(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Service = service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: manifests{}}) // the wall clock, like the scheduler's
	f.catalog(t)
	f.schedule(t, func(_ context.Context, a automation.Attempt) automation.Outcome {
		now := time.Now().UTC()
		out, _ := json.Marshal(map[string]string{"on": a.Target.Name})
		return automation.Outcome{State: automation.ItemSucceeded, Output: out, StartedAt: now, EndedAt: now.Add(time.Millisecond), Logs: []automation.LogLine{
			{At: now, Level: "info", Message: "hello from " + a.Target.Name},
		}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p := submitter()
	run, _, err := f.Submit(ctx, p, service.SubmitRequest{Definition: []byte(onTargets)})
	if err != nil {
		t.Fatal(err)
	}
	events, err := f.events(ctx, run.ID, service.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Wait(ctx, p, run.ID, time.Minute)
	if err != nil || got.State != automation.RunSucceeded || got.Ended.IsZero() {
		t.Fatalf("got %+v, %v; want it succeeded when its events have ended", got, err)
	}
	if last := events[len(events)-1]; last.Seq != got.Seq || last.RunState != got.State {
		t.Errorf("the last event is %+v; the record says %s at %d", last, got.State, got.Seq)
	}
	// What the events add up to is what the items say.
	states := map[string]automation.ItemState{}
	for _, e := range events {
		if e.Kind == service.EventItem {
			states[fmt.Sprintf("%s.%d on %s", e.Step, e.Item, e.Target)] = e.State
		}
	}
	page, err := f.Items(ctx, p, run.ID, service.ItemQuery{})
	if err != nil || len(page.Items) != 4 || page.Seq != got.Seq {
		t.Fatalf("got %d items at %d, %v; want 4 at %d", len(page.Items), page.Seq, err, got.Seq)
	}
	for _, it := range page.Items {
		key := fmt.Sprintf("%s.%d on %s", it.Step, it.Index, it.Target)
		if states[key] != it.State || it.State != automation.ItemSucceeded || string(it.Output) != `{"on":"`+it.Target+`"}` || it.DurationMS != 1 {
			t.Errorf("%s: events say %q, the item is %+v", key, states[key], it)
		}
	}
	checkLogs(t, f, run.ID)
}

// checkLogs pages through the run's logs, by one attempt a page.
func checkLogs(t *testing.T, f *fixture, id automation.RunID) {
	t.Helper()
	for step, want := range map[string][]string{
		"":    {"one.0 hello from web-1", "one.1 hello from web-2", "two.0 hello from web-1", "two.1 hello from web-2"},
		"one": {"one.0 hello from web-1", "one.1 hello from web-2"},
		"two": {"two.0 hello from web-1", "two.1 hello from web-2"},
	} {
		var got []string
		q := service.LogQuery{Step: step, Limit: 1}
		for {
			page, err := f.Logs(t.Context(), submitter(), id, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page.Attempts {
				got = append(got, fmt.Sprintf("%s.%d %s", a.Step, a.Item, a.Lines[0].Message))
			}
			if page.Next == "" {
				break
			}
			q.After = page.Next
		}
		if !slices.Equal(got, want) {
			t.Errorf("step %q: got %q; want %q", step, got, want)
		}
	}
	_, err := f.Logs(t.Context(), submitter(), id, service.LogQuery{Step: "none"})
	wantCode(t, err, automation.CodeUnknownName)
	for _, after := range []string{"x", "MDAuMC4w", "LTEuMC4w"} {
		_, err = f.Logs(t.Context(), submitter(), id, service.LogQuery{After: after})
		wantCode(t, err, automation.CodeBadRequest)
	}
}

func TestCancelThroughTheScheduler(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Service = service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: manifests{}})
	f.catalog(t)
	began := make(chan struct{}, 8)
	f.schedule(t, func(ctx context.Context, _ automation.Attempt) automation.Outcome {
		began <- struct{}{}
		<-ctx.Done()
		return automation.Outcome{State: automation.ItemCancelled, Error: &automation.Error{Code: automation.CodeCancelled, Message: "stopped"}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	run, _, err := f.Submit(ctx, submitter(), service.SubmitRequest{Definition: []byte(onTargets)})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	for range 2 {
		if _, err := f.Cancel(ctx, submitter(), run.ID, "enough", ""); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.Wait(ctx, submitter(), run.ID, time.Minute)
	if err != nil || got.State != automation.RunCancelled || got.Error == nil {
		t.Errorf("got %+v, %v; want it cancelled, and why", got, err)
	}
	if _, err := f.Cancel(ctx, submitter(), run.ID, "", ""); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestPauseThroughTheScheduler: while a run is paused nothing of it starts, and
// what was under way may end; resumed, it goes on to its end.
func TestPauseThroughTheScheduler(t *testing.T) {
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
	if got := <-began; got != "one" {
		t.Fatalf("step %s began; want one", got)
	}
	for range 2 { // the second time changes nothing
		if _, err := f.Pause(ctx, p, run.ID, "look first", ""); err != nil {
			t.Fatal(err)
		}
	}
	f.until(t, run.ID, automation.RunPaused)
	close(end)
	f.untilItem(t, run.ID, "one", automation.ItemSucceeded)
	for range len(began) {
		if step := <-began; step != "one" {
			t.Fatalf("step %s began while the run was paused", step)
		}
	}
	if _, err := f.Resume(ctx, p, run.ID, "", ""); err != nil {
		t.Fatal(err)
	}
	got, err := f.Wait(ctx, p, run.ID, time.Minute)
	if err != nil || got.State != automation.RunSucceeded {
		t.Errorf("got %s, %v, %v; want succeeded", got.State, got.Error, err)
	}
	for name, ask := range map[string]func() (automation.Run, error){
		"pause":  func() (automation.Run, error) { return f.Pause(ctx, p, run.ID, "", "") },
		"resume": func() (automation.Run, error) { return f.Resume(ctx, p, run.ID, "", "") },
	} {
		_, err := ask()
		wantCode(t, err, automation.CodeConflict)
		if err == nil || !strings.Contains(err.Error(), "succeeded") {
			t.Errorf("%s what has ended: got %v; want to be told how it ended", name, err)
		}
	}
}

// until waits for a state of a run's record.
func (f *fixture) until(t *testing.T, id automation.RunID, want automation.RunState) {
	t.Helper()
	f.poll(t, func() (bool, string) {
		run, err := f.Run(t.Context(), submitter(), id)
		if err != nil {
			t.Fatal(err)
		}
		return run.State == want, string(run.State)
	})
}

// untilItem waits for a state of a step's first item.
func (f *fixture) untilItem(t *testing.T, id automation.RunID, step string, want automation.ItemState) {
	t.Helper()
	f.poll(t, func() (bool, string) {
		page, err := f.Items(t.Context(), submitter(), id, service.ItemQuery{Step: step})
		if err != nil || len(page.Items) == 0 {
			t.Fatalf("got %+v, %v", page, err)
		}
		return page.Items[0].State == want, string(page.Items[0].State)
	})
}

func (f *fixture) poll(t *testing.T, ok func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		done, state := ok()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still %s", state)
		}
	}
}

// TestBuiltinPluginsPassTheGate stores the real artifacts through the real registry.
func TestBuiltinPluginsPassTheGate(t *testing.T) {
	t.Parallel()
	artifacts, err := plugins.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if len(artifacts) == 0 {
		t.Skip("the built-in plugins are not built: run make plugins")
	}
	f := setup(t)
	eng, err := engine.New(engine.NameNative, engine.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eng.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	reg, err := registry.New(registry.Config{Store: f.store, Engine: eng, HostFunctions: []string{"ssh_exec", "probe_tcp", "probe_dns", "log"}})
	if err != nil {
		t.Fatal(err)
	}
	s := service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: reg})
	pl, _, err := s.EnsureBuiltin(t.Context(), artifacts["core"])
	if err != nil || pl.Name != "core" || pl.State != automation.PluginActive {
		t.Fatalf("got %+v, %v; want core active", pl, err)
	}
	_, _, err = s.EnsureBuiltin(t.Context(), artifacts["core"][:1000])
	if err == nil {
		t.Error("a truncated artifact passed")
	}
	wantOurs(t, err)
}
