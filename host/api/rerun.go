package api

import (
	"context"
	"net/http"

	"opsconductor.dev/host/service"
)

// RerunRequest is the body of a rerun.
type RerunRequest struct {
	Scope string `json:"scope,omitempty" enum:"failed_targets,failed_steps,all" doc:"What runs again: what did not succeed, target by target (the default); steps that did not succeed, whole; or everything."`
}

func addReruns(a *API) {
	register(a, operation{
		id: "rerun-run", method: http.MethodPost, path: "/v1/runs/{run}/rerun", tag: "runs", access: anyToken, status: http.StatusAccepted,
		body: jsonBody[RerunRequest](), summary: "Run again what failed of a run that has ended",
		about: "A new run of the same plan, with rerun_of. What succeeded and depends on nothing that runs again keeps its outcome and is not run. " +
			"200 with the run of the first time when the Idempotency-Key repeats.", replays: true,
	}, a.rerun)
}

func (a *API) rerun(ctx context.Context, in *askIn) (*runOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	r, err := decode[RerunRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	run, created, err := a.config.Service.Rerun(ctx, Principal(ctx), id, service.RerunRequest{Scope: service.RerunScope(r.Scope), Key: in.Key})
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerRun(run, createdStatus(created, http.StatusAccepted)), nil
}
