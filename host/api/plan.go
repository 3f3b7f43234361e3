package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// Definition is a workflow definition in a JSON body: an object, or a string that
// holds YAML or JSON. Its bytes are kept as they came, so that the lines and
// columns of faults are those of the text that the caller wrote.
type Definition struct{ text []byte }

// UnmarshalJSON keeps an object's bytes, and takes a string's text.
func (d *Definition) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err //nolint:wrapcheck // encoding/json adds the place
		}
		d.text = []byte(text)
		return nil
	}
	d.text = bytes.Clone(raw)
	return nil
}

// Schema is the definition's schema: its inside is the workflow language's own
// (schemas/workflow.schema.json), which the planner checks.
func (Definition) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "A workflow definition (schemas/workflow.schema.json): the object itself, or a string of YAML or JSON. " +
			"Pointers, lines and columns of faults count from the definition's first character.",
		OneOf: []*huma.Schema{{Type: huma.TypeObject, AdditionalProperties: true}, {Type: huma.TypeString}},
	}
}

// Inputs is the values of a workflow's inputs: a JSON object, bytes as they came.
type Inputs struct{ raw json.RawMessage }

// UnmarshalJSON keeps the bytes.
func (i *Inputs) UnmarshalJSON(raw []byte) error {
	i.raw = bytes.Clone(raw)
	return nil
}

// Schema is an object of any fields.
func (Inputs) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "Values for the workflow's inputs."}
}

// PlanRequest is the JSON body of a plan's creation.
type PlanRequest struct {
	Definition Definition `json:"definition,omitempty"`
	Workflow   string     `json:"workflow,omitempty" maxLength:"96" doc:"A stored workflow instead of a definition: NAME@VERSION, or NAME for the newest active version."`
	Inputs     Inputs     `json:"inputs,omitempty"`
}

// PlanResult is a plan that was stored under its hash.
type PlanResult struct {
	PlanHash automation.Digest `json:"plan_hash" doc:"Names the plan; POST /v1/runs submits exactly it."`
	Plan     json.RawMessage   `json:"plan" doc:"The workflow resolved against catalog and inventory: exact targets, plugin digests, effects, inputs."`
	// Templates are the plans of sub-workflows.
	Templates map[string]json.RawMessage `json:"templates,omitempty" doc:"The plans of the sub-workflows, and theirs, by the hash that a step has as its digest."`
}

type planOut struct{ Body PlanResult }

// definitionBody is a body that is either the JSON of T or a definition as YAML.
func definitionBody[T any]() *bodySpec {
	b := jsonBody[T]()
	b.media = append(b.media, mediaYAML)
	return b
}

const definitionForms = "With Content-Type application/json the body is an object with the definition and its inputs. " +
	"With application/yaml the body is the definition itself, and the inputs have their defaults."

func addPlans(a *API) {
	register(a, operation{
		id: "create-plan", method: http.MethodPost, path: "/v1/plans", tag: "plans", access: anyToken, body: definitionBody[PlanRequest](),
		summary: "Resolve a definition to a plan, and store it under its hash",
		about:   "Nothing runs. Planning the same definition on the same inventory and plugins gives the same hash. " + definitionForms,
	}, a.createPlan)
	register(a, operation{
		id: "get-plan", method: http.MethodGet, path: "/v1/plans/{plan}", tag: "plans", access: anyToken, summary: "Read a stored plan",
	}, a.getPlan)
}

func (a *API) createPlan(ctx context.Context, _ *struct{}) (*planOut, error) {
	r, err := a.planRequest(ctx)
	if err != nil {
		return nil, err
	}
	result, err := a.config.Service.Plan(ctx, Principal(ctx), r)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerPlan(result)
}

func (a *API) getPlan(ctx context.Context, in *struct {
	Plan string `path:"plan" maxLength:"64" doc:"The plan's hash."`
},
) (*planOut, error) {
	result, err := a.config.Service.StoredPlan(ctx, Principal(ctx), automation.Digest(in.Plan))
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerPlan(result)
}

func answerPlan(r service.PlanResult) (*planOut, error) {
	out := PlanResult{PlanHash: r.Hash}
	for hash, template := range r.Plan.Templates {
		raw, err := json.Marshal(template)
		if err != nil {
			return nil, err //nolint:wrapcheck // internal, by problemOf
		}
		if out.Templates == nil {
			out.Templates = map[string]json.RawMessage{}
		}
		out.Templates[string(hash)] = raw
	}
	var err error
	out.Plan, err = json.Marshal(r.Plan)
	return &planOut{Body: out}, err //nolint:wrapcheck // internal, by problemOf
}

func (a *API) planRequest(ctx context.Context) (service.PlanRequest, error) {
	if body := payloadOf(ctx); body.media == mediaYAML {
		return service.PlanRequest{Definition: body.raw}, nil
	}
	r, err := decode[PlanRequest](ctx, a)
	return service.PlanRequest{Definition: r.Definition.text, Workflow: r.Workflow, Inputs: r.Inputs.raw}, err
}
