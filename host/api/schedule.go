package api

import (
	"context"
	"net/http"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// ScheduleRequest is the body of a schedule's creation and update. An update says
// all of it: what is left out takes its default.
type ScheduleRequest struct {
	Name       string     `json:"name" doc:"Unique in the tenant."`
	Definition Definition `json:"definition"`
	Inputs     Inputs     `json:"inputs,omitempty"`
	Cron       string     `json:"cron,omitempty" doc:"Five fields (minute, hour, day of month, month, day of week), or six with the second first. Instead of interval."`
	Interval   string     `json:"interval,omitempty" doc:"A distance like 15m, counted from the schedule's creation. Instead of cron."`
	TimeZone   string     `json:"time_zone,omitempty" doc:"IANA name of the zone that cron is read in; left out: UTC."`
	CatchUp    string     `json:"catch_up,omitempty" enum:"skip,one,all" doc:"What becomes of times that no host was there for (more than a minute late): no run, one run for all of them, or a run each, the newest 100 at most. Left out: skip."`
	Overlap    string     `json:"overlap,omitempty" enum:"skip,queue,allow,cancel" doc:"When the last run is still open: no new run, a new one after its end, a new one all the same, or a cancel is asked of the last one first. Left out: skip."`
	Jitter     string     `json:"jitter,omitempty" doc:"How much later than its time a run is submitted at the most, like 30s; always the same for a time. Never as long as the time to the next one."`
}

func (r ScheduleRequest) toService() service.ScheduleRequest {
	return service.ScheduleRequest{
		Name: r.Name, Definition: string(r.Definition.text), Inputs: r.Inputs.raw, Cron: r.Cron, Interval: r.Interval, TimeZone: r.TimeZone,
		CatchUp: automation.CatchUp(r.CatchUp), Overlap: automation.Overlap(r.Overlap), Jitter: r.Jitter,
	}
}

// ScheduleRef names a schedule in a path.
type ScheduleRef struct {
	Schedule string `path:"schedule" maxLength:"256" doc:"Identifier or name of the schedule."`
}

type scheduleOut struct {
	Status   int    `json:"-"`
	ETag     string `header:"ETag" doc:"The version, for If-Match. Firing does not change it."`
	Location string `header:"Location" doc:"Where the schedule is."`
	Body     automation.Schedule
}

func answerSchedule(s automation.Schedule, status int) *scheduleOut {
	return &scheduleOut{Status: status, ETag: etag(s.Version), Location: "/v1/schedules/" + string(s.ID), Body: s}
}

// NextTimes is the next times of a schedule.
type NextTimes struct {
	Items []time.Time `json:"items" nullable:"false" doc:"The times, in UTC and without jitter; none while the schedule is paused."`
}

type nextOut struct{ Body NextTimes }

func addSchedules(a *API) {
	const tag, one = "schedules", "/v1/schedules/{schedule}"
	register(a, operation{
		id: "list-schedules", method: http.MethodGet, path: "/v1/schedules", tag: tag, access: anyToken, summary: "List schedules by name",
	}, a.listSchedules)
	register(a, operation{
		id: "create-schedule", method: http.MethodPost, path: "/v1/schedules", tag: tag, access: adminToken, status: http.StatusCreated,
		body: jsonBody[ScheduleRequest](), summary: "Create a schedule", replays: true,
		about: "Its definition has to give a plan as things are; it is planned again at each time. 200 with the schedule of the first time when the Idempotency-Key repeats.",
	}, a.createSchedule)
	register(a, operation{id: "get-schedule", method: http.MethodGet, path: one, tag: tag, access: anyToken, summary: "Read a schedule"}, a.getSchedule)
	register(a, operation{
		id: "update-schedule", method: http.MethodPut, path: one, tag: tag, access: adminToken, body: jsonBody[ScheduleRequest](),
		summary: "Replace what is known of a schedule", about: "Whether it is paused stays.",
	}, a.updateSchedule)
	register(a, operation{
		id: "delete-schedule", method: http.MethodDelete, path: one, tag: tag, access: adminToken, status: http.StatusNoContent,
		summary: "Delete a schedule", about: "Runs that it submitted stay.",
	}, a.deleteSchedule)
	register(a, operation{
		id: "pause-schedule", method: http.MethodPost, path: one + "/pause", tag: tag, access: adminToken, summary: "Stop a schedule from firing",
		about: "Times that pass while it is paused get no run, whatever its catch-up policy.",
	}, a.askSchedule(Schedules.PauseSchedule))
	register(a, operation{
		id: "resume-schedule", method: http.MethodPost, path: one + "/resume", tag: tag, access: adminToken, summary: "Let a paused schedule fire again",
	}, a.askSchedule(Schedules.ResumeSchedule))
	register(a, operation{
		id: "next-schedule-times", method: http.MethodGet, path: one + "/next", tag: tag, access: anyToken, summary: "Tell the next times of a schedule",
	}, a.nextTimes)
	addBackfill(a)
	addTriggers(a)
}

func (a *API) listSchedules(ctx context.Context, in *Paging) (*listOut[automation.Schedule], error) {
	page, err := in.page("schedules")
	if err != nil {
		return nil, err
	}
	schedules, err := a.config.Service.Schedules(ctx, Principal(ctx), page)
	return listed("schedules", in.Limit, schedules, func(s automation.Schedule) string { return s.Name }), err
}

func (a *API) createSchedule(ctx context.Context, in *Idempotency) (*scheduleOut, error) {
	r, err := decode[ScheduleRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	schedule, created, err := a.config.Service.CreateSchedule(ctx, Principal(ctx), r.toService(), in.Key)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerSchedule(schedule, createdStatus(created, http.StatusCreated)), nil
}

func (a *API) getSchedule(ctx context.Context, in *ScheduleRef) (*scheduleOut, error) {
	schedule, err := a.config.Service.Schedule(ctx, Principal(ctx), in.Schedule)
	return answerSchedule(schedule, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) updateSchedule(ctx context.Context, in *struct {
	ScheduleRef
	Precondition
},
) (*scheduleOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := decode[ScheduleRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	schedule, err := a.config.Service.UpdateSchedule(ctx, Principal(ctx), in.Schedule, r.toService(), version)
	return answerSchedule(schedule, http.StatusOK), changed(err, version, a.scheduleVersion(ctx, in.Schedule))
}

func (a *API) deleteSchedule(ctx context.Context, in *struct {
	ScheduleRef
	Precondition
},
) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	err = a.config.Service.DeleteSchedule(ctx, Principal(ctx), in.Schedule, version)
	return nil, changed(err, version, a.scheduleVersion(ctx, in.Schedule))
}

type scheduleAskIn struct {
	ScheduleRef
	OptionalPrecondition
}

// askSchedule answers what pauses or resumes a schedule.
func (a *API) askSchedule(
	use func(s Schedules, ctx context.Context, p automation.Principal, ref string, version int64) (automation.Schedule, error),
) func(context.Context, *scheduleAskIn) (*scheduleOut, error) {
	return func(ctx context.Context, in *scheduleAskIn) (*scheduleOut, error) {
		version, err := in.version()
		if err != nil {
			return nil, err
		}
		schedule, err := use(a.config.Service, ctx, Principal(ctx), in.Schedule, version)
		return answerSchedule(schedule, http.StatusOK), changed(err, version, a.scheduleVersion(ctx, in.Schedule))
	}
}

func (a *API) nextTimes(ctx context.Context, in *struct {
	ScheduleRef
	Count int `query:"count" minimum:"1" maximum:"1000" default:"10" doc:"How many times."`
},
) (*nextOut, error) {
	times, err := a.config.Service.NextTimes(ctx, Principal(ctx), in.Schedule, in.Count)
	if times == nil {
		times = []time.Time{}
	}
	return &nextOut{Body: NextTimes{Items: times}}, err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) scheduleVersion(ctx context.Context, ref string) func() (int64, error) {
	return func() (int64, error) {
		schedule, err := a.config.Service.Schedule(ctx, Principal(ctx), ref)
		return schedule.Version, err //nolint:wrapcheck // problemOf reads the service's error
	}
}
