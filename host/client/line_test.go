package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/client"
)

// TestLinesGoOnWhereTheyBrokeOff: the stream begins anew at each connection, and every
// line comes once.
func TestLinesGoOnWhereTheyBrokeOff(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(connections.Add(1))
		if r.URL.Path != "/v1/runs/r/logs/stream" || r.URL.Query().Get("step") != "s" {
			t.Errorf("asked for %s", r.URL)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range min(n, 4) * 2 {
			item := i % 2
			_, _ = fmt.Fprintf(w, "event: line\ndata: {\"step\":\"s\",\"item\":%d,\"attempt\":1,\"n\":%d,\"message\":\"m\"}\n\n", item, i/2+1)
		}
		if n == 3 {
			_, _ = fmt.Fprint(w, "event: line\ndata: {\"step\":\"s\",\"it")
		}
		if n == 4 {
			_, _ = fmt.Fprint(w, "event: later\ndata: {}\n\nevent: end\ndata: {\"run\":\"r\",\"state\":\"succeeded\"}\n\n")
		}
	}))
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{URL: server.URL, Backoff: time.Millisecond, Retries: 2, Quiet: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	end, err := c.Lines(t.Context(), "r", "s", func(l client.Line) error {
		got = append(got, fmt.Sprintf("%d.%d", l.Item, l.N))
		return nil
	})
	want := []string{"0.1", "1.1", "0.2", "1.2", "0.3", "1.3", "0.4", "1.4"}
	if err != nil || end.State != client.RunSucceeded || !slices.Equal(got, want) {
		t.Errorf("got %q, %+v, %v; want %q and the end", got, end, err, want)
	}
	enough := errors.New("enough")
	connections.Store(0)
	_, err = c.Lines(t.Context(), "r", "s", func(client.Line) error { return enough })
	if !errors.Is(err, enough) || connections.Load() != 1 {
		t.Errorf("got %v after %d connections; want the reader's error after one", err, connections.Load())
	}
}
