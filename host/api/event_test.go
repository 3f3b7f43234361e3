package api_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// scripted has one run whose events a test decides. Everything else is real.
type scripted struct {
	api.Service
	events func(ctx context.Context, after service.Cursor, yield func(service.Event) error) error
}

func (scripted) Run(_ context.Context, _ automation.Principal, id automation.RunID) (automation.Run, error) {
	return automation.Run{ID: id, State: automation.RunSucceeded, Seq: 9}, nil
}

func (s scripted) Events(ctx context.Context, _ automation.Principal, _ automation.RunID, after service.Cursor, yield func(service.Event) error) error {
	return s.events(ctx, after, yield)
}

func event(seq int64, index int) service.Event {
	return service.Event{Seq: seq, Index: index, Kind: service.EventItem, Step: "check", State: automation.ItemRunning, Attempt: 1}
}

func (f *fixture) events(ctx context.Context, query string, header map[string]string) *http.Response {
	f.t.Helper()
	url := f.server.URL + "/v1/runs/" + string(automation.NewID[automation.RunID]()) + "/events" + query
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		f.t.Fatalf("make a request: %v", err)
	}
	req.Header.Set("Authorization", "Bearer "+f.submitter)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := f.server.Client().Do(req)
	if err != nil {
		f.t.Fatalf("open the stream: %v", err)
	}
	f.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestEventsAreServerSentAndEnd(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *api.Config) {
		c.Service = scripted{Service: c.Service, events: func(_ context.Context, after service.Cursor, yield func(service.Event) error) error {
			for _, e := range []service.Event{event(1, 0), event(1, 1), event(4, 0)} {
				if after.Seq > e.Seq || after.Seq == e.Seq && after.Index >= e.Index && after != (service.Cursor{}) {
					continue
				}
				if err := yield(e); err != nil {
					return err
				}
			}
			return nil
		}}
	})
	for name, c := range map[string]struct {
		query, last string
		want        string
	}{
		"from the beginning":         {"", "", "1.0 1.1 4.0"},
		"after a snapshot":           {"?after=1", "", "4.0"},
		"after an event":             {"?after=1.0", "", "1.1 4.0"},
		"after the last event":       {"", "1.1", "4.0"},
		"the header goes before":     {"?after=0", "4.0", ""},
		"after more than there is":   {"?after=99", "", ""},
		"after the start, literally": {"?after=0", "", "1.0 1.1 4.0"},
	} {
		header := map[string]string{}
		if c.last != "" {
			header["Last-Event-ID"] = c.last
		}
		res := f.events(t.Context(), c.query, header)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%s: read: %v", name, err)
		}
		if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("%s: got Content-Type %s", name, got)
		}
		var ids []string
		for line := range strings.Lines(string(body)) {
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				ids = append(ids, strings.TrimSpace(id))
			}
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%s: got events %q, want %q", name, got, c.want)
		}
		if !strings.HasSuffix(string(body), "\n\n") || !strings.Contains(string(body), "event: end\ndata: {\"run\":\"") {
			t.Errorf("%s: the stream has no end: %q", name, body)
		}
	}
}

func TestAQuietStreamBeats(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *api.Config) {
		c.Heartbeat = 20 * time.Millisecond
		c.Service = scripted{Service: c.Service, events: func(ctx context.Context, _ service.Cursor, _ func(service.Event) error) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	lines := bufio.NewScanner(f.events(ctx, "", nil).Body)
	beats := 0
	for beats < 3 && lines.Scan() {
		if strings.HasPrefix(lines.Text(), ": still") {
			beats++
		}
	}
	if beats < 3 {
		t.Errorf("got %d comments, want 3: %v", beats, lines.Err())
	}
}

// A reader that reads nothing is dropped within the write timeout, and what
// produces its events stops; without the deadline of writes this test hangs.
func TestASlowReaderIsDropped(t *testing.T) {
	t.Parallel()
	stopped := make(chan error, 1)
	f := setup(t, func(c *api.Config) {
		c.WriteTimeout = 100 * time.Millisecond
		c.Service = scripted{Service: c.Service, events: func(ctx context.Context, _ service.Cursor, yield func(service.Event) error) error {
			for seq := int64(1); ; seq++ {
				e := event(seq, 0)
				e.Target = strings.Repeat("x", 10_000)
				if err := yield(e); err != nil {
					stopped <- err
					return err
				}
			}
		}}
	})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.server.Listener.Addr().String())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	defer func() { _ = conn.Close() }()
	request := "GET /v1/runs/" + string(automation.NewID[automation.RunID]()) + "/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + f.submitter + "\r\n\r\n"
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatalf("write: %v", err)
	}
	select {
	case <-stopped:
	case <-time.After(30 * time.Second):
		t.Fatal("the stream of a reader that reads nothing went on")
	}
}

func TestAReaderThatLeavesStopsItsStream(t *testing.T) {
	t.Parallel()
	stopped := make(chan struct{})
	f := setup(t, func(c *api.Config) {
		c.Service = scripted{Service: c.Service, events: func(ctx context.Context, _ service.Cursor, _ func(service.Event) error) error {
			<-ctx.Done()
			close(stopped)
			return context.Cause(ctx)
		}}
	})
	ctx, cancel := context.WithCancel(t.Context())
	f.events(ctx, "", nil)
	cancel()
	select {
	case <-stopped:
	case <-time.After(30 * time.Second):
		t.Fatal("the stream of a reader that left went on")
	}
}

// A panic while a run is followed ends that stream, and nothing else.
func TestAPanicOfAStreamEndsThatStreamAlone(t *testing.T) {
	t.Parallel()
	var log safeBuffer
	f := setup(t, func(c *api.Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.Service = scripted{Service: c.Service, events: func(_ context.Context, _ service.Cursor, yield func(service.Event) error) error {
			if err := yield(event(1, 0)); err != nil {
				return err
			}
			panic("a fault")
		}}
	})
	body, _ := io.ReadAll(f.events(t.Context(), "", nil).Body)
	if !strings.Contains(string(body), "id: 1.0\n") || strings.Contains(string(body), "event: end") || strings.Contains(string(body), "a fault") {
		t.Errorf("got %q, want the event and no end", body)
	}
	if !strings.Contains(log.String(), "a fault") {
		t.Errorf("the log has no cause: %s", log.String())
	}
	if got := f.do(call{method: "GET", path: "/healthz"}); got.status != http.StatusOK {
		t.Errorf("then: got %d, want 200", got.status)
	}
}
