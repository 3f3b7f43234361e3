package service

import (
	"context"
	"encoding/json"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/vault"
)

// TriggerRequest is what a caller says of a trigger; an update says all of it, but
// for Scheme and Secret, which it leaves out.
type TriggerRequest struct {
	Name       string `json:"name"`
	Definition string `json:"definition"` // of the workflow: YAML or JSON
	// Inputs is a JSON object whose texts may have expressions over event and headers.
	Inputs json.RawMessage `json:"inputs,omitempty"`
	If     string          `json:"if,omitempty"`
	// Scheme "" is standard; Disabled leaves a new trigger disabled.
	Scheme   automation.SignatureScheme `json:"scheme,omitempty"`
	Disabled bool                       `json:"disabled,omitempty"`
	// Secret is what the sender signs with; empty: the host makes one.
	Secret automation.Secret `json:"-"`
}

// CreateTrigger stores a trigger. The secret that it returns is the one that the
// host made; empty when the request had one. It can't be read again. There is no
// idempotency key: the name is taken by the first call that succeeds.
func (s *Service) CreateTrigger(ctx context.Context, p automation.Principal, r TriggerRequest) (automation.Trigger, automation.Secret, error) {
	var none automation.Secret
	if err := s.authorise(p, opTriggerCreate); err != nil {
		return automation.Trigger{}, none, err
	}
	if r.Scheme == "" {
		r.Scheme = automation.SignatureStandard
	}
	t := automation.Trigger{
		ID: automation.NewID[automation.TriggerID](), Tenant: p.Tenant, Scheme: r.Scheme, Enabled: !r.Disabled, SecretVersion: 1, Version: 1,
	}
	shown, key, wrong := hookSecret(r.Scheme, r.Secret)
	if err := s.checkTrigger(ctx, &t, r, wrong); err != nil {
		return automation.Trigger{}, none, err
	}
	act := s.act(p, opTriggerCreate, string(t.ID), "")
	t.Created, t.Updated = store.Moment(act.At), store.Moment(act.At)
	act.Detail = detail(map[string]any{"name": t.Name, "scheme": t.Scheme, "enabled": t.Enabled})
	if err := s.vault.SealTrigger(&t, vault.HookSecrets{Current: key}); err != nil {
		return automation.Trigger{}, none, fault(err)
	}
	t, _, err := s.store.CreateTrigger(ctx, t, act)
	if err != nil {
		return automation.Trigger{}, none, nameTaken(err, "a trigger")
	}
	return withoutSeal(t), shown, nil
}

// UpdateTrigger replaces what is known of a trigger; its scheme, its secrets and
// whether it is enabled stay. version is the version that the change is made from;
// 0 stands for whatever it is now.
func (s *Service) UpdateTrigger(ctx context.Context, p automation.Principal, ref string, r TriggerRequest, version int64) (automation.Trigger, error) {
	t, err := s.triggerToChange(ctx, p, opTriggerUpdate, ref, version)
	if err != nil {
		return automation.Trigger{}, err
	}
	var fixed *automation.Error
	if r.Scheme != "" && r.Scheme != t.Scheme {
		fixed = &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/scheme", Message: "the scheme of a trigger does not change", Suggestion: "create another trigger",
		}
	}
	if err := s.checkTrigger(ctx, &t, r, fixed); err != nil {
		return automation.Trigger{}, err
	}
	act := s.act(p, opTriggerUpdate, string(t.ID), "")
	t.Updated = act.At
	act.Detail = detail(map[string]any{"name": t.Name})
	t, err = s.store.UpdateTrigger(ctx, t, act)
	return withoutSeal(t), nameTaken(err, "a trigger")
}

// DeleteTrigger removes a trigger; runs that it submitted stay. version is as for
// UpdateTrigger.
func (s *Service) DeleteTrigger(ctx context.Context, p automation.Principal, ref string, version int64) error {
	t, err := s.triggerToChange(ctx, p, opTriggerDelete, ref, version)
	if err != nil {
		return err
	}
	act := s.act(p, opTriggerDelete, string(t.ID), "")
	act.Detail = detail(map[string]any{"name": t.Name})
	return fault(s.store.DeleteTrigger(ctx, p.Tenant, t.ID, act))
}

// EnableTrigger lets a trigger submit runs. Enabling again changes nothing.
// version is as for UpdateTrigger.
func (s *Service) EnableTrigger(ctx context.Context, p automation.Principal, ref string, version int64) (automation.Trigger, error) {
	return s.setEnabled(ctx, p, ref, version, opTriggerEnable)
}

// DisableTrigger stops a trigger from submitting runs. Disabling again changes
// nothing. version is as for UpdateTrigger.
func (s *Service) DisableTrigger(ctx context.Context, p automation.Principal, ref string, version int64) (automation.Trigger, error) {
	return s.setEnabled(ctx, p, ref, version, opTriggerDisable)
}

func (s *Service) setEnabled(ctx context.Context, p automation.Principal, ref string, version int64, op operation) (automation.Trigger, error) {
	t, err := s.triggerToChange(ctx, p, op, ref, version)
	if err != nil {
		return automation.Trigger{}, err
	}
	if t.Enabled == (op == opTriggerEnable) {
		return withoutSeal(t), nil
	}
	t.Enabled = !t.Enabled
	act := s.act(p, op, string(t.ID), "")
	t.Updated = act.At
	act.Detail = detail(map[string]any{"name": t.Name})
	t, err = s.store.UpdateTrigger(ctx, t, act)
	return withoutSeal(t), fault(err)
}

// The times for which the secret before a rotation stays valid.
const (
	defaultKeep = 24 * time.Hour
	maxKeep     = 7 * 24 * time.Hour
)

// RotateRequest asks for a new secret.
type RotateRequest struct {
	// Secret is the new one; empty: the host makes one.
	Secret automation.Secret
	// Keep is for how long the old one stays valid, like 24h, up to 7 days; "": 24h,
	// 0s: it is invalid at once. One that was before the old one is invalid at once.
	Keep string
}

// RotateTrigger gives a trigger a new secret, which it returns as CreateTrigger
// does. version is as for UpdateTrigger.
func (s *Service) RotateTrigger(ctx context.Context, p automation.Principal, ref string, r RotateRequest, version int64) (automation.Trigger, automation.Secret, error) {
	var none automation.Secret
	t, err := s.triggerToChange(ctx, p, opTriggerRotate, ref, version)
	if err != nil {
		return automation.Trigger{}, none, err
	}
	shown, key, wrong := hookSecret(t.Scheme, r.Secret)
	keep, tooLong := keepTime(r.Keep)
	if err := refused(wrong, tooLong); err != nil {
		return automation.Trigger{}, none, err
	}
	old, err := s.vault.OpenTrigger(t)
	if err != nil {
		return automation.Trigger{}, none, fault(err)
	}
	defer old.Wipe()
	act := s.act(p, opTriggerRotate, string(t.ID), "")
	t.Updated, t.PreviousUntil = act.At, time.Time{}
	t.SecretVersion++
	secrets := vault.HookSecrets{Current: key}
	if keep > 0 {
		t.PreviousUntil, secrets.Previous = store.Moment(act.At.Add(keep)), old.Current
	}
	act.Detail = detail(map[string]any{"name": t.Name, "secret_version": t.SecretVersion, "previous_valid": keep.String()})
	if err := s.vault.SealTrigger(&t, secrets); err != nil {
		return automation.Trigger{}, none, fault(err)
	}
	if t, err = s.store.UpdateTrigger(ctx, t, act); err != nil {
		return automation.Trigger{}, none, fault(err)
	}
	return withoutSeal(t), shown, nil
}

// Trigger returns the trigger that ref names: an identifier or a name.
func (s *Service) Trigger(ctx context.Context, p automation.Principal, ref string) (automation.Trigger, error) {
	if err := s.authorise(p, opTriggerRead); err != nil {
		return automation.Trigger{}, err
	}
	t, err := s.findTrigger(ctx, p.Tenant, ref)
	return withoutSeal(t), err
}

// Triggers returns triggers by name (Page.After is a name).
func (s *Service) Triggers(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Trigger, error) {
	if err := s.authorise(p, opTriggerRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	list, err := s.store.ListTriggers(ctx, p.Tenant, page)
	for i := range list {
		list[i] = withoutSeal(list[i])
	}
	return list, fault(err)
}

// triggerToChange authorises a change and returns the trigger in the version that
// it is made from.
func (s *Service) triggerToChange(ctx context.Context, p automation.Principal, op operation, ref string, version int64) (automation.Trigger, error) {
	if err := s.authorise(p, op); err != nil {
		return automation.Trigger{}, err
	}
	t, err := s.findTrigger(ctx, p.Tenant, ref)
	if err != nil {
		return automation.Trigger{}, err
	}
	return t, checkVersion("trigger", t.Version, version)
}

func (s *Service) findTrigger(ctx context.Context, tenant automation.TenantID, ref string) (automation.Trigger, error) {
	if id, err := automation.ParseID[automation.TriggerID](ref); err == nil {
		t, err := s.store.Trigger(ctx, tenant, id)
		return t, fault(err)
	}
	if !inventory.IsName(ref) {
		return automation.Trigger{}, notFound("trigger")
	}
	t, err := s.store.TriggerByName(ctx, tenant, ref)
	return t, fault(err)
}

func withoutSeal(t automation.Trigger) automation.Trigger {
	t.Sealed = nil
	return t
}
