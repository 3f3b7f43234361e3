package vault

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"opsconductor.dev/host/automation"
)

// HookSecrets are the keys that a trigger's sender signs with: the current one,
// and the one before it, which may be empty.
type HookSecrets struct {
	Current  automation.Secret
	Previous automation.Secret
}

// Wipe overwrites the secrets with zeros.
func (s HookSecrets) Wipe() {
	s.Current.Wipe()
	s.Previous.Wipe()
}

type hookPayload struct {
	Current  []byte `json:"current"`
	Previous []byte `json:"previous,omitempty"`
}

// SealTrigger encrypts a trigger's secrets into t.Sealed and sets t.KeyID. The
// seal binds the tenant, identifier, scheme, number of the secret and time up to
// which the one before is valid that t has now.
func (v *Vault) SealTrigger(t *automation.Trigger, s HookSecrets) error {
	if t.Tenant == "" || t.ID == "" || t.SecretVersion < 1 || s.Current.Empty() {
		return fmt.Errorf("seal the secrets of a trigger: it needs its tenant, identifier, number of the secret and the secret first")
	}
	plain, err := json.Marshal(hookPayload{s.Current.Reveal(), s.Previous.Reveal()})
	if err != nil {
		return fmt.Errorf("encode the secrets of trigger %s: %w", t.ID, err)
	}
	defer clear(plain)
	t.KeyID = v.id
	t.Sealed = v.encrypt(plain, triggerBinding(*t))
	return nil
}

// OpenTrigger decrypts t.Sealed. It fails when another key sealed it, and when
// any of the fields that the seal binds was changed since.
func (v *Vault) OpenTrigger(t automation.Trigger) (HookSecrets, error) {
	if t.KeyID != v.id {
		return HookSecrets{}, &automation.Error{
			Code:       automation.CodeUnavailable,
			Message:    fmt.Sprintf("the secret of trigger %q was sealed with key %s, and this host has key %s", t.Name, printableID(t.KeyID), v.id),
			Suggestion: fmt.Sprintf("start the host with the key file of key %s, or delete the trigger and create it anew", printableID(t.KeyID)),
		}
	}
	plain, err := v.decrypt(t.Sealed, triggerBinding(t))
	if err != nil {
		return HookSecrets{}, brokenTrigger(t, err)
	}
	defer clear(plain)
	var p hookPayload
	if err := json.Unmarshal(plain, &p); err != nil || len(p.Current) == 0 {
		return HookSecrets{}, brokenTrigger(t, errors.New("the sealed payload is not what this host writes"))
	}
	return HookSecrets{automation.NewSecret(p.Current), automation.NewSecret(p.Previous)}, nil
}

func brokenTrigger(t automation.Trigger, err error) error {
	return &automation.Error{
		Code:       automation.CodeInternal,
		Message:    fmt.Sprintf("the seal of trigger %q does not fit its record: the record was changed outside of the host, or damaged", t.Name),
		Suggestion: "look into the audit log and the database's access, then delete the trigger and create it anew", Err: err,
	}
}

func triggerBinding(t automation.Trigger) []byte {
	b := appendField(nil, "opsconductor trigger v1")
	b = appendField(b, string(t.Tenant))
	b = appendField(b, string(t.ID))
	b = appendField(b, string(t.Scheme))
	b = binary.BigEndian.AppendUint64(b, uint64(t.SecretVersion)) //nolint:gosec // an injective mapping is all that is needed
	until := int64(0)
	if !t.PreviousUntil.IsZero() {
		until = t.PreviousUntil.UnixMicro()
	}
	return binary.BigEndian.AppendUint64(b, uint64(until)) //nolint:gosec // an injective mapping is all that is needed
}
