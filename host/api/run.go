package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

const maxWait = time.Minute

// RunRequest is the JSON body of a run's submission: the hash of a stored plan, or
// a definition that is planned at once.
type RunRequest struct {
	PlanHash   string     `json:"plan_hash,omitempty" doc:"Of a stored plan: exactly it is run. Instead of definition and inputs."`
	Definition Definition `json:"definition,omitempty"`
	Workflow   string     `json:"workflow,omitempty" maxLength:"96" doc:"A stored workflow instead of a definition: NAME@VERSION, or NAME for the newest active version."`
	Inputs     Inputs     `json:"inputs,omitempty"`
}

// CancelRequest is the body of a cancel, a pause or a resume.
type CancelRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"1024" doc:"Why, for the record."`
}

// RunRef names a run in a path.
type RunRef struct {
	Run string `path:"run" maxLength:"64" doc:"The run's identifier."`
}

// id checks the form of a run's identifier. What can be no identifier names no run.
func (r RunRef) id() (automation.RunID, error) {
	id, err := automation.ParseID[automation.RunID](r.Run)
	if err != nil {
		return "", &automation.Error{Code: automation.CodeNotFound, Message: "there is no such run", Suggestion: err.Error()}
	}
	return id, nil
}

type runOut struct {
	Status   int    `json:"-"`
	Location string `header:"Location" doc:"Where the run is."`
	Body     automation.Run
}

func answerRun(r automation.Run, status int) *runOut {
	return &runOut{Status: status, Location: "/v1/runs/" + string(r.ID), Body: r}
}

func addRuns(a *API) {
	const tag, one = "runs", "/v1/runs/{run}"
	register(a, operation{
		id: "submit-run", method: http.MethodPost, path: "/v1/runs", tag: tag, access: anyToken, status: http.StatusAccepted,
		body: definitionBody[RunRequest](), summary: "Submit a run of a stored plan, or of a definition",
		about: "What was accepted is durable. 200 with the run of the first time when the Idempotency-Key repeats. " + definitionForms, replays: true,
	}, a.submitRun)
	register(a, operation{
		id: "list-runs", method: http.MethodGet, path: "/v1/runs", tag: tag, access: anyToken, summary: "List runs, the newest first",
	}, a.listRuns)
	register(a, operation{id: "get-run", method: http.MethodGet, path: one, tag: tag, access: anyToken, summary: "Read a run"}, a.getRun)
	register(a, operation{
		id: "wait-run", method: http.MethodGet, path: one + "/wait", tag: tag, access: anyToken, summary: "Wait until a run has ended",
		about: "Answers with the run as soon as it has ended, or as it is when the timeout is over: look at its state.",
	}, a.waitRun)
	register(a, operation{
		id: "cancel-run", method: http.MethodPost, path: one + "/cancel", tag: tag, access: anyToken, status: http.StatusAccepted,
		body: jsonBody[CancelRequest](), summary: "Ask to cancel a run",
		about: "Nothing new starts, and attempts under way are told to stop. The run has ended when its state says so.",
	}, a.askRun(Control.Cancel))
	register(a, operation{
		id: "pause-run", method: http.MethodPost, path: one + "/pause", tag: tag, access: anyToken, status: http.StatusAccepted,
		body: jsonBody[CancelRequest](), summary: "Ask to pause a run",
		about: "Nothing new starts until it is resumed; attempts under way, waits and the run's timeout go on. It is paused when its state says so.",
	}, a.askRun(Control.Pause))
	register(a, operation{
		id: "resume-run", method: http.MethodPost, path: one + "/resume", tag: tag, access: anyToken, status: http.StatusAccepted,
		body: jsonBody[CancelRequest](), summary: "Ask a paused run to go on",
	}, a.askRun(Control.Resume))
}

func (a *API) submitRun(ctx context.Context, in *Idempotency) (*runOut, error) {
	r, err := a.runRequest(ctx)
	if err != nil {
		return nil, err
	}
	r.Key = in.Key
	run, created, err := a.config.Service.Submit(ctx, Principal(ctx), r)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerRun(run, createdStatus(created, http.StatusAccepted)), nil
}

func (a *API) runRequest(ctx context.Context) (service.SubmitRequest, error) {
	if body := payloadOf(ctx); body.media == mediaYAML {
		return service.SubmitRequest{Definition: body.raw}, nil
	}
	r, err := decode[RunRequest](ctx, a)
	return service.SubmitRequest{
		PlanHash: automation.Digest(r.PlanHash), Definition: r.Definition.text, Workflow: r.Workflow, Inputs: r.Inputs.raw,
	}, err
}

func (a *API) listRuns(ctx context.Context, in *struct {
	Paging
	State  string `query:"state" enum:"awaiting_approval,queued,running,paused,succeeded,failed,cancelled,rejected" doc:"Only runs of this state."`
	Parent string `query:"parent" maxLength:"64" doc:"Only runs of sub-workflows that this run started."`
	Nested bool   `query:"nested" doc:"Runs of sub-workflows too, beside those that somebody submitted."`
},
) (*listOut[automation.Run], error) {
	q := service.RunQuery{State: automation.RunState(in.State), Parent: automation.RunID(in.Parent), Nested: in.Nested}
	if in.Parent != "" {
		if _, err := (RunRef{Run: in.Parent}).id(); err != nil {
			return nil, err
		}
	}
	name := "runs:" + in.State + ":" + in.Parent + ":" + strconv.FormatBool(in.Nested)
	page, err := in.page(name)
	if err != nil {
		return nil, err
	}
	runs, err := a.config.Service.ListRuns(ctx, Principal(ctx), q, page)
	return listed(name, in.Limit, runs, func(r automation.Run) string { return string(r.ID) }), err
}

func (a *API) getRun(ctx context.Context, in *RunRef) (*runOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	run, err := a.config.Service.Run(ctx, Principal(ctx), id)
	return answerRun(run, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) waitRun(ctx context.Context, in *struct {
	RunRef
	Timeout string `query:"timeout" default:"30s" maxLength:"16" doc:"How long to wait at the most, like 30s or 500ms; up to 60s."`
},
) (*runOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	timeout, err := time.ParseDuration(in.Timeout)
	if err != nil || timeout < 0 || timeout > maxWait {
		return nil, &automation.Error{
			Code: automation.CodeInvalid, Message: "the query parameter timeout does not fit", Allowed: "0s to 60s, like 30s or 500ms",
		}
	}
	run, err := a.config.Service.Wait(ctx, Principal(ctx), id, timeout)
	return answerRun(run, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

// ask is a use case that asks the scheduler something about a run.
type ask func(c Control, ctx context.Context, p automation.Principal, id automation.RunID, reason, key string) (automation.Run, error)

type askIn struct {
	RunRef
	Idempotency
}

func (a *API) askRun(use ask) func(context.Context, *askIn) (*runOut, error) {
	return func(ctx context.Context, in *askIn) (*runOut, error) {
		id, err := in.id()
		if err != nil {
			return nil, err
		}
		r, err := decode[CancelRequest](ctx, a)
		if err != nil {
			return nil, err
		}
		run, err := use(a.config.Service, ctx, Principal(ctx), id, r.Reason, in.Key)
		return answerRun(run, http.StatusAccepted), err //nolint:wrapcheck // problemOf reads the service's error
	}
}
