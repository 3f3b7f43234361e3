package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"opsconductor.dev/host/service"
)

func addLines(a *API) {
	a.schemas().Schema(reflect.TypeFor[service.Line](), true, "")
	register(a, operation{
		id: "follow-logs", method: http.MethodGet, path: "/v1/runs/{run}/logs/stream", tag: "runs", access: anyToken, media: mediaEvents,
		summary: "Follow what a run's attempts log",
		about: "A server-sent event stream. The lines that there are come first, then new ones, about a second after they were logged. " +
			"Each is an event line with data as JSON (schema Line); those of an attempt come in order, and step, item, attempt and n name a line: " +
			"the stream begins anew at each connection, and a reader that comes back skips what it has. " +
			"The last event is end, with the run's final state (schema End); then the stream closes. " +
			"A comment is sent every 15 seconds. A reader that is too slow is dropped.",
	}, a.followLogs)
}

func (a *API) followLogs(ctx context.Context, in *struct {
	RunRef
	Step string `query:"step" maxLength:"128" doc:"Only attempts of the step with this id."`
},
) (*rawOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	// What can be wrong is said before the stream begins.
	if err := a.config.Service.CheckLines(ctx, Principal(ctx), id, in.Step); err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return &rawOut{Body: func(hc huma.Context) {
		a.follow(ctx, a.newStream(hc), id, func(ctx context.Context, send func(sent) error) error {
			return a.config.Service.Lines(ctx, Principal(ctx), id, in.Step, func(l service.Line) error {
				return send(sent{kind: "line", data: l})
			})
		})
	}}, nil
}
