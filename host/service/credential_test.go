package service_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/vault"
)

const canary = "canary/pa55w0rd+xyz"

func ssh() []automation.Protocol { return []automation.Protocol{automation.ProtocolSSH} }

func everywhere() automation.CredentialScope {
	return automation.CredentialScope{Protocols: ssh(), Assets: []string{"*"}}
}

func secret(s string) automation.Secret { return automation.NewSecret([]byte(s)) }

func password(name string, scope automation.CredentialScope) service.CredentialRequest {
	return service.CredentialRequest{Name: name, Kind: automation.CredentialPassword, Username: "root", Password: secret(canary), Scope: scope}
}

func (f *fixture) credential(t testing.TB, r service.CredentialRequest) automation.Credential {
	t.Helper()
	c, created, err := f.CreateCredential(t.Context(), admin(), r, "")
	if err != nil || !created {
		t.Fatalf("create credential %s: %v, created %v", r.Name, err, created)
	}
	return c
}

func privateKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// open gives what a protocol would get.
func (f *fixture) open(t testing.TB, ref, asset string) (vault.Opened, error) {
	t.Helper()
	a := automation.Asset{Tenant: automation.DefaultTenant, Name: asset}
	return vault.NewSource(f.store, f.vault).Open(t.Context(), automation.DefaultTenant, ref, a, automation.ProtocolSSH)
}

func TestCredentialLife(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	c := f.credential(t, password("web", automation.CredentialScope{Protocols: ssh(), Assets: []string{"b", "a", "b"}}))
	if c.Version != 1 || c.Sealed != nil || c.KeyID != f.vault.KeyID() || strings.Join(c.Scope.Assets, " ") != "a b" {
		t.Errorf("got %+v; want version 1, no seal, a sorted scope", c)
	}
	if o, err := f.open(t, "web", "a"); err != nil || string(o.Password.Reveal()) != canary {
		t.Errorf("got %v; want the password", err)
	}
	_, err := f.open(t, "web", "c")
	if automation.CodeOf(err) != automation.CodeDenied {
		t.Errorf("outside its scope: got %v; want denied", err)
	}
	// A new scope and user name, the old secret.
	c, err = f.UpdateCredential(ctx, p, "web", service.CredentialRequest{Username: "ops", Scope: automation.CredentialScope{Protocols: ssh(), Assets: []string{"c"}}}, 1)
	if err != nil || c.Version != 2 || c.Username != "ops" || c.Sealed != nil {
		t.Fatalf("got %+v, %v; want version 2", c, err)
	}
	if o, err := f.open(t, string(c.ID), "c"); err != nil || string(o.Password.Reveal()) != canary || o.Username != "ops" {
		t.Errorf("got %v; want the old password under the new scope", err)
	}
	// A new secret, everything else as it was.
	if _, err = f.UpdateCredential(ctx, p, "web", service.CredentialRequest{Password: secret("new")}, 2); err != nil {
		t.Fatal(err)
	}
	if o, err := f.open(t, "web", "c"); err != nil || string(o.Password.Reveal()) != "new" || o.Username != "ops" {
		t.Errorf("got %v; want the new password", err)
	}
	if e := f.lastAudit(t); e.Action != "credential.update" || !strings.Contains(string(e.Detail), `"secret_changed":true`) {
		t.Errorf("got audit entry %+v %s", e, e.Detail)
	}
	_, err = f.UpdateCredential(ctx, p, "web", service.CredentialRequest{Username: "x"}, 1)
	wantCode(t, err, automation.CodeConflict)
	_, err = f.UpdateCredential(ctx, p, "web", service.CredentialRequest{Name: "other", Kind: automation.CredentialSSHKey}, 0)
	wantPlaces(t, err, "/name", "/kind")
	wantCode(t, f.DeleteCredential(ctx, p, "web", 2), automation.CodeConflict)
	if err := f.DeleteCredential(ctx, p, "web", 3); err != nil {
		t.Error(err)
	}
	_, err = f.Credential(ctx, p, "web")
	wantCode(t, err, automation.CodeNotFound)
}

func TestCredentialKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	a, _, err := f.CreateCredential(ctx, p, password("web", everywhere()), "k")
	if err != nil {
		t.Fatal(err)
	}
	b, created, err := f.CreateCredential(ctx, p, password("web", everywhere()), "k")
	if err != nil || created || b.ID != a.ID || b.Sealed != nil {
		t.Errorf("got %v, %v; want the same credential", created, err)
	}
	other := password("web", everywhere())
	other.Password = secret("another")
	_, _, err = f.CreateCredential(ctx, p, other, "k")
	wantCode(t, err, automation.CodeConflict)
}

func TestCredentialRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	good := privateKey(t)
	block, _ := pem.Decode([]byte(good))
	key := func(s string) func(*service.CredentialRequest) {
		return func(r *service.CredentialRequest) {
			r.Kind, r.Password, r.PrivateKey = automation.CredentialSSHKey, automation.Secret{}, secret(s)
		}
	}
	for name, c := range map[string]struct {
		edit func(*service.CredentialRequest)
		want []string
	}{
		"good password":      {func(*service.CredentialRequest) {}, nil},
		"good key":           {key(good), nil},
		"key, passphrase":    {func(r *service.CredentialRequest) { key(good)(r); r.Passphrase = secret("x") }, nil},
		"no name":            {func(r *service.CredentialRequest) { r.Name = "" }, []string{"/name"}},
		"bad name":           {func(r *service.CredentialRequest) { r.Name = canary }, []string{"/name"}},
		"no kind":            {func(r *service.CredentialRequest) { r.Kind = "" }, []string{"/kind"}},
		"other kind":         {func(r *service.CredentialRequest) { r.Kind = "token" }, []string{"/kind"}},
		"no user name":       {func(r *service.CredentialRequest) { r.Username = "" }, []string{"/username"}},
		"user name, line":    {func(r *service.CredentialRequest) { r.Username = "a\nb" }, []string{"/username"}},
		"no password":        {func(r *service.CredentialRequest) { r.Password = automation.Secret{} }, []string{"/password"}},
		"no key":             {key(""), []string{"/private_key"}},
		"key for a password": {func(r *service.CredentialRequest) { r.PrivateKey = secret(good) }, []string{"/private_key"}},
		"password for a key": {func(r *service.CredentialRequest) { key(good)(r); r.Password = secret(canary) }, nil},
		"passphrase alone":   {func(r *service.CredentialRequest) { key("")(r); r.Passphrase = secret(canary) }, []string{"/private_key"}},
		"no PEM":             {key(canary), []string{"/private_key"}},
		"public key":         {key("ssh-ed25519 " + canary), []string{"/private_key"}},
		"PuTTY":              {key("PuTTY-User-Key-File-3: ssh-ed25519\n" + canary), []string{"/private_key"}},
		"certificate":        {key(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}))), []string{"/private_key"}},
		"cut off":            {key(good[:len(good)-10]), []string{"/private_key"}},
		"two keys":           {key(good + good), []string{"/private_key"}},
		"long password":      {func(r *service.CredentialRequest) { r.Password = secret(strings.Repeat("x", 4<<10+1)) }, []string{"/password"}},
		"long key":           {key(strings.Repeat("x", 64<<10+1)), []string{"/private_key"}},
		"no scope":           {func(r *service.CredentialRequest) { r.Scope = automation.CredentialScope{} }, []string{"/scope/protocols", "/scope/assets"}},
		"no assets":          {func(r *service.CredentialRequest) { r.Scope.Assets = nil }, []string{"/scope/assets"}},
		"protocol none":      {func(r *service.CredentialRequest) { r.Scope.Protocols = []automation.Protocol{"ssh", "none"} }, []string{"/scope/protocols/1"}},
		"pattern":            {func(r *service.CredentialRequest) { r.Scope.Assets = []string{"a", "web-*"} }, []string{"/scope/assets/1"}},
		"star tag":           {func(r *service.CredentialRequest) { r.Scope.Tags = []string{"*"} }, []string{"/scope/tags/0"}},
		"long scope":         {func(r *service.CredentialRequest) { r.Scope.Assets = make([]string, 1001) }, []string{"/scope"}},
		"all of it": {func(r *service.CredentialRequest) {
			*r = service.CredentialRequest{Kind: automation.CredentialPassword}
		}, []string{
			"/name", "/username", "/scope/protocols", "/scope/assets", "/password",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := password(strings.ToLower(strings.NewReplacer(" ", "-", ",", "").Replace(name)), everywhere())
			c.edit(&r)
			_, _, err := f.CreateCredential(t.Context(), admin(), r, "")
			wantPlaces(t, err, c.want...)
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows the value: %v", err)
			}
		})
	}
}

// TestSecretsAreNowhere puts a canary in and looks for it, in every form, in what
// comes out: answers, audit log, the database's files.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	key := privateKey(t)
	var out bytes.Buffer
	note := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(v)
		out.Write(b)
		fmt.Fprintf(&out, "%v %+v %#v", v, v, v)
	}
	c, _, err := f.CreateCredential(ctx, p, password("web", everywhere()), "k")
	note(c, err)
	r := service.CredentialRequest{Name: "key", Kind: automation.CredentialSSHKey, Username: "root", PrivateKey: secret(key), Passphrase: secret(canary), Scope: everywhere()}
	note(r, nil)
	c, _, err = f.CreateCredential(ctx, p, r, "")
	note(c, err)
	c, err = f.UpdateCredential(ctx, p, "key", service.CredentialRequest{Username: "x"}, 0)
	note(c, err)
	c, err = f.Credential(ctx, p, "web")
	note(c, err)
	list, err := f.Credentials(ctx, p, automation.Page{})
	note(list, err)
	audit, err := f.Audit(ctx, p, 0, 0)
	note(audit, err)
	tok, value, err := f.CreateToken(ctx, p, service.TokenRequest{Name: "x", Role: automation.RoleAdmin})
	note(tok, err)
	note(value, nil)
	for _, file := range []string{f.path, f.path + "-wal"} {
		b, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, s := range []string{canary, strings.Split(key, "\n")[1], string(value.Reveal())} {
		for form, text := range forms(s) {
			if bytes.Contains(out.Bytes(), []byte(text)) {
				t.Errorf("a secret came out, %s", form)
			}
		}
	}
	if !bytes.Contains(out.Bytes(), []byte(`"key_id"`)) {
		t.Error("nothing was collected")
	}
}

func forms(s string) map[string]string {
	quoted, _ := json.Marshal(s)
	return map[string]string{
		"raw": s, "base64": base64.StdEncoding.EncodeToString([]byte(s))[:len(s)], "hex": hex.EncodeToString([]byte(s)),
		"json": strings.Trim(string(quoted), `"`), "bytes": strings.Trim(fmt.Sprint([]byte(s)), "[]"),
	}
}
