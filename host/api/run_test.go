package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/worker"
)

// hold is an executor in this process: action hold waits to be let go, every
// other succeeds at once.
type hold struct{ release chan struct{} }

func (h hold) Execute(ctx context.Context, a automation.Attempt, _ worker.Intent) automation.Outcome {
	out := automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{}`), StartedAt: time.Now()}
	if a.Action == "hold" {
		select {
		case <-h.release:
		case <-ctx.Done():
			out.State, out.Error = automation.ItemCancelled, &automation.Error{Code: automation.CodeCancelled, Message: "cancelled"}
		}
	}
	out.Logs = []automation.LogLine{{At: time.Now(), Level: "info", Message: "done " + a.StepID}}
	out.EndedAt = time.Now()
	return out
}

// running is setup with a scheduler at work, and an active plugin with the
// actions go and hold.
func running(t *testing.T) (*fixture, chan struct{}) {
	t.Helper()
	f := setup(t, nil)
	action := `{"name":"%s","description":"d","input":{"type":"object","additionalProperties":false},"output":{"type":"object"},"effect":"pure"}`
	manifest := `{"abi":1,"name":"test","version":"1.0.0","description":"d","actions":[` + fmt.Sprintf(action, "go") + "," + fmt.Sprintf(action, "hold") + `]}`
	made := f.do(call{method: "POST", path: "/v1/plugins", token: f.admin, body: manifest, header: map[string]string{"Content-Type": "application/wasm"}})
	digest := into[automation.Plugin](t, made.body).Digest
	if got := f.do(call{method: "POST", path: "/v1/plugins/" + string(digest) + "/activate", token: f.admin, body: `{"grants":[]}`}); got.status != http.StatusOK {
		t.Fatalf("activate: got %d %s", got.status, got.body)
	}
	h := hold{release: make(chan struct{})}
	loop := scheduler.New(scheduler.Config{Store: f.store, Executor: h, Host: automation.NewID[automation.HostID](), Name: "test", Slots: 8, Alone: true})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var group errgroup.Group
	group.Go(func() error { return loop.Run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := group.Wait(); err != nil {
			t.Errorf("the scheduler: %v", err)
		}
	})
	return f, h.release
}

const flow = `{"schema":"opsconductor/v1","name":"flow","steps":[{"id":"a","uses":"test.go@1","with":{}},{"id":"b","uses":"test.hold@1","needs":["a"],"with":{}}]}`

func TestARunFromPlanToEnd(t *testing.T) {
	t.Parallel()
	f, release := running(t)
	planned := f.do(call{method: "POST", path: "/v1/plans", token: f.submitter, body: `{"definition":` + flow + `}`})
	if planned.status != http.StatusOK {
		t.Fatalf("plan: got %d %s", planned.status, planned.body)
	}
	plan := into[api.PlanResult](t, planned.body)
	if got := f.do(call{method: "GET", path: "/v1/plans/" + string(plan.PlanHash), token: f.submitter}); got.body != planned.body {
		t.Errorf("the stored plan: got %d %s, want %s", got.status, got.body, planned.body)
	}
	submit := call{method: "POST", path: "/v1/runs", token: f.submitter, body: `{"plan_hash":"` + string(plan.PlanHash) + `"}`}
	submit.header = map[string]string{"Idempotency-Key": "once"}
	first, second := f.do(submit), f.do(submit)
	run := into[automation.Run](t, first.body)
	if first.status != http.StatusAccepted || second.status != http.StatusOK || into[automation.Run](t, second.body).ID != run.ID {
		t.Fatalf("submit twice under a key: got %d %s then %d %s, want 202 then 200 and one run", first.status, first.body, second.status, second.body)
	}
	path := "/v1/runs/" + string(run.ID)
	if got := first.header.Get("Location"); got != path {
		t.Errorf("Location: got %q, want %q", got, path)
	}
	if got := f.do(call{method: "GET", path: path + "/wait?timeout=1ms", token: f.submitter}); got.status != 200 || into[automation.Run](t, got.body).State.Ended() {
		t.Errorf("a short wait: got %d %s, want the run as it is", got.status, got.body)
	}
	close(release)
	ended := into[automation.Run](t, f.do(call{method: "GET", path: path + "/wait?timeout=30s", token: f.submitter}).body)
	if ended.State != automation.RunSucceeded {
		t.Fatalf("wait: got %+v, want succeeded", ended)
	}
	f.checkResults(path)
	f.checkReplay(path)
	if got := f.do(call{method: "POST", path: path + "/cancel", token: f.submitter, body: `{}`}); got.status != http.StatusConflict {
		t.Errorf("cancel what has ended: got %d %s, want 409", got.status, got.body)
	}
	list := f.do(call{method: "GET", path: "/v1/runs?state=succeeded", token: f.submitter})
	if !strings.Contains(list.body, string(run.ID)) {
		t.Errorf("the list of succeeded runs lacks it: %s", list.body)
	}
}

func (f *fixture) checkResults(path string) {
	f.t.Helper()
	items := into[api.ItemList](f.t, f.do(call{method: "GET", path: path + "/items?limit=1", token: f.submitter}).body)
	if len(items.Items) != 1 || items.Items[0].Step != "a" || items.Items[0].State != automation.ItemSucceeded || items.NextCursor == "" || items.Seq == 0 {
		f.t.Errorf("items: got %+v, want the first and a cursor", items)
	}
	items = into[api.ItemList](f.t, f.do(call{method: "GET", path: path + "/items?limit=1&cursor=" + items.NextCursor, token: f.submitter}).body)
	if len(items.Items) != 1 || items.Items[0].Step != "b" || items.NextCursor != "" {
		f.t.Errorf("items: got %+v, want the second and no cursor", items)
	}
	steps := into[api.StepList](f.t, f.do(call{method: "GET", path: path + "/steps", token: f.submitter}).body)
	if len(steps.Items) != 2 || steps.Items[1].State != automation.ItemSucceeded {
		f.t.Errorf("steps: got %+v, want two", steps)
	}
	if got := f.do(call{method: "GET", path: path + "/failures", token: f.submitter}); got.status != 200 || !strings.HasPrefix(got.body, `{"items":[],"total":0,"seq":`) {
		f.t.Errorf("failures: got %d %s, want none", got.status, got.body)
	}
	logs := f.do(call{method: "GET", path: path + "/logs?step=b", token: f.submitter})
	if !strings.Contains(logs.body, "done b") || strings.Contains(logs.body, "done a") {
		f.t.Errorf("logs of step b: got %d %s", logs.status, logs.body)
	}
}

// checkReplay reads the run's events whole, then from every event on: what comes
// is exactly the rest.
func (f *fixture) checkReplay(path string) {
	f.t.Helper()
	whole := f.stream(path, "")
	if len(whole) < 6 || whole[len(whole)-1] != "end" {
		f.t.Fatalf("got events %q, want those of two items and the run, and the end", whole)
	}
	for i, id := range whole[:len(whole)-1] {
		if got, want := strings.Join(f.stream(path, id), " "), strings.Join(whole[i+1:], " "); got != want {
			f.t.Errorf("after %s: got %q, want %q", id, got, want)
		}
	}
}

// stream returns the ids of a run's events after one, and "end".
func (f *fixture) stream(path, last string) []string {
	f.t.Helper()
	got := f.do(call{method: "GET", path: path + "/events", token: f.submitter, header: map[string]string{"Last-Event-ID": last}})
	var ids []string
	for line := range strings.Lines(got.body) {
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			ids = append(ids, strings.TrimSpace(id))
		} else if strings.HasPrefix(line, "event: end") {
			ids = append(ids, "end")
		}
	}
	return ids
}

func TestACancelEndsARunAndItsStream(t *testing.T) {
	t.Parallel()
	f, _ := running(t)
	made := f.do(call{method: "POST", path: "/v1/runs", token: f.submitter, body: `{"definition":` + flow + `}`})
	if made.status != http.StatusAccepted {
		t.Fatalf("submit: got %d %s", made.status, made.body)
	}
	path := "/v1/runs/" + string(into[automation.Run](t, made.body).ID)
	var live errgroup.Group
	var body string
	live.Go(func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.server.URL+path+"/events", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+f.submitter)
		res, err := f.server.Client().Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		body = string(b)
		return err
	})
	if got := f.do(call{method: "POST", path: path + "/cancel", token: f.submitter, body: `{"reason":"enough"}`}); got.status != http.StatusAccepted {
		t.Errorf("cancel: got %d %s, want 202", got.status, got.body)
	}
	if err := live.Wait(); err != nil {
		t.Fatalf("the stream: %v", err)
	}
	if !strings.Contains(body, `"state":"cancelled"`) || !strings.Contains(body, "event: end\n") {
		t.Errorf("the live stream has no end with cancelled: %s", body)
	}
}

// A definition with faults: all of them, placed in the text that was sent, in
// each of the three ways of sending it, and no value of it in the answer.
func TestFaultsOfADefinitionHaveTheirPlaces(t *testing.T) {
	t.Parallel()
	f, _ := running(t)
	object := "{\n \"schema\": \"opsconductor/v1\",\n \"name\": \"flow\",\n \"steps\": [\n  {\"id\": \"a\", \"uses\": \"test.gone@1\", \"wiht\": {\"x\": \"hunter2\"}}\n ]\n}"
	yaml := "schema: opsconductor/v1\nname: flow\nsteps:\n  - id: a\n    uses: test.gone@1\n    wiht: {x: hunter2}\n"
	quoted, err := json.Marshal(yaml)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		call call
		line int
	}{
		"object": {call{body: `{"inputs":{},    "definition":` + object + `}`}, 5},
		"string": {call{body: `{"definition":` + string(quoted) + `}`}, 6},
		"yaml":   {call{body: yaml, header: map[string]string{"Content-Type": "application/yaml"}}, 6},
	} {
		for _, path := range []string{"/v1/plans", "/v1/runs"} {
			c.call.method, c.call.path, c.call.token = "POST", path, f.submitter
			got := f.do(c.call)
			p := into[api.Problem](t, got.body)
			if got.status != http.StatusUnprocessableEntity || strings.Contains(got.body, "hunter2") {
				t.Fatalf("%s to %s: got %d %s, want 422 without values", name, path, got.status, got.body)
			}
			found := false
			for _, e := range p.Errors {
				found = found || e.Pointer == "/steps/0/wiht" && e.Line == c.line && strings.Contains(e.Suggestion, "with")
			}
			if !found || len(p.Errors) < 2 {
				t.Errorf("%s to %s: got %s, want several faults, one at /steps/0/wiht in line %d", name, path, got.body, c.line)
			}
		}
	}
}
