package api

import (
	"context"
	"net/http"

	"opsconductor.dev/host/automation"
)

// WorkflowRequest is the JSON body that stores a workflow.
type WorkflowRequest struct {
	Definition Definition `json:"definition"`
}

// WorkflowRef names a stored workflow in a path.
type WorkflowRef struct {
	Workflow string `path:"workflow" maxLength:"96" doc:"NAME@VERSION, or NAME for the newest active version."`
}

type workflowOut struct {
	Status   int    `json:"-"`
	Location string `header:"Location" doc:"Where the version is."`
	Body     automation.Workflow
}

func answerWorkflow(w automation.Workflow, status int) *workflowOut {
	return &workflowOut{Status: status, Location: "/v1/workflows/" + w.Ref(), Body: w}
}

func addWorkflows(a *API) {
	const tag, all, one = "workflows", "/v1/workflows", "/v1/workflows/{workflow}"
	register(a, operation{
		id: "list-workflows", method: http.MethodGet, path: all, tag: tag, access: anyToken,
		summary: "List stored workflows by name, the newest version first", about: "Without their definitions.",
	}, a.listWorkflows)
	register(a, operation{
		id: "store-workflow", method: http.MethodPost, path: all, tag: tag, access: adminToken, status: http.StatusCreated,
		body: definitionBody[WorkflowRequest](), summary: "Check a definition and store it as the next version of its name", replays: true,
		about: "A stored version is never changed. 200 with the stored version when the same bytes are stored again. " +
			"With Content-Type application/yaml the body is the definition itself.",
	}, a.storeWorkflow)
	register(a, operation{
		id: "get-workflow", method: http.MethodGet, path: one, tag: tag, access: anyToken, summary: "Read a stored workflow, with its definition",
	}, a.getWorkflow)
	register(a, operation{
		id: "retire-workflow", method: http.MethodPost, path: one + "/retire", tag: tag, access: adminToken,
		summary: "Let no new plan be made of a stored version", about: "Plans that pin it go on. 409 while an active workflow includes it. The request has no body.",
	}, a.retireWorkflow)
}

func (a *API) listWorkflows(ctx context.Context, in *struct {
	Paging
	Name string `query:"name" maxLength:"64" doc:"Only versions of this workflow."`
},
) (*listOut[automation.Workflow], error) {
	name := "workflows:" + in.Name
	page, err := in.page(name)
	if err != nil {
		return nil, err
	}
	workflows, err := a.config.Service.Workflows(ctx, Principal(ctx), in.Name, page)
	return listed(name, in.Limit, workflows, automation.Workflow.Ref), err
}

func (a *API) storeWorkflow(ctx context.Context, in *Idempotency) (*workflowOut, error) {
	body := payloadOf(ctx)
	definition := body.raw
	if body.media != mediaYAML {
		r, err := decode[WorkflowRequest](ctx, a)
		if err != nil {
			return nil, err
		}
		definition = r.Definition.text
	}
	w, created, err := a.config.Service.StoreWorkflow(ctx, Principal(ctx), definition, in.Key)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerWorkflow(w, createdStatus(created, http.StatusCreated)), nil
}

func (a *API) getWorkflow(ctx context.Context, in *WorkflowRef) (*workflowOut, error) {
	w, err := a.config.Service.Workflow(ctx, Principal(ctx), in.Workflow)
	return answerWorkflow(w, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) retireWorkflow(ctx context.Context, in *WorkflowRef) (*workflowOut, error) {
	w, err := a.config.Service.RetireWorkflow(ctx, Principal(ctx), in.Workflow)
	return answerWorkflow(w, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}
