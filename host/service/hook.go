package service

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/vault"
	"opsconductor.dev/host/workflow/expr"
)

// deliveryKept is for how long a delivery's identifier is known: a request that is
// replayed within that time gets the run of the first.
const deliveryKept = 30 * 24 * time.Hour

// HookRequest is a webhook that somebody sent.
type HookRequest struct {
	// Trigger is the identifier in the address, as it came.
	Trigger string
	// Headers are the request's, by names in lower case.
	Headers map[string][]string
	// Body is the body as it came: what is signed.
	Body []byte
}

// HookResult is what a webhook led to: a run, or nothing (Skipped) because the
// trigger's condition is false. Repeated: the delivery was taken before, and that
// is what it led to then.
type HookResult struct {
	Run      automation.Run
	Skipped  bool
	Repeated bool
}

// Hook takes a webhook. Its signature is what authenticates it: it takes no
// principal, and submits as its trigger, in the trigger's tenant, as a submitter.
// A delivery gets one run, over any number of hosts and however often it is sent;
// when Hook returns without an error the run is durable. A request whose signature
// is not valid learns nothing else, not even whether there is such a trigger.
func (s *Service) Hook(ctx context.Context, r HookRequest) (HookResult, error) {
	sig, err := readSignature(r.Headers, s.now())
	if err != nil {
		return HookResult{}, err
	}
	t, err := s.signedTrigger(ctx, r, sig)
	if err != nil {
		return HookResult{}, err
	}
	if !t.Enabled {
		return HookResult{}, &automation.Error{
			Code: automation.CodeNotFound, Message: "the trigger is disabled", Suggestion: "enable it: opsconductor trigger enable " + t.Name,
		}
	}
	d := automation.Webhook{
		Trigger: t.ID, Tenant: t.Tenant, ID: sig.delivery, Body: digestText(r.Body), At: store.Moment(s.now()), By: "trigger:" + t.Name,
	}
	earlier, err := s.store.Webhook(ctx, t.Tenant, t.ID, d.ID, bodyKey(t, d))
	if err == nil {
		return s.finishDelivery(ctx, earlier, d, true)
	}
	if !isCode(err, automation.CodeNotFound) {
		return HookResult{}, fault(err)
	}
	if err := s.decideDelivery(ctx, t, r, &d); err != nil {
		return HookResult{}, s.failDelivery(ctx, t, d, err)
	}
	taken, made, err := s.store.PutWebhook(ctx, d, store.PutWebhook{ByBody: bodyKey(t, d) != "", KeptFrom: d.At.Add(-deliveryKept)})
	if err != nil {
		return HookResult{}, fault(err)
	}
	return s.finishDelivery(ctx, taken, d, !made)
}

// bodyKey is the digest by which a delivery is known beside its identifier: GitHub
// signs the body alone, so a replay could have any identifier.
func bodyKey(t automation.Trigger, d automation.Webhook) automation.Digest {
	if t.Scheme == automation.SignatureGitHub {
		return d.Body
	}
	return ""
}

// signedTrigger returns the trigger that the request was signed for. Where there
// is none, a decoy takes its place, so that the same is done in the same time.
func (s *Service) signedTrigger(ctx context.Context, r HookRequest, sig signature) (automation.Trigger, error) {
	decoy, err := s.decoy()
	if err != nil {
		return automation.Trigger{}, fault(err)
	}
	id, err := automation.ParseID[automation.TriggerID](r.Trigger)
	if err != nil {
		id = decoy.ID
	}
	t, err := s.store.TriggerByID(ctx, id)
	known := err == nil
	if !known {
		if !isCode(err, automation.CodeNotFound) {
			return automation.Trigger{}, fault(err)
		}
		t = decoy
	}
	secrets, err := s.vault.OpenTrigger(t)
	if err != nil {
		return automation.Trigger{}, fault(err)
	}
	defer secrets.Wipe()
	fits := sig.fits(secrets, s.now().Before(t.PreviousUntil), r.Body)
	if !fits || !known || t.Scheme != sig.scheme {
		return automation.Trigger{}, badSignature()
	}
	return t, nil
}

// newDecoy makes a trigger that nobody has the secrets of.
func newDecoy(v *vault.Vault) (automation.Trigger, error) {
	t := automation.Trigger{
		ID: automation.NewID[automation.TriggerID](), Tenant: automation.DefaultTenant, Scheme: automation.SignatureStandard, SecretVersion: 1,
	}
	_, key, _ := hookSecret(t.Scheme, automation.Secret{})
	err := v.SealTrigger(&t, vault.HookSecrets{Current: key})
	return t, err
}

// decideDelivery decides what a new delivery leads to: it sets the run that is to
// be accepted, or none.
func (s *Service) decideDelivery(ctx context.Context, t automation.Trigger, r HookRequest, d *automation.Webhook) error {
	event, err := schema.Decode(r.Body)
	if err != nil {
		return &automation.Error{Code: automation.CodeSyntax, Message: "the body is not JSON", Err: err}
	}
	if _, ok := event.(map[string]any); !ok {
		return &automation.Error{Code: automation.CodeSyntax, Message: "the body is not a JSON object", Allowed: "object"}
	}
	m, wrong := compileMapping(t.Inputs, t.If, nil)
	if err := wrong.OrNil(); err != nil {
		return err
	}
	vars := expr.Map{"event": expr.JSON(nil, event), "headers": headersValue(r.Headers)}
	wanted, err := m.wants(vars)
	if err != nil || !wanted {
		return err
	}
	inputs, err := m.fill(vars)
	if err != nil {
		return err
	}
	plan, err := s.plan(ctx, t.Tenant, PlanRequest{Definition: []byte(t.Definition), Inputs: inputs})
	if err != nil {
		found, err := inDefinition(err)
		return errors.Join(found.OrNil(), err)
	}
	d.Run, d.PlanHash, d.Workflow = automation.NewID[automation.RunID](), plan.Hash, plan.Plan.Workflow
	return nil
}

// headersValue returns the headers that expressions may read: not those that hold
// a credential or the signature.
func headersValue(headers map[string][]string) expr.Value {
	hidden := []string{"authorization", "proxy-authorization", "cookie", headerSignature, headerGitHubMAC, "x-hub-signature"}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(headers)), func(name string) bool { return slices.Contains(hidden, name) })
	return expr.Record(names, func(name string) (expr.Value, bool) {
		return expr.Text(strings.ToValidUTF8(strings.Join(headers[name], ", "), "\uFFFD")), true
	})
}

// failDelivery records why a delivery led to nothing, and returns the error that
// the sender gets. What is no fault of the event or the trigger is not recorded:
// the sender may try again.
func (s *Service) failDelivery(ctx context.Context, t automation.Trigger, d automation.Webhook, err error) error {
	err = fault(err)
	if isCode(err, automation.CodeUnavailable) || isCode(err, automation.CodeInternal) {
		return err
	}
	first := firstOf(err)
	s.log.LogAttrs(ctx, slog.LevelWarn, "a webhook got no run", slog.String("trigger", t.Name), slog.String("delivery", d.ID), slog.Any("error", first))
	if noted := s.store.FailTrigger(ctx, t.Tenant, t.ID, d.At, first); noted != nil {
		return fault(noted)
	}
	return err
}

// finishDelivery accepts the run of a delivery that was recorded. It may be done
// again, by anybody, and makes the same run.
func (s *Service) finishDelivery(ctx context.Context, d, asked automation.Webhook, repeated bool) (HookResult, error) {
	if d.Body != asked.Body {
		return HookResult{}, &automation.Error{
			Code: automation.CodeConflict, Message: "a delivery of this identifier came before, with another body",
			Suggestion: "give each delivery an identifier of its own, and send the same body again when it is repeated",
		}
	}
	if d.Run == "" {
		return HookResult{Skipped: true, Repeated: repeated}, nil
	}
	p := automation.Principal{Tenant: d.Tenant, Name: d.By, Role: automation.RoleSubmitter, Token: automation.TokenID(d.Trigger)}
	if err := s.authorise(p, opRunSubmit); err != nil {
		return HookResult{}, err
	}
	if repeated {
		if run, err := s.store.Run(ctx, d.Tenant, d.Run); !isCode(err, automation.CodeNotFound) {
			return HookResult{Run: run, Repeated: true}, fault(err)
		}
	}
	run := automation.Run{ID: d.Run, Tenant: d.Tenant, Workflow: d.Workflow, PlanHash: d.PlanHash, State: automation.RunQueued, By: d.By}
	act := s.act(p, opRunSubmit, string(run.ID), string(d.Run))
	run.Created = act.At
	act.Request = digestOf([]byte(d.PlanHash))
	act.Detail = detail(map[string]any{"workflow": run.Workflow, "plan_hash": run.PlanHash, "trigger": d.Trigger, "delivery": d.ID})
	run, _, err := s.store.Accept(ctx, run, act)
	return HookResult{Run: run, Repeated: repeated}, fault(err)
}
