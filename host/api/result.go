package api

import (
	"context"
	"net/http"

	"opsconductor.dev/host/service"
)

// ItemList is a page of a run's items, and the sequence number that it reflects.
type ItemList struct {
	Items      []service.Item `json:"items" nullable:"false" doc:"Items by step and index."`
	NextCursor string         `json:"next_cursor,omitempty" doc:"Send it as cursor to get the next page; absent on the last page."`
	Seq        int64          `json:"seq" doc:"The sequence number of the log that the page reflects: events after it are news."`
}

// StepList is a run's steps, and the sequence number that they reflect.
type StepList struct {
	Items []service.Step `json:"items" nullable:"false" doc:"All steps, in the plan's order."`
	Seq   int64          `json:"seq" doc:"The sequence number of the log that the list reflects: events after it are news."`
}

// LogList is a page of what a run's attempts logged.
type LogList struct {
	Items      []service.AttemptLog `json:"items" nullable:"false" doc:"What attempts logged, by step, item and attempt."`
	NextCursor string               `json:"next_cursor,omitempty" doc:"Send it as cursor to get the next page; absent on the last page."`
}

// FailureList is why items of a run ended badly, and the sequence number that it
// reflects.
type FailureList struct {
	Items []service.Failure `json:"items" nullable:"false" doc:"Groups of items that failed for the same cause, the largest first; at most 100."`
	Total int               `json:"total" doc:"How many items failed or are unknown, those of groups that were left out too."`
	Seq   int64             `json:"seq" doc:"The sequence number of the log that the list reflects: events after it are news."`
}

type failuresOut struct{ Body FailureList }

type itemsOut struct{ Body ItemList }

type stepsOut struct{ Body StepList }

type logsOut struct{ Body LogList }

func addResults(a *API) {
	const tag = "runs"
	register(a, operation{
		id: "list-steps", method: http.MethodGet, path: "/v1/runs/{run}/steps", tag: tag, access: anyToken,
		summary: "List a run's steps with their state and the number of their items by state",
	}, a.listSteps)
	register(a, operation{
		id: "list-items", method: http.MethodGet, path: "/v1/runs/{run}/items", tag: tag, access: anyToken,
		summary: "List a run's items with their state and outcome",
	}, a.listItems)
	register(a, operation{
		id: "list-failures", method: http.MethodGet, path: "/v1/runs/{run}/failures", tag: tag, access: anyToken,
		summary: "List why items of a run failed, grouped by the cause",
		about:   "A group is the items of a step whose errors have one code and messages that differ in names, addresses and numbers alone.",
	}, a.listFailures)
	register(a, operation{
		id: "list-logs", method: http.MethodGet, path: "/v1/runs/{run}/logs", tag: tag, access: anyToken,
		summary: "Read what a run's attempts have logged so far",
		about:   "An attempt at work has its lines of up to about a second ago, marked partial; so has, for good, one that was lost with its host.",
	}, a.listLogs)
}

func (a *API) listSteps(ctx context.Context, in *RunRef) (*stepsOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	steps, seq, err := a.config.Service.Steps(ctx, Principal(ctx), id)
	if steps == nil {
		steps = []service.Step{}
	}
	return &stepsOut{Body: StepList{Items: steps, Seq: seq}}, err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) listFailures(ctx context.Context, in *RunRef) (*failuresOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	f, err := a.config.Service.Failures(ctx, Principal(ctx), id)
	if f.Groups == nil {
		f.Groups = []service.Failure{}
	}
	return &failuresOut{Body: FailureList{Items: f.Groups, Total: f.Total, Seq: f.Seq}}, err //nolint:wrapcheck // problemOf reads it
}

func (a *API) listItems(ctx context.Context, in *struct {
	RunRef
	Paging
	Step string `query:"step" maxLength:"128" doc:"Only items of the step with this id."`
},
) (*itemsOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	page, err := a.config.Service.Items(ctx, Principal(ctx), id, service.ItemQuery{Step: in.Step, After: in.Cursor, Limit: in.Limit})
	if page.Items == nil {
		page.Items = []service.Item{}
	}
	return &itemsOut{Body: ItemList{Items: page.Items, NextCursor: page.Next, Seq: page.Seq}}, err //nolint:wrapcheck // problemOf reads it
}

func (a *API) listLogs(ctx context.Context, in *struct {
	RunRef
	Paging
	Step string `query:"step" maxLength:"128" doc:"Only attempts of the step with this id."`
},
) (*logsOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	page, err := a.config.Service.Logs(ctx, Principal(ctx), id, service.LogQuery{Step: in.Step, After: in.Cursor, Limit: in.Limit})
	if page.Attempts == nil {
		page.Attempts = []service.AttemptLog{}
	}
	return &logsOut{Body: LogList{Items: page.Attempts, NextCursor: page.Next}}, err //nolint:wrapcheck // problemOf reads it
}
