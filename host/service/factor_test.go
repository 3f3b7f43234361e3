package service_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

const (
	seed        = "JBSWY3DPEHPK3PXPJBSWY3DP"
	fingerprint = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
)

// certificate has the shape of one; what is in it is the protocol's to read.
func certificate(rest string) string {
	const kind = "ssh-ed25519-cert-v01@openssh.com"
	blob := append(binary.BigEndian.AppendUint32(nil, uint32(len(kind))), kind...)
	return kind + " " + base64.StdEncoding.EncodeToString(append(blob, rest...))
}

func factors(t *testing.T, name string) service.CredentialRequest {
	t.Helper()
	return service.CredentialRequest{
		Name: name, Kind: automation.CredentialSSHKey, Username: "root", Scope: everywhere(),
		PrivateKey: secret(privateKey(t)), Passphrase: secret("pp"), Password: secret("pw"), Certificate: certificate("one"),
		OneTimeSeed: secret(seed), Answers: []automation.PromptAnswer{{Prompt: "*pin*", Text: secret("1234")}, {Prompt: "code", Visible: true}},
	}
}

// TestFactors: what is sealed comes out for the protocol, and an update leaves
// alone what it does not name, but what belongs to a key that is replaced.
func TestFactors(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := factors(t, "all")
	f.credential(t, r)
	check := func(doing, key, passphrase, cert, password, pin string) {
		t.Helper()
		o, err := f.open(t, "all", "web")
		if err != nil {
			t.Fatalf("%s: %v", doing, err)
		}
		got := []string{string(o.PrivateKey.Reveal()), string(o.Passphrase.Reveal()), o.Certificate, string(o.Password.Reveal()), string(o.OneTimeSeed.Reveal()), string(o.Answers[0].Text.Reveal())}
		if want := []string{key, passphrase, cert, password, seed, pin}; strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s: got other parts than want", doing)
		}
	}
	update := func(r service.CredentialRequest) error {
		_, err := f.UpdateCredential(t.Context(), admin(), "all", r, 0)
		return err
	}
	first, second := string(r.PrivateKey.Reveal()), privateKey(t)
	check("as it was created", first, "pp", certificate("one"), "pw", "1234")
	if o, _ := f.open(t, "all", "web"); len(o.Answers) != 2 || o.Answers[0].Visible || !o.Answers[1].Visible || !o.Answers[1].Text.Empty() || o.Answers[0].Prompt != "*pin*" {
		t.Error("the answers came out otherwise")
	}
	for doing, r := range map[string]service.CredentialRequest{"nothing": {}, "a user": {Username: "root"}} {
		if err := update(r); err != nil {
			t.Fatal(err)
		}
		check(doing, first, "pp", certificate("one"), "pw", "1234")
	}
	if err := update(service.CredentialRequest{Certificate: certificate("two")}); err != nil {
		t.Fatal(err)
	}
	check("another certificate", first, "pp", certificate("two"), "pw", "1234")
	if err := update(service.CredentialRequest{Password: secret("new"), Answers: []automation.PromptAnswer{{Prompt: "pin", Text: secret("5")}}}); err != nil {
		t.Fatal(err)
	}
	check("another password and answer", first, "pp", certificate("two"), "new", "5")
	if err := update(service.CredentialRequest{PrivateKey: secret(second)}); err != nil {
		t.Fatal(err)
	}
	check("another key", second, "", "", "new", "5")
	f.credential(t, service.CredentialRequest{Name: "agent", Kind: automation.CredentialSSHAgent, Username: "root", Scope: everywhere(), PublicKey: fingerprint})
	if o, err := f.open(t, "agent", "web"); err != nil || o.PublicKey != fingerprint || o.Kind != automation.CredentialSSHAgent {
		t.Errorf("an agent's key: got %v, %v", o.PublicKey, err)
	}
	_, err := f.UpdateCredential(t.Context(), admin(), "agent", service.CredentialRequest{Answers: []automation.PromptAnswer{{Prompt: "code"}}}, 0)
	wantPlaces(t, err, "/answers/0/text")
	// The digest of the request stands for these parts too.
	p := admin() // keys are a token's own
	r = factors(t, "again")
	if _, _, err := f.CreateCredential(t.Context(), p, r, "k"); err != nil {
		t.Fatal(err)
	}
	if _, created, err := f.CreateCredential(t.Context(), p, r, "k"); err != nil || created {
		t.Errorf("the same request: created %v, %v", created, err)
	}
	r.Answers[0].Text = secret("4321")
	_, _, err = f.CreateCredential(t.Context(), p, r, "k")
	wantCode(t, err, automation.CodeConflict)
}

func TestFactorsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	type request = service.CredentialRequest
	answer := func(a ...automation.PromptAnswer) func(*request) { return func(r *request) { r.Answers = a } }
	agent := func(r *request) {
		*r = request{Name: r.Name, Kind: automation.CredentialSSHAgent, Username: "root", Scope: r.Scope}
	}
	for name, c := range map[string]struct {
		edit func(*request)
		want []string
	}{
		"everything": {func(*request) {}, nil},
		"otpauth": {func(r *request) {
			r.OneTimeSeed = secret("otpauth://totp/x?secret=" + seed + "&digits=8&period=60&algorithm=SHA256")
		}, nil},
		"an agent": {agent, nil},
		"answers alone": {func(r *request) {
			*r = password(r.Name, r.Scope)
			r.Password = automation.Secret{}
			answer(automation.PromptAnswer{Prompt: "x", Text: secret("y")})(r)
		}, nil},
		"agent, winrm":          {func(r *request) { agent(r); r.Scope.Protocols = []automation.Protocol{"ssh", "winrm"} }, []string{"/scope/protocols"}},
		"agent, private key":    {func(r *request) { k := r.PrivateKey; agent(r); r.PrivateKey = k }, []string{"/private_key"}},
		"agent, other key":      {func(r *request) { agent(r); r.PublicKey = canary }, []string{"/public_key"}},
		"agent, short print":    {func(r *request) { agent(r); r.PublicKey = "SHA256:abc" }, []string{"/public_key"}},
		"public key of a key":   {func(r *request) { r.PublicKey = fingerprint }, []string{"/public_key"}},
		"certificate, password": {func(r *request) { *r = password(r.Name, r.Scope); r.Certificate = certificate("") + "AAAA" }, []string{"/certificate"}},
		"plain key":             {func(r *request) { r.Certificate = "ssh-ed25519 " + canary }, []string{"/certificate"}},
		"two certificates":      {func(r *request) { r.Certificate += "\n" + r.Certificate }, []string{"/certificate"}},
		"other certificate":     {func(r *request) { r.Certificate = strings.Replace(r.Certificate, "ed25519", "ed25518", 1) }, []string{"/certificate"}},
		"long certificate":      {func(r *request) { r.Certificate = certificate(strings.Repeat("x", 16<<10)) }, []string{"/certificate"}},
		"short seed":            {func(r *request) { r.OneTimeSeed = secret("JBSWY3DP") }, []string{"/one_time_seed"}},
		"no base32":             {func(r *request) { r.OneTimeSeed = secret(canary + canary) }, []string{"/one_time_seed"}},
		"hotp":                  {func(r *request) { r.OneTimeSeed = secret("otpauth://hotp/x?secret=" + seed) }, []string{"/one_time_seed"}},
		"digits":                {func(r *request) { r.OneTimeSeed = secret("otpauth://totp/x?digits=9&secret=" + seed) }, []string{"/one_time_seed"}},
		"period":                {func(r *request) { r.OneTimeSeed = secret("otpauth://totp/x?period=1&secret=" + seed) }, []string{"/one_time_seed"}},
		"no prompt":             {answer(automation.PromptAnswer{Prompt: " ", Text: secret("x")}), []string{"/answers/0/prompt"}},
		"long prompt":           {answer(automation.PromptAnswer{Prompt: strings.Repeat("x", 201), Text: secret("x")}), []string{"/answers/0/prompt"}},
		"prompt of lines":       {answer(automation.PromptAnswer{Prompt: "a\nb", Text: secret("x")}), []string{"/answers/0/prompt"}},
		"long answer":           {answer(automation.PromptAnswer{Prompt: "x", Text: secret(strings.Repeat("x", 4<<10+1))}), []string{"/answers/0/text"}},
		"many answers":          {answer(make([]automation.PromptAnswer, 21)...), []string{"/answers"}},
		"code without a seed":   {func(r *request) { r.OneTimeSeed = automation.Secret{} }, []string{"/answers/1/text"}},
		"all at once": {func(r *request) {
			r.PublicKey, r.Certificate, r.OneTimeSeed = "x", "x", secret("x")
			r.Answers[0].Prompt = ""
		}, []string{"/public_key", "/certificate", "/public_key", "/one_time_seed", "/answers/0/prompt"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := factors(t, strings.NewReplacer(" ", "-", ",", "").Replace(name))
			c.edit(&r)
			_, _, err := f.CreateCredential(t.Context(), admin(), r, "")
			wantPlaces(t, err, c.want...)
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows the value: %v", err)
			}
		})
	}
}

// TestFactorsAreNowhere is TestSecretsAreNowhere for the other parts.
func TestFactorsAreNowhere(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	var out bytes.Buffer
	note := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(v)
		out.Write(b)
		fmt.Fprintf(&out, "%v %+v", v, v)
	}
	r := factors(t, "all")
	r.Answers[0].Text = secret(canary)
	r.Certificate = certificate("canary-of-the-certificate")
	c, _, err := f.CreateCredential(ctx, p, r, "k")
	note(c, err)
	c, err = f.UpdateCredential(ctx, p, "all", service.CredentialRequest{OneTimeSeed: secret(seed + seed)}, 0)
	note(c, err)
	list, err := f.Credentials(ctx, p, automation.Page{})
	note(list, err)
	audit, err := f.Audit(ctx, p, 0, 0)
	note(audit, err)
	o, err := f.open(t, "all", "web")
	note(o.Answers, err)
	note(o.OneTimeSeed, nil)
	for _, file := range []string{f.path, f.path + "-wal"} {
		b, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, s := range []string{canary, seed, strings.Fields(r.Certificate)[1]} {
		for form, text := range forms(s) {
			if bytes.Contains(out.Bytes(), []byte(text)) {
				t.Errorf("a secret came out, %s", form)
			}
		}
	}
}
