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

// Mapping is how a trigger makes inputs of an event: a JSON object, bytes as they came.
type Mapping struct{ raw json.RawMessage }

// UnmarshalJSON keeps the bytes.
func (m *Mapping) UnmarshalJSON(raw []byte) error {
	m.raw = bytes.Clone(raw)
	return nil
}

// Schema is an object of any fields.
func (Mapping) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: "Values for the workflow's inputs. Their texts may have expressions, ${{ … }}, over event (the webhook's body) and headers " +
			"(by names in lower case; they are not signed).",
	}
}

// TriggerFields is what an update says of a trigger: all of it.
type TriggerFields struct {
	Name       string     `json:"name" doc:"Unique in the tenant."`
	Definition Definition `json:"definition"`
	Inputs     Mapping    `json:"inputs,omitempty"`
	If         string     `json:"if,omitempty" maxLength:"4096" doc:"An expression over event and headers: no run where it is false. Left out: every webhook gets a run."`
}

// TriggerRequest is the body of a trigger's creation.
type TriggerRequest struct {
	TriggerFields
	Scheme  string `json:"scheme,omitempty" enum:"standard,github" doc:"How the sender signs: by the Standard Webhooks specification, or as GitHub does. Left out: standard."`
	Enabled *bool  `json:"enabled,omitempty" doc:"Left out: true."`
	Secret  string `json:"secret,omitempty" maxLength:"512" doc:"What the sender signs with: for standard whsec_ and the base64 of 24 to 64 bytes, for github 16 to 256 bytes. Left out: the host makes one."`
}

func (f TriggerFields) toService() service.TriggerRequest {
	return service.TriggerRequest{Name: f.Name, Definition: string(f.Definition.text), Inputs: f.Inputs.raw, If: f.If}
}

func (r TriggerRequest) toService() service.TriggerRequest {
	out := r.TriggerFields.toService()
	out.Scheme, out.Disabled = automation.SignatureScheme(r.Scheme), r.Enabled != nil && !*r.Enabled
	out.Secret = automation.NewSecret([]byte(r.Secret))
	return out
}

// RotateRequest is the body of a rotation.
type RotateRequest struct {
	Secret string `json:"secret,omitempty" maxLength:"512" doc:"The new secret. Left out: the host makes one."`
	Keep   string `json:"keep,omitempty" maxLength:"32" doc:"For how long the old secret stays valid too, 0s to 168h. Left out: 24h."`
}

// TriggerSecret is a trigger with a secret that the host made, which is shown once.
type TriggerSecret struct {
	Trigger automation.Trigger `json:"trigger" doc:"The trigger as it is listed."`
	Address string             `json:"address" doc:"The path to which the sender posts."`
	Secret  string             `json:"secret,omitempty" doc:"What the sender signs with; absent when the request gave it. It is never shown again."`
}

// TriggerRef names a trigger in a path.
type TriggerRef struct {
	Trigger string `path:"trigger" maxLength:"256" doc:"Identifier or name of the trigger."`
}

type triggerOut struct {
	ETag     string `header:"ETag" doc:"The version, for If-Match. Deliveries do not change it."`
	Location string `header:"Location" doc:"Where the trigger is."`
	Body     automation.Trigger
}

type triggerSecretOut struct {
	ETag     string `header:"ETag" doc:"The version, for If-Match."`
	Location string `header:"Location" doc:"Where the trigger is."`
	Body     TriggerSecret
}

func triggerPath(t automation.Trigger) string { return "/v1/triggers/" + string(t.ID) }

func answerTrigger(t automation.Trigger) *triggerOut {
	return &triggerOut{ETag: etag(t.Version), Location: triggerPath(t), Body: t}
}

func answerSecret(t automation.Trigger, secret automation.Secret) *triggerSecretOut {
	return &triggerSecretOut{
		ETag: etag(t.Version), Location: triggerPath(t),
		Body: TriggerSecret{Trigger: t, Address: hookPath + "/" + string(t.ID), Secret: string(secret.Reveal())},
	}
}

func addTriggers(a *API) {
	const tag, all, one = "triggers", "/v1/triggers", "/v1/triggers/{trigger}"
	register(a, operation{
		id: "list-triggers", method: http.MethodGet, path: all, tag: tag, access: anyToken, summary: "List triggers by name",
	}, a.listTriggers)
	register(a, operation{
		id: "create-trigger", method: http.MethodPost, path: all, tag: tag, access: adminToken, status: http.StatusCreated,
		body: jsonBody[TriggerRequest](), summary: "Create a trigger",
		about: "The answer has the secret that the host made, once. There is no Idempotency-Key: a repeated answer would need the secret again.",
	}, a.createTrigger)
	register(a, operation{id: "get-trigger", method: http.MethodGet, path: one, tag: tag, access: anyToken, summary: "Read a trigger"}, a.getTrigger)
	register(a, operation{
		id: "update-trigger", method: http.MethodPut, path: one, tag: tag, access: adminToken, body: jsonBody[TriggerFields](),
		summary: "Replace what is known of a trigger", about: "Its scheme, its secrets, and whether it is enabled stay.",
	}, a.updateTrigger)
	register(a, operation{
		id: "delete-trigger", method: http.MethodDelete, path: one, tag: tag, access: adminToken, status: http.StatusNoContent,
		summary: "Delete a trigger", about: "Runs that it submitted stay.",
	}, a.deleteTrigger)
	register(a, operation{
		id: "rotate-trigger", method: http.MethodPost, path: one + "/rotate", tag: tag, access: adminToken, body: jsonBody[RotateRequest](),
		summary: "Give a trigger a new secret",
		about:   "The old one stays valid for the time of keep, so that the sender can change over; one from before the old one ends at once. The answer has the secret that the host made, once.",
	}, a.rotateTrigger)
	register(a, operation{
		id: "enable-trigger", method: http.MethodPost, path: one + "/enable", tag: tag, access: adminToken, summary: "Let a trigger submit runs",
	}, a.askTrigger(Triggers.EnableTrigger))
	register(a, operation{
		id: "disable-trigger", method: http.MethodPost, path: one + "/disable", tag: tag, access: adminToken, summary: "Stop a trigger from submitting runs",
		about: "Webhooks that are signed rightly get a 404 that says so.",
	}, a.askTrigger(Triggers.DisableTrigger))
	addHooks(a)
}

func (a *API) listTriggers(ctx context.Context, in *Paging) (*listOut[automation.Trigger], error) {
	page, err := in.page("triggers")
	if err != nil {
		return nil, err
	}
	triggers, err := a.config.Service.Triggers(ctx, Principal(ctx), page)
	return listed("triggers", in.Limit, triggers, func(t automation.Trigger) string { return t.Name }), err
}

func (a *API) createTrigger(ctx context.Context, _ *struct{}) (*triggerSecretOut, error) {
	r, err := decode[TriggerRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	t, secret, err := a.config.Service.CreateTrigger(ctx, Principal(ctx), r.toService())
	return answerSecret(t, secret), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) getTrigger(ctx context.Context, in *TriggerRef) (*triggerOut, error) {
	t, err := a.config.Service.Trigger(ctx, Principal(ctx), in.Trigger)
	return answerTrigger(t), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) updateTrigger(ctx context.Context, in *struct {
	TriggerRef
	Precondition
},
) (*triggerOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := decode[TriggerFields](ctx, a)
	if err != nil {
		return nil, err
	}
	t, err := a.config.Service.UpdateTrigger(ctx, Principal(ctx), in.Trigger, r.toService(), version)
	return answerTrigger(t), changed(err, version, a.triggerVersion(ctx, in.Trigger))
}

func (a *API) deleteTrigger(ctx context.Context, in *struct {
	TriggerRef
	Precondition
},
) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	err = a.config.Service.DeleteTrigger(ctx, Principal(ctx), in.Trigger, version)
	return nil, changed(err, version, a.triggerVersion(ctx, in.Trigger))
}

type triggerAskIn struct {
	TriggerRef
	OptionalPrecondition
}

func (a *API) rotateTrigger(ctx context.Context, in *triggerAskIn) (*triggerSecretOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := decode[RotateRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	t, secret, err := a.config.Service.RotateTrigger(ctx, Principal(ctx), in.Trigger, service.RotateRequest{
		Secret: automation.NewSecret([]byte(r.Secret)), Keep: r.Keep,
	}, version)
	return answerSecret(t, secret), changed(err, version, a.triggerVersion(ctx, in.Trigger))
}

// askTrigger answers what enables or disables a trigger.
func (a *API) askTrigger(
	use func(t Triggers, ctx context.Context, p automation.Principal, ref string, version int64) (automation.Trigger, error),
) func(context.Context, *triggerAskIn) (*triggerOut, error) {
	return func(ctx context.Context, in *triggerAskIn) (*triggerOut, error) {
		version, err := in.version()
		if err != nil {
			return nil, err
		}
		t, err := use(a.config.Service, ctx, Principal(ctx), in.Trigger, version)
		return answerTrigger(t), changed(err, version, a.triggerVersion(ctx, in.Trigger))
	}
}

func (a *API) triggerVersion(ctx context.Context, ref string) func() (int64, error) {
	return func() (int64, error) {
		t, err := a.config.Service.Trigger(ctx, Principal(ctx), ref)
		return t.Version, err //nolint:wrapcheck // problemOf reads the service's error
	}
}
