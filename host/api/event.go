package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"golang.org/x/sync/errgroup"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

const (
	mediaEvents = "text/event-stream"
	// streamBuffer is how many events may wait for the writer. The producer waits
	// when it is full: a stream costs that much memory and no more.
	streamBuffer = 256
)

// End is the data of the event end, the last one of a stream.
type End struct {
	Run   automation.RunID    `json:"run"`
	State automation.RunState `json:"state"`
	Seq   int64               `json:"seq"`
}

func addEvents(a *API) {
	a.schemas().Schema(reflect.TypeFor[service.Event](), true, "")
	a.schemas().Schema(reflect.TypeFor[End](), true, "")
	register(a, operation{
		id: "run-events", method: http.MethodGet, path: "/v1/runs/{run}/events", tag: "runs", access: anyToken, media: mediaEvents,
		summary: "Follow what happens in a run",
		about: "A server-sent event stream. Events after the position are replayed, then new ones follow. " +
			"Each has id SEQ.INDEX, event run or item, and data as JSON (schema Event). The last is end, with the run's final state (schema End); then the stream closes. " +
			"A comment is sent every 15 seconds. A reader that is too slow is dropped, and may come back with Last-Event-ID.",
	}, a.runEvents)
}

func (a *API) runEvents(ctx context.Context, in *struct {
	RunRef
	After       string `query:"after" maxLength:"64" doc:"Begin after this position: the seq of a snapshot, or the id of an event. Without it, at the run's beginning."`
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last event that was seen; it goes before after."`
},
) (*rawOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	text := in.After
	if in.LastEventID != "" {
		text = in.LastEventID
	}
	after, err := service.ParseCursor(text)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	if _, err := a.config.Service.Run(ctx, Principal(ctx), id); err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return &rawOut{Body: func(hc huma.Context) {
		a.follow(ctx, a.newStream(hc), id, func(ctx context.Context, send func(sent) error) error {
			return a.config.Service.Events(ctx, Principal(ctx), id, after, func(e service.Event) error {
				return send(sent{id: e.Cursor().String(), kind: e.Kind, data: e})
			})
		})
	}}, nil
}

// sent is one event of a stream.
type sent struct {
	id, kind string
	data     any
}

// producer calls send with the events of a stream until there are no more; it
// returns send's error as it is.
type producer func(ctx context.Context, send func(sent) error) error

// follow sends a stream until the run has ended, the reader has gone or a write took
// too long.
func (a *API) follow(ctx context.Context, s *stream, id automation.RunID, p producer) {
	if err := a.pump(ctx, s, id, p); err != nil {
		a.streamEnded(ctx, id, err)
	}
}

// pump runs the producer (the service, which replays and then follows) beside the
// writer.
func (a *API) pump(ctx context.Context, s *stream, id automation.RunID, p producer) error {
	both, stop := context.WithCancelCause(ctx)
	events := make(chan sent, streamBuffer)
	var group errgroup.Group
	group.Go(func() error {
		defer close(events)
		return produce(both, p, events)
	})
	defer func() { // also when the writer panics
		stop(nil)
		_ = group.Wait()
	}()
	if err := s.write(both, events); err != nil {
		return err
	}
	if err := group.Wait(); err != nil {
		return err
	}
	run, err := a.config.Service.Run(ctx, Principal(ctx), id)
	if err != nil {
		return err
	}
	return s.last(End{Run: id, State: run.State, Seq: run.Seq})
}

// produce hands the producer's events to the writer, and waits when it is behind.
// A panic becomes an error: it would end the process from a goroutine of its own.
func produce(ctx context.Context, p producer, events chan<- sent) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("following the run panicked: %v\n%s", cause, stack())
		}
	}()
	return p(ctx, func(e sent) error {
		select {
		case events <- e:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// streamEnded logs why a stream ended before its run: a reader that went away is
// not worth a line.
func (a *API) streamEnded(ctx context.Context, id automation.RunID, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	a.config.Log.WarnContext(ctx, "an event stream was cut",
		slog.String("request_id", requestID(ctx)), slog.String("run_id", string(id)), slog.Any("cause", err))
}

// stream writes server-sent events (HTML Living Standard section 9.2). One
// goroutine writes. Every write has a deadline.
type stream struct {
	w         http.ResponseWriter
	rc        *http.ResponseController
	heartbeat time.Duration
	timeout   time.Duration
	buf       bytes.Buffer
}

func (a *API) newStream(hc huma.Context) *stream {
	_, w := humachi.Unwrap(hc)
	h := w.Header()
	h.Set("Content-Type", mediaEvents)
	h.Set("X-Accel-Buffering", "no") // a proxy that buffers would hold events back
	w.WriteHeader(http.StatusOK)
	return &stream{w: w, rc: http.NewResponseController(w), heartbeat: a.config.Heartbeat, timeout: a.config.WriteTimeout}
}

// write writes events until the channel is closed, and a comment when nothing
// was written for a heartbeat.
func (s *stream) write(ctx context.Context, events <-chan sent) error {
	s.buf.WriteString(": opsconductor\n\n")
	if err := s.flush(); err != nil {
		return err
	}
	tick := time.NewTicker(s.heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			s.buf.WriteString(": still here\n\n")
		case e, open := <-events:
			if !open {
				return nil
			}
			if err := s.add(e, events); err != nil {
				return err
			}
			tick.Reset(s.heartbeat)
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
}

// add formats an event and those that wait behind it, so that a replay is not one
// write an event.
func (s *stream) add(e sent, events <-chan sent) error {
	for {
		if err := s.format(e); err != nil {
			return err
		}
		if s.buf.Len() > 32<<10 {
			return nil
		}
		select {
		case next, open := <-events:
			if !open {
				return nil // the next receive tells
			}
			e = next
		default:
			return nil
		}
	}
}

func (s *stream) last(e End) error {
	if err := s.format(sent{kind: "end", data: e}); err != nil {
		return err
	}
	return s.flush()
}

// format writes one event. JSON has no line breaks, so data is one line.
func (s *stream) format(e sent) error {
	if e.id != "" {
		s.buf.WriteString("id: " + e.id + "\n")
	}
	s.buf.WriteString("event: " + e.kind + "\ndata: ")
	if err := json.NewEncoder(&s.buf).Encode(e.data); err != nil {
		return fmt.Errorf("encode event %s: %w", e.id, err)
	}
	s.buf.WriteString("\n")
	return nil
}

func (s *stream) flush() error {
	defer s.buf.Reset()
	if err := s.rc.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return fmt.Errorf("set the deadline of a write: %w", err)
	}
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := s.rc.Flush(); err != nil {
		return fmt.Errorf("send events: %w", err)
	}
	return nil
}
