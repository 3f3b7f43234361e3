package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// logging has one run whose lines a test decides.
type logging struct {
	scripted
	lines func(ctx context.Context, step string, yield func(service.Line) error) error
}

func (logging) CheckLines(_ context.Context, _ automation.Principal, _ automation.RunID, step string) error {
	if step == "none" {
		return automation.Errorf(automation.CodeUnknownName, "the run has no such step")
	}
	return nil
}

// Logs reads them, for which the stream has no use.
func (logging) Logs(context.Context, automation.Principal, automation.RunID, service.LogQuery) (service.LogPage, error) {
	return service.LogPage{}, automation.Errorf(automation.CodeInternal, "the run's logs were read")
}

func (s logging) Lines(ctx context.Context, _ automation.Principal, _ automation.RunID, step string, yield func(service.Line) error) error {
	return s.lines(ctx, step, yield)
}

func (f *fixture) lines(ctx context.Context, query string) (status int, body string) {
	f.t.Helper()
	url := f.server.URL + "/v1/runs/" + string(automation.NewID[automation.RunID]()) + "/logs/stream" + query
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.submitter)
	res, err := f.server.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// TestLinesAreServerSentAndEnd: each line is an event, between comments while there
// are none, and the run's end is the last.
func TestLinesAreServerSentAndEnd(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *api.Config) {
		c.Heartbeat = 20 * time.Millisecond
		c.Service = logging{scripted: scripted{Service: c.Service}, lines: func(_ context.Context, step string, yield func(service.Line) error) error {
			at := automation.LogLine{At: time.Unix(100, 0).UTC(), Level: "info", Message: "one\ntwo " + step}
			if err := yield(service.Line{Step: "check", Item: 3, Target: "web", Attempt: 2, N: 7, LogLine: at}); err != nil {
				return err
			}
			<-time.After(200 * time.Millisecond)
			return nil
		}}
	})
	status, body := f.lines(t.Context(), "?step=check")
	want := `event: line` + "\n" + `data: {"step":"check","item":3,"target":"web","attempt":2,"n":7,"at":"1970-01-01T00:01:40Z","level":"info","message":"one\ntwo check"}` + "\n\n"
	if status != http.StatusOK || !strings.Contains(body, want) || !strings.Contains(body, ": still here\n") {
		t.Errorf("got %d %q; want the line and comments", status, body)
	}
	if i, end := strings.Index(body, "event: line"), strings.Index(body, "event: end\ndata: {\"run\":\""); i < 0 || end < i || !strings.HasSuffix(body, "\n\n") {
		t.Errorf("got %q; want the end behind the line", body)
	}
	if status, body = f.lines(t.Context(), "?step=none"); status == http.StatusOK || !strings.Contains(body, "no such step") {
		t.Errorf("an unknown step: got %d %q; want it refused before the stream begins", status, body)
	}
}
