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

// DecisionRequest is the body of a decision about an approval.
type DecisionRequest struct {
	Decision string `json:"decision" enum:"approve,reject" doc:"What is decided."`
	Reason   string `json:"reason,omitempty" maxLength:"1024" doc:"Why, for the record."`
}

// ResolutionRequest is the body of the resolution of an unknown item.
type ResolutionRequest struct {
	Resolution string             `json:"resolution" enum:"ran,did_not_run,abandon" doc:"What became of it: it ran, it did not run (and is granted again), or nobody will find out."`
	Outcome    *ResolutionOutcome `json:"outcome,omitempty" doc:"How it ended, when it ran."`
	Reason     string             `json:"reason,omitempty" maxLength:"1024" doc:"How this is known, for the record."`
}

// ResolutionOutcome is how an item that ran ended.
type ResolutionOutcome struct {
	State   string `json:"state" enum:"succeeded,failed" doc:"How it ended."`
	Output  Object `json:"output,omitempty"`
	Message string `json:"message,omitempty" maxLength:"1024" doc:"Why it failed."`
}

// EventRequest is the body of an event for a run.
type EventRequest struct {
	Name    string `json:"name" minLength:"1" maxLength:"128" doc:"The event's name: letters, digits and _ . : - /."`
	Payload Object `json:"payload,omitempty"`
}

// Object is a JSON object, bytes as they came.
type Object struct{ raw json.RawMessage }

// UnmarshalJSON keeps the bytes.
func (o *Object) UnmarshalJSON(raw []byte) error {
	o.raw = bytes.Clone(raw)
	return nil
}

// Schema is an object of any fields.
func (Object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// ItemPath names an item in a path.
type ItemPath struct {
	RunRef
	Step string `path:"step" maxLength:"128" doc:"The step's id."`
	Item int    `path:"item" minimum:"0" maximum:"1000000" doc:"The item's index; 0 without for_each."`
}

func (r ItemPath) ref() (service.ItemRef, error) {
	id, err := r.id()
	return service.ItemRef{Run: id, Step: r.Step, Item: r.Item}, err
}

type itemOut struct {
	Status int `json:"-"`
	Body   service.Item
}

type receiptOut struct {
	Status int `json:"-"`
	Body   service.EventReceipt
}

const asItIs = "Answers with the item as it is then: 200 when it was taken, 202 when the scheduler has not come to it within two seconds."

func addTelling(a *API) {
	const item = "/v1/runs/{run}/steps/{step}/items/{item}"
	register(a, operation{
		id: "list-approvals", method: http.MethodGet, path: "/v1/approvals", tag: "approvals", access: anyToken,
		summary: "List the decisions that runs have asked for, those of the newest run first",
	}, a.listApprovals)
	register(a, operation{
		id: "decide-approval", method: http.MethodPost, path: item + "/decision", tag: "approvals", access: adminToken,
		body: jsonBody[DecisionRequest](), summary: "Approve or reject what an item asks for", later: true,
		about: asItIs + " The same decision again changes nothing. Who submitted the run may not decide, but on a dev host.",
	}, a.decide)
	register(a, operation{
		id: "resolve-item", method: http.MethodPost, path: item + "/resolution", tag: "runs", access: anyToken,
		body: jsonBody[ResolutionRequest](), summary: "Say what became of an unknown item", later: true,
		about: asItIs + " For admins, and for who submitted the run.",
	}, a.resolve)
	register(a, operation{
		id: "send-event", method: http.MethodPost, path: "/v1/runs/{run}/events", tag: "runs", access: anyToken,
		body: jsonBody[EventRequest](), summary: "Send an event to a run", later: true,
		about: "Every item that waits for its name has it at once; when none does, the run keeps it for the first that will.",
	}, a.sendEvent)
}

func (a *API) listApprovals(ctx context.Context, in *struct {
	Paging
	State string `query:"state" enum:"pending,approved,rejected,expired,cancelled" doc:"Only approvals of this state."`
},
) (*listOut[automation.Approval], error) {
	name := "approvals:" + in.State
	page, err := in.page(name)
	if err != nil {
		return nil, err
	}
	list, err := a.config.Service.ListApprovals(ctx, Principal(ctx), automation.ApprovalState(in.State), page)
	return listed(name, in.Limit, list, automation.Approval.Key), err
}

// takenStatus is the status of a request that was taken, or will be.
func takenStatus(taken bool) int {
	if taken {
		return http.StatusOK
	}
	return http.StatusAccepted
}

type itemIn struct {
	ItemPath
	Idempotency
}

func (a *API) decide(ctx context.Context, in *itemIn) (*itemOut, error) {
	ref, err := in.ref()
	if err != nil {
		return nil, err
	}
	r, err := decode[DecisionRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	item, taken, err := a.config.Service.Decide(ctx, Principal(ctx), service.DecideRequest{
		ItemRef: ref, Decision: automation.Decision(r.Decision), Reason: r.Reason, Key: in.Key,
	})
	return &itemOut{Status: takenStatus(taken), Body: item}, err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) resolve(ctx context.Context, in *itemIn) (*itemOut, error) {
	ref, err := in.ref()
	if err != nil {
		return nil, err
	}
	r, err := decode[ResolutionRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	request := service.ResolveRequest{ItemRef: ref, Resolution: automation.Resolution(r.Resolution), Reason: r.Reason, Key: in.Key}
	if o := r.Outcome; o != nil {
		request.Outcome = &service.ResolvedOutcome{State: automation.ItemState(o.State), Output: o.Output.raw, Message: o.Message}
	}
	item, taken, err := a.config.Service.Resolve(ctx, Principal(ctx), request)
	return &itemOut{Status: takenStatus(taken), Body: item}, err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) sendEvent(ctx context.Context, in *askIn) (*receiptOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	r, err := decode[EventRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	got, err := a.config.Service.SendEvent(ctx, Principal(ctx), service.EventRequest{Run: id, Name: r.Name, Payload: r.Payload.raw, Key: in.Key})
	return &receiptOut{Status: takenStatus(got.State != service.EventPending), Body: got}, err //nolint:wrapcheck // problemOf reads it
}
