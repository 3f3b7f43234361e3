package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// maxEvent bounds the bytes of one event's line.
const maxEvent = 4 << 20

// errQuiet is the cause of the context of a stream that was silent for too long.
var errQuiet = errors.New("the event stream is silent") //nolint:gochecknoglobals // a sentinel, never assigned

// Events calls yield with every event of a run behind a place, in order, each
// once, until the run has ended, and returns how it ended. after is the ID of an
// event, the Seq of a snapshot as text, or "" for the beginning. When the
// connection breaks or falls silent it is opened again behind the last event that
// yield took. yield's error ends it, and is returned as it is.
func (c *Client) Events(ctx context.Context, id RunID, after string, yield func(Event) error) (End, error) {
	f := &follower{client: c, path: []string{"v1", "runs", segment(string(id)), "events"}, after: after}
	f.take = func(m message) error {
		if m.event != "run" && m.event != "item" {
			return nil
		}
		e := Event{ID: m.id}
		if err := f.decode(m, &e); err != nil {
			return err
		}
		if err := f.given(yield(e)); err != nil {
			return err
		}
		f.after = m.id
		return nil
	}
	return f.run(ctx)
}

// follower is one call of a method that follows a stream, over all its connections.
type follower struct {
	client *Client
	path   []string
	step   string                // of the query; "": none
	after  string                // the ID of the last event that was taken; "": the stream has none
	take   func(m message) error // any event but the last one
	taken  int                   // how many events were handed on
	final  bool                  // the last error is not one to come back from
}

// run follows the stream to its end, and comes back where that may help.
func (f *follower) run(ctx context.Context) (End, error) {
	c := f.client
	for failures := 0; ; failures++ {
		seen := f.taken
		end, err := f.follow(ctx)
		if err == nil {
			return end, nil
		}
		if f.taken != seen {
			failures = 0
		}
		switch {
		case f.final, ctx.Err() == nil && failures >= max(c.retries, 0):
			return End{}, err
		case ctx.Err() != nil:
			return End{}, gone(ctx)
		}
		if sleep(ctx, c.pause(failures)) != nil {
			return End{}, gone(ctx)
		}
	}
}

// given counts an event that was handed on; an error of who took it is the last.
func (f *follower) given(err error) error {
	f.final = f.final || err != nil
	f.taken++
	return err
}

// follow opens the stream once and reads it to its end.
func (f *follower) follow(ctx context.Context) (End, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(f.client.quiet, func() { cancel(errQuiet) })
	defer watch.Stop()
	r := get(f.path...).with("step", f.step)
	r.header = http.Header{"Accept": {"text/event-stream"}}
	if f.after != "" {
		r.header.Set("Last-Event-ID", f.after)
	}
	res, err := f.client.open(ctx, r)
	if err != nil {
		return End{}, f.silent(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxEvent)) // what there is of it
		f.final = again(res) < 0
		return End{}, statusError(res, body)
	}
	end, err := f.read(res.Body, watch)
	if err != nil {
		return End{}, f.silent(ctx, err)
	}
	return end, nil
}

// silent says that a stream was given up because nothing came, where that is why.
func (f *follower) silent(ctx context.Context, err error) error {
	if !f.final && errors.Is(context.Cause(ctx), errQuiet) {
		return &automation.Error{
			Code: automation.CodeUnavailable, Message: "the server's event stream is silent", Err: errQuiet, CanRetry: true,
			Suggestion: "look at what stands between: a proxy may hold the stream back",
		}
	}
	return err
}

// read reads events (HTML Living Standard section 9.2) until the one called end.
// watch runs while it waits for the server, and not while yield works.
func (f *follower) read(body io.Reader, watch *time.Timer) (End, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	var m message
	for lines.Scan() {
		watch.Stop()
		if line := strings.TrimSuffix(lines.Text(), "\r"); line != "" {
			m.field(line)
		} else if end, done, err := f.hand(m); err != nil || done {
			return end, err
		} else {
			m = message{}
		}
		if len(m.data) > maxEvent {
			f.final = true
			return End{}, automation.Errorf(automation.CodeLimit, "the server sent an event larger than %d bytes", maxEvent)
		}
		watch.Reset(f.client.quiet)
	}
	err := lines.Err()
	f.final = errors.Is(err, bufio.ErrTooLong)
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return End{}, &automation.Error{Code: automation.CodeUnavailable, Message: "the event stream broke off", Err: err, CanRetry: true}
}

// hand hands an event on, or reads the last one.
func (f *follower) hand(m message) (end End, done bool, err error) {
	if m.event == "end" {
		err = f.decode(m, &end)
		return end, true, err
	}
	return End{}, false, f.take(m) // also a comment alone, or an event of a later version
}

func (f *follower) decode(m message, v any) error {
	if err := json.Unmarshal([]byte(m.data), v); err != nil {
		f.final = true
		return &automation.Error{Code: automation.CodeProtocol, Message: "the server sent an event that is not JSON", Err: err}
	}
	return nil
}

// message is one server-sent event.
type message struct{ id, event, data string }

// field reads one line of an event. Comments and unknown fields are dropped.
func (m *message) field(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		m.id = value
	case "event":
		m.event = value
	case "data":
		if m.data != "" {
			m.data += "\n"
		}
		m.data += value
	}
}
