package api

import (
	"context"
	"net/http"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// BackfillRequest is the body of a backfill.
type BackfillRequest struct {
	From   string `json:"from" format:"date-time" maxLength:"64" doc:"The span's beginning, which is in it."`
	To     string `json:"to" format:"date-time" maxLength:"64" doc:"The span's end, which is not in it; now at the latest."`
	Max    int    `json:"max,omitempty" minimum:"1" maximum:"1000" doc:"An error when the schedule has more times in the span than that. Left out: 1000."`
	DryRun bool   `json:"dry_run,omitempty" doc:"Tell the times, and submit nothing."`
	Again  bool   `json:"again,omitempty" doc:"Submit also for times that have a run. It needs an Idempotency-Key: a repeated request makes no further runs."`
}

func (r BackfillRequest) toService(key string) (service.BackfillRequest, error) {
	out := service.BackfillRequest{Max: r.Max, DryRun: r.DryRun, Again: r.Again, Key: key}
	var faults automation.Errors
	for _, f := range []struct {
		pointer, text string
		to            *time.Time
	}{{"/from", r.From, &out.From}, {"/to", r.To, &out.To}} {
		at, err := time.Parse(time.RFC3339Nano, f.text)
		if err != nil {
			faults = append(faults, &automation.Error{
				Code: automation.CodeInvalid, Pointer: f.pointer, Message: "that is not a time", Allowed: "RFC 3339, like 2026-03-01T00:00:00Z or 2026-03-01T01:00:00+01:00",
			})
		}
		*f.to = at
	}
	return out, faults.OrNil()
}

// BackfillTime is one time of a backfill.
type BackfillTime struct {
	At      time.Time        `json:"at" doc:"The time of the schedule, in UTC."`
	Run     automation.RunID `json:"run_id,omitempty" doc:"The run of that time; absent for one that is due, and for one that fired before runs were recorded by their times."`
	Outcome string           `json:"outcome" enum:"submitted,fired,due" doc:"It got a run by this request; it has had one (the same request before, say); it would get one (dry_run)."`
}

// Backfill is what a backfill did.
type Backfill struct {
	Items []BackfillTime `json:"items" nullable:"false" doc:"The times in the span, the earliest first."`
}

type backfillOut struct{ Body Backfill }

func addBackfill(a *API) {
	register(a, operation{
		id: "backfill-schedule", method: http.MethodPost, path: "/v1/schedules/{schedule}/backfill", tag: "schedules", access: adminToken,
		body: jsonBody[BackfillRequest](), summary: "Submit the runs of times that are over",
		about: "Each time gets one run, however often this is asked: repeat a request that broke off. The runs are accepted in the order of their times and do not wait for each other, whatever the schedule's overlap policy says.",
	}, a.backfillSchedule)
}

func (a *API) backfillSchedule(ctx context.Context, in *struct {
	ScheduleRef
	Idempotency
},
) (*backfillOut, error) {
	r, err := decode[BackfillRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	asked, err := r.toService(in.Key)
	if err != nil {
		return nil, err
	}
	times, err := a.config.Service.Backfill(ctx, Principal(ctx), in.Schedule, asked)
	out := &backfillOut{Body: Backfill{Items: make([]BackfillTime, len(times))}}
	for i, t := range times {
		out.Body.Items[i] = BackfillTime{At: t.At, Run: t.Run, Outcome: string(t.Outcome)}
	}
	return out, err //nolint:wrapcheck // problemOf reads the service's error
}
