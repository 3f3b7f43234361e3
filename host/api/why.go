package api

import (
	"context"
	"net/http"

	"opsconductor.dev/host/service"
)

// Waiting is what the items of a run wait for.
type Waiting struct {
	Items []service.Reason `json:"items" nullable:"false" doc:"By step; none when the run has ended."`
}

type waitingOut struct{ Body Waiting }

func addWhy(a *API) {
	register(a, operation{
		id: "why-run", method: http.MethodGet, path: "/v1/runs/{run}/why", tag: "runs", access: anyToken,
		summary: "Say what each item that has not ended waits for",
		about:   "The scheduler's own answer: steps that have not ended, a limit or a rate with what it counts, a maintenance window, a task queue without a free slot, a backoff, a pause.",
	}, a.why)
}

func (a *API) why(ctx context.Context, in *RunRef) (*waitingOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	reasons, err := a.config.Service.Why(ctx, Principal(ctx), id)
	if reasons == nil {
		reasons = []service.Reason{}
	}
	return &waitingOut{Body: Waiting{Items: reasons}}, err //nolint:wrapcheck // problemOf reads the service's error
}
