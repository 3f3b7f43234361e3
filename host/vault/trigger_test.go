package vault_test

import (
	"bytes"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/vault"
)

// TestTriggerSeal: the secrets of a trigger open in their own place alone.
func TestTriggerSeal(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	sealed := automation.Trigger{
		ID: "a", Tenant: "default", Name: "push", Scheme: automation.SignatureStandard, SecretVersion: 2, PreviousUntil: time.Unix(1_800_000_000, 0),
	}
	secrets := vault.HookSecrets{Current: automation.NewSecret([]byte("new")), Previous: automation.NewSecret([]byte("old"))}
	if err := v.SealTrigger(&sealed, secrets); err != nil || sealed.KeyID != v.KeyID() || bytes.Contains(sealed.Sealed, []byte("new")) {
		t.Fatalf("seal: %v, %+v", err, sealed)
	}
	if got, err := v.OpenTrigger(sealed); err != nil || string(got.Current.Reveal()) != "new" || string(got.Previous.Reveal()) != "old" {
		t.Errorf("open: %v", err)
	}
	for what, change := range map[string]func(*automation.Trigger){
		"another tenant":          func(t *automation.Trigger) { t.Tenant = "other" },
		"another trigger":         func(t *automation.Trigger) { t.ID = "b" },
		"another scheme":          func(t *automation.Trigger) { t.Scheme = automation.SignatureGitHub },
		"another secret's number": func(t *automation.Trigger) { t.SecretVersion = 1 },
		"a longer time":           func(t *automation.Trigger) { t.PreviousUntil = t.PreviousUntil.Add(time.Hour) },
		"no time":                 func(t *automation.Trigger) { t.PreviousUntil = time.Time{} },
		"a changed byte": func(t *automation.Trigger) {
			t.Sealed = append(bytes.Clone(t.Sealed[:len(t.Sealed)-1]), t.Sealed[len(t.Sealed)-1]^1)
		},
		"another format": func(t *automation.Trigger) { t.Sealed = append([]byte{2}, t.Sealed[1:]...) },
		"nothing":        func(t *automation.Trigger) { t.Sealed = nil },
	} {
		moved := sealed
		change(&moved)
		if _, err := v.OpenTrigger(moved); automation.CodeOf(err) != automation.CodeInternal {
			t.Errorf("%s: got %v; want it not to open", what, err)
		}
	}
	if _, err := newVault(t).OpenTrigger(sealed); automation.CodeOf(err) != automation.CodeUnavailable {
		t.Errorf("another key: got %v; want unavailable", err)
	}
	sealed.Name = "renamed"
	if _, err := v.OpenTrigger(sealed); err != nil {
		t.Errorf("renamed: %v", err)
	}
	for what, bad := range map[string]automation.Trigger{"no identifier": {Tenant: "default", SecretVersion: 1}, "no number": {ID: "a", Tenant: "default"}} {
		if err := v.SealTrigger(&bad, secrets); err == nil {
			t.Errorf("%s: sealed", what)
		}
	}
	bare := automation.Trigger{ID: "a", Tenant: "default", SecretVersion: 1}
	if err := v.SealTrigger(&bare, vault.HookSecrets{}); err == nil {
		t.Error("no secret: sealed")
	}
}
