package service_test

import (
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/vault"
)

// full is a key with all that may stand beside it.
func full(t *testing.T) service.CredentialRequest {
	t.Helper()
	return service.CredentialRequest{
		Name: "web", Kind: automation.CredentialSSHKey, Username: "root", Scope: everywhere(), PrivateKey: secret(privateKey(t)),
		Passphrase: secret("pp"), Password: secret(canary), Certificate: certificate("one"), OneTimeSeed: secret("JBSWY3DPEHPK3PXPJBSWY3DP"),
		Answers: []automation.PromptAnswer{{Prompt: "*code*"}},
	}
}

func has(o vault.Opened) string {
	var out []string
	for name, there := range map[string]bool{
		"password": !o.Password.Empty(), "passphrase": !o.Passphrase.Empty(), "certificate": o.Certificate != "", "one_time_seed": !o.OneTimeSeed.Empty(), "answers": len(o.Answers) > 0,
	} {
		if there {
			out = append(out, name)
		}
	}
	return strings.Join(slices.Sorted(slices.Values(out)), " ")
}

// Single parts are set and taken away, the others stay, and the audit log names them.
func TestCredentialParts(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.credential(t, full(t))
	for _, step := range []struct {
		change service.CredentialRequest
		left   string
		audit  string
	}{
		{service.CredentialRequest{Remove: []string{"password"}}, "answers certificate one_time_seed passphrase", `"parts_removed":["password"],"parts_set":[],"scope"`},
		{service.CredentialRequest{Remove: []string{"certificate", "answers"}, Password: secret("new")}, "one_time_seed passphrase password", `"parts_removed":["answers","certificate"],"parts_set":["password"]`},
		{service.CredentialRequest{Passphrase: secret("other")}, "one_time_seed passphrase password", `"parts_removed":[],"parts_set":["passphrase"]`},
		{service.CredentialRequest{Remove: []string{"passphrase", "one_time_seed"}}, "password", `"parts_removed":["one_time_seed","passphrase"]`},
		{service.CredentialRequest{Username: "ops"}, "password", `"secret_changed":false`},
	} {
		if _, err := f.UpdateCredential(t.Context(), admin(), "web", step.change, 0); err != nil {
			t.Fatalf("remove %q: %v", step.change.Remove, err)
		}
		o, err := f.open(t, "web", "a")
		if err != nil || o.PrivateKey.Empty() || has(o) != step.left {
			t.Errorf("remove %q: %v, left are %q, want %q beside the key", step.change.Remove, err, has(o), step.left)
		}
		if p := string(step.change.Passphrase.Reveal()); p != "" && string(o.Passphrase.Reveal()) != p {
			t.Error("the passphrase is not the new one")
		}
		if e := f.lastAudit(t); e.Action != "credential.update" || !strings.Contains(string(e.Detail), step.audit) || strings.Contains(string(e.Detail), canary) {
			t.Errorf("remove %q: the audit log has %s, want %s", step.change.Remove, e.Detail, step.audit)
		}
	}
}

// All that is wrong is said at once, and nothing has changed then.
func TestCredentialPartsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	c := f.credential(t, full(t))
	f.credential(t, password("pass", everywhere()))
	for name, tc := range map[string]struct {
		ref    string
		change service.CredentialRequest
		want   []string
	}{
		"unknown":           {"web", service.CredentialRequest{Remove: []string{canary}}, []string{"/remove/0"}},
		"twice":             {"web", service.CredentialRequest{Remove: []string{"answers", "answers"}}, []string{"/remove/1"}},
		"set and removed":   {"web", service.CredentialRequest{Remove: []string{"password"}, Password: secret("x")}, []string{"/remove/0"}},
		"not there":         {"pass", service.CredentialRequest{Remove: []string{"one_time_seed"}}, []string{"/remove/0"}},
		"needed key":        {"web", service.CredentialRequest{Remove: []string{"private_key"}}, []string{"/private_key"}},
		"needed password":   {"pass", service.CredentialRequest{Remove: []string{"password"}}, []string{"/password"}},
		"seed of an answer": {"web", service.CredentialRequest{Remove: []string{"one_time_seed"}}, []string{"/answers/0/text"}},
		"too many":          {"web", service.CredentialRequest{Remove: make([]string, 99)}, []string{"/remove"}},
		"all at once": {
			"web",
			service.CredentialRequest{Name: "other", Username: "a\x00", Certificate: "x", Remove: []string{"nothing", "certificate", "one_time_seed"}},
			[]string{"/name", "/username", "/certificate", "/remove/0", "/remove/1", "/answers/0/text"},
		},
	} {
		_, err := f.UpdateCredential(t.Context(), admin(), tc.ref, tc.change, 0)
		t.Log(name)
		wantPlaces(t, err, tc.want...)
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error has the value: %v", name, err)
		}
	}
	if now, err := f.Credential(t.Context(), admin(), "web"); err != nil || now.Version != c.Version {
		t.Errorf("%v, version %d; want %d as before", err, now.Version, c.Version)
	}
	r := password("new", everywhere())
	r.Remove = []string{"answers"}
	_, _, err := f.CreateCredential(t.Context(), admin(), r, "")
	wantPlaces(t, err, "/remove")
}
