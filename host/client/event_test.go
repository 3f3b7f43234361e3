package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/client"
)

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

// stream serves a run of n events, one a sequence number, and breaks off where a
// test says.
type stream struct {
	n     int
	cut   func(connection, seq int) string // after the event: "", "cut", "half" or "hang"
	after func(connection int) int         // status of a connection; 0: 200

	mu    sync.Mutex
	lasts []string
}

func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.lasts = append(s.lasts, r.Header.Get("Last-Event-ID"))
	connection := len(s.lasts)
	s.mu.Unlock()
	if s.after != nil && s.after(connection) != 0 {
		w.WriteHeader(s.after(connection))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	from := 0
	_, _ = fmt.Sscanf(r.Header.Get("Last-Event-ID"), "%d", &from)
	_, _ = fmt.Fprint(w, ": hello\r\n\r\nretry: 10\nunknown: x\n\nevent: later\ndata: {}\n\n")
	for seq := from + 1; seq <= s.n; seq++ {
		_, _ = fmt.Fprintf(w, "id: %d.0\nevent: item\ndata: {\"seq\":%d,\ndata: \"kind\":\"item\"}\n\n", seq, seq)
		switch s.cut(connection, seq) {
		case "cut":
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "half":
			_, _ = fmt.Fprintf(w, "id: %d.0\nevent: item\ndata: {\"seq\":%d", seq+1, seq+1)
			return
		case "hang":
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
	}
	_, _ = fmt.Fprint(w, "event: end\ndata: {\"run\":\"r\",\"state\":\"succeeded\",\"seq\":9}\n\n")
}

func (s *stream) read(t *testing.T, quiet time.Duration, yield func(client.Event) error) (client.End, string, error) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{URL: server.URL, Backoff: time.Millisecond, Retries: 3, Quiet: quiet})
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	var got []string
	end, err := c.Events(t.Context(), "r", "", func(e client.Event) error {
		got = append(got, e.ID)
		if yield != nil {
			return yield(e)
		}
		return nil
	})
	return end, strings.Join(got, " "), err
}

// However the connection ends, every event comes once and in order.
func TestEventsGoOnWhereTheyBrokeOff(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"cut", "half", "hang"} {
		s := &stream{n: 6, cut: func(connection, seq int) string {
			if connection*2 == seq {
				return how
			}
			return ""
		}}
		end, got, err := s.read(t, 100*time.Millisecond, nil)
		if want := "1.0 2.0 3.0 4.0 5.0 6.0"; err != nil || got != want || end.State != client.RunSucceeded {
			t.Errorf("%s: got %q, %+v, %v, want %q and the end", how, got, end, err, want)
		}
		if got, want := strings.Join(s.lasts, ","), ",2.0,4.0,6.0"; got != want {
			t.Errorf("%s: asked after %q, want %q", how, got, want)
		}
	}
}

func TestEventsGiveUpWithoutProgress(t *testing.T) {
	t.Parallel()
	s := &stream{n: 6, cut: func(_, seq int) string {
		if seq == 1 {
			return "cut"
		}
		return ""
	}, after: func(connection int) int {
		if connection > 1 {
			return http.StatusServiceUnavailable
		}
		return 0
	}}
	_, got, err := s.read(t, time.Second, nil)
	if client.CodeOf(err) != client.CodeUnavailable || got != "1.0" || len(s.lasts) != 4 {
		t.Errorf("got %q, %v after %d connections, want unavailable after 4", got, err, len(s.lasts))
	}
}

func TestEventsStopForTheirReader(t *testing.T) {
	t.Parallel()
	s := &stream{n: 6, cut: func(int, int) string { return "" }}
	enough := errors.New("enough")
	_, got, err := s.read(t, time.Second, func(e client.Event) error {
		if e.Seq == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || got != "1.0 2.0" || len(s.lasts) != 1 {
		t.Errorf("got %q, %v, want the reader's error after two events", got, err)
	}
}

func TestARefusedStreamIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	s := &stream{after: func(int) int { return http.StatusNotFound }}
	_, _, err := s.read(t, time.Second, nil)
	if client.CodeOf(err) != client.CodeNotFound || len(s.lasts) != 1 {
		t.Errorf("got %v after %d connections, want not_found after one", err, len(s.lasts))
	}
}
