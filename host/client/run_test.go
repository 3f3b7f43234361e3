package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/client"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/worker"
)

// hold succeeds at once, but for the action hold, which waits to be let go.
type hold struct{ release chan struct{} }

func (h hold) Execute(ctx context.Context, a automation.Attempt, _ worker.Intent) automation.Outcome {
	out := automation.Outcome{State: automation.ItemSucceeded, Output: json.RawMessage(`{"n":1}`), StartedAt: time.Now()}
	if a.Action == "hold" {
		select {
		case <-h.release:
		case <-ctx.Done():
			out.State, out.Error = automation.ItemCancelled, &automation.Error{Code: automation.CodeCancelled, Message: "cancelled"}
		}
	}
	out.EndedAt = time.Now()
	return out
}

const manifest = `{"abi":1,"name":"test","version":"1.0.0","description":"d","actions":[
{"name":"go","description":"d","input":{"type":"object"},"output":{"type":"object"},"effect":"pure"},
{"name":"hold","description":"d","input":{"type":"object"},"output":{"type":"object"},"effect":"pure"}]}`

const flow = `schema: opsconductor/v1
name: flow
inputs: {n: {type: integer, default: 3}}
steps:
  - id: a
    uses: test.go@1
    with: {}
    for_each: {in: [1, 2, 3]}
  - id: b
    uses: test.hold@1
    with: {}
    needs: [a]
`

// running is a server with a scheduler at work.
func running(t *testing.T, between func(http.Handler) http.Handler) (*client.Client, chan struct{}) {
	t.Helper()
	admin, submitter, db := setupStore(t, between)
	p, err := admin.UploadPlugin(t.Context(), []byte(manifest))
	if err == nil {
		_, err = admin.ActivatePlugin(t.Context(), p.Digest, nil, 0)
	}
	if err != nil {
		t.Fatalf("activate the plugin: %v", err)
	}
	h := hold{release: make(chan struct{})}
	loop := scheduler.New(scheduler.Config{Store: db, Executor: h, Host: automation.NewID[automation.HostID](), Name: "test", Slots: 8, Alone: true})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var group errgroup.Group
	group.Go(func() error { return loop.Run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := group.Wait(); err != nil {
			t.Errorf("the scheduler: %v", err)
		}
	})
	return submitter, h.release
}

// The whole way through the client, with a stream that the network cuts after
// every few hundred bytes: the events are those of an unbroken stream.
func TestARunFollowedOverABrokenNetwork(t *testing.T) {
	t.Parallel()
	var streams atomic.Int64
	c, release := running(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/events") && r.Header.Get("X-Whole") == "" && streams.Add(1) < 8 {
				w = &short{ResponseWriter: w, left: 700}
			}
			next.ServeHTTP(w, r)
		})
	})
	ctx := t.Context()
	plan, err := c.Plan(ctx, client.PlanRequest{Definition: []byte(flow), Inputs: json.RawMessage(`{"n":5}`)})
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	run, err := c.Submit(ctx, client.SubmitRequest{PlanHash: plan.PlanHash})
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	var ids []string
	end, err := c.Events(ctx, run.ID, "", func(e client.Event) error {
		ids = append(ids, e.ID)
		if e.Step == "b" && e.State == automation.ItemLeased {
			close(release)
		}
		return nil
	})
	if err != nil || end.State != client.RunSucceeded {
		t.Fatalf("events: got %+v, %v, want the end of a run that succeeded", end, err)
	}
	if streams.Load() < 2 {
		t.Errorf("the stream was opened %d times: nothing broke", streams.Load())
	}
	streams.Store(100)
	var whole []string
	if _, err := c.Events(ctx, run.ID, "", func(e client.Event) error { whole = append(whole, e.ID); return nil }); err != nil {
		t.Fatalf("events again: %v", err)
	}
	if got, want := strings.Join(ids, " "), strings.Join(whole, " "); got != want || len(whole) < 10 {
		t.Errorf("over the broken network: got %q, want %q", got, want)
	}
	n := 0
	for _, err := range client.All(func(page client.Page) (client.List[client.Item], error) {
		page.Limit = 2
		items, err := c.Items(ctx, run.ID, "", page)
		return items.List, err
	}) {
		if n++; err != nil {
			t.Fatalf("items: %v", err)
		}
	}
	if n != 4 {
		t.Errorf("got %d items, want 4", n)
	}
}

// short is a connection that breaks after some bytes.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *short) Write(b []byte) (int, error) {
	if s.left -= len(b); s.left < 0 {
		_, _ = s.ResponseWriter.Write(b[:max(0, len(b)+s.left)])
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return s.ResponseWriter.Write(b)
}

func TestWaitEndsWithTheRunOrTheCallersTime(t *testing.T) {
	t.Parallel()
	c, release := running(t, nil)
	run, err := c.Submit(t.Context(), client.SubmitRequest{Definition: []byte(flow)})
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	ctx, cancel := contextWithTimeout(t, 800*time.Millisecond)
	defer cancel()
	seen, err := c.WaitEnd(ctx, run.ID)
	if client.CodeOf(err) != client.CodeTimeout || seen.ID != run.ID || seen.State.Ended() {
		t.Errorf("with little time: got %+v, %v, want the run as it was and timeout", seen, err)
	}
	close(release)
	if run, err = c.WaitEnd(t.Context(), run.ID); err != nil || run.State != client.RunSucceeded {
		t.Errorf("with time: got %+v, %v, want succeeded", run, err)
	}
	if _, err := c.Cancel(t.Context(), run.ID, "late"); client.CodeOf(err) != client.CodeConflict {
		t.Errorf("cancel what has ended: got %v, want conflict", err)
	}
}

func TestFaultsOfADefinitionKeepTheirPlaces(t *testing.T) {
	t.Parallel()
	c, _ := running(t, nil)
	_, err := c.Plan(t.Context(), client.PlanRequest{Definition: []byte(strings.Replace(flow, "for_each", "for_eahc", 1))})
	var e *client.Error
	if !errors.As(err, &e) || e.Line != 8 || e.Pointer != "/steps/0/for_eahc" || !strings.Contains(e.Suggestion, "for_each") {
		t.Errorf("got %v, want line 8 and a suggestion", err)
	}
	for _, r := range []client.PlanRequest{{Definition: []byte("\xff")}, {Definition: []byte(flow), Inputs: json.RawMessage("{")}} {
		if _, err := c.Plan(t.Context(), r); client.CodeOf(err) != automation.CodeSyntax {
			t.Errorf("got %v, want syntax", err)
		}
	}
}
