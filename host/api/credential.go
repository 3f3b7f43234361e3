package api

import (
	"context"
	"net/http"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// Scope says where a credential may be used.
type Scope struct {
	Protocols []string `json:"protocols,omitempty" maxItems:"10" nullable:"false" doc:"ssh, winrm."`
	Assets    []string `json:"assets,omitempty" maxItems:"1000" nullable:"false" doc:"Names of assets; * is all."`
	Tags      []string `json:"tags,omitempty" maxItems:"1000" nullable:"false" doc:"Assets with one of them are in scope too."`
}

// CredentialRequest is the body of a credential's creation. Secrets go in and
// never come out.
type CredentialRequest struct {
	Name       string `json:"name" doc:"Unique in the tenant."`
	Kind       string `json:"kind" enum:"password,ssh_key,ssh_agent" doc:"password: user name and password, or answers to prompts. ssh_key: user name, private key and, where the key has one, its passphrase. ssh_agent: user name, and a key that the host's SSH agent (--ssh-agent) holds."`
	Username   string `json:"username" doc:"Who logs in."`
	Password   string `json:"password,omitempty" writeOnly:"true" doc:"Sealed; never returned."`
	PrivateKey string `json:"private_key,omitempty" writeOnly:"true" doc:"PEM or OpenSSH format. Sealed; never returned."`
	Passphrase string `json:"passphrase,omitempty" writeOnly:"true" doc:"Of the private key. Sealed; never returned."`
	Factors
	Scope Scope `json:"scope" doc:"Where it may be used; bound into the seal."`
}

// CredentialChange is the body of a credential's update: what is left out stays
// as it is. Name and kind do not change.
type CredentialChange struct {
	Username   string `json:"username,omitempty" doc:"Who logs in."`
	Password   string `json:"password,omitempty" writeOnly:"true" doc:"Sealed; never returned."`
	PrivateKey string `json:"private_key,omitempty" writeOnly:"true" doc:"PEM or OpenSSH format. Sealed; never returned."`
	Passphrase string `json:"passphrase,omitempty" writeOnly:"true" doc:"Of the private key. Sealed; never returned."`
	Factors
	Remove []string `json:"remove,omitempty" maxItems:"20" nullable:"false" doc:"Parts to take away: password, passphrase, certificate, public_key, one_time_seed, answers. What the kind needs stays."`
	Scope  Scope    `json:"scope,omitempty" doc:"Where it may be used; all of it at once."`
}

// Factors are what a credential logs in with beside a password or a private key.
type Factors struct {
	Certificate string   `json:"certificate,omitempty" writeOnly:"true" doc:"User certificate of the private key or of the agent's key: the line of KEY-cert.pub. Sealed; never returned."`
	PublicKey   string   `json:"public_key,omitempty" writeOnly:"true" doc:"Which of the agent's keys: SHA256:…, or type and base64; without it, each in turn. Sealed; never returned."`
	OneTimeSeed string   `json:"one_time_seed,omitempty" writeOnly:"true" doc:"Seed of time-based one-time codes: base32, or an otpauth URI. Sealed; never returned."`
	Answers     []Prompt `json:"answers,omitempty" writeOnly:"true" maxItems:"20" nullable:"false" doc:"What prompts (keyboard-interactive) are answered, the first that fits. Sealed; never returned."`
}

// Prompt is an answer to a server's prompt.
type Prompt struct {
	Prompt  string `json:"prompt" doc:"What the prompt looks like; * stands for anything, case does not matter."`
	Visible bool   `json:"visible,omitempty" doc:"The answer may be given to a prompt that would show it, too."`
	Text    string `json:"text,omitempty" writeOnly:"true" doc:"The answer; without it, the one-time code."`
}

func (f Factors) answers() []automation.PromptAnswer {
	var out []automation.PromptAnswer
	for _, a := range f.Answers {
		out = append(out, automation.PromptAnswer{Prompt: a.Prompt, Visible: a.Visible, Text: secret(a.Text)})
	}
	return out
}

func (s Scope) toAutomation() automation.CredentialScope {
	out := automation.CredentialScope{Assets: s.Assets, Tags: s.Tags}
	for _, p := range s.Protocols {
		out.Protocols = append(out.Protocols, automation.Protocol(p))
	}
	return out
}

func secret(s string) automation.Secret { return automation.NewSecret([]byte(s)) }

func (r CredentialRequest) toService() service.CredentialRequest {
	return service.CredentialRequest{
		Name: r.Name, Kind: automation.CredentialKind(r.Kind), Username: r.Username, Scope: r.Scope.toAutomation(),
		Password: secret(r.Password), PrivateKey: secret(r.PrivateKey), Passphrase: secret(r.Passphrase),
		Certificate: r.Certificate, PublicKey: r.PublicKey, OneTimeSeed: secret(r.OneTimeSeed), Answers: r.answers(),
	}
}

func (r CredentialChange) toService() service.CredentialRequest {
	return service.CredentialRequest{
		Username: r.Username, Scope: r.Scope.toAutomation(), Remove: r.Remove,
		Password: secret(r.Password), PrivateKey: secret(r.PrivateKey), Passphrase: secret(r.Passphrase),
		Certificate: r.Certificate, PublicKey: r.PublicKey, OneTimeSeed: secret(r.OneTimeSeed), Answers: r.answers(),
	}
}

// CredentialRef names a credential in a path.
type CredentialRef struct {
	Credential string `path:"credential" maxLength:"256" doc:"Identifier or name of the credential."`
}

type credentialOut struct {
	Status   int    `json:"-"`
	ETag     string `header:"ETag" doc:"The version, for If-Match."`
	Location string `header:"Location" doc:"Where the credential is."`
	Body     automation.Credential
}

func answerCredential(c automation.Credential, status int) *credentialOut {
	return &credentialOut{Status: status, ETag: etag(c.Version), Location: "/v1/credentials/" + string(c.ID), Body: c}
}

func addCredentials(a *API) {
	const tag, all, one = "credentials", "/v1/credentials", "/v1/credentials/{credential}"
	register(a, operation{
		id: "list-credentials", method: http.MethodGet, path: all, tag: tag, access: adminToken, summary: "List credentials by name, without their secrets",
	}, a.listCredentials)
	register(a, operation{
		id: "create-credential", method: http.MethodPost, path: all, tag: tag, access: adminToken, status: http.StatusCreated,
		body: jsonBody[CredentialRequest](), summary: "Seal and store a credential",
		about: "200 with the credential of the first time when the Idempotency-Key repeats.", replays: true,
	}, a.createCredential)
	register(a, operation{
		id: "get-credential", method: http.MethodGet, path: one, tag: tag, access: adminToken, summary: "Read a credential, without its secrets",
	}, a.getCredential)
	register(a, operation{
		id: "update-credential", method: http.MethodPut, path: one, tag: tag, access: adminToken, body: jsonBody[CredentialChange](),
		summary: "Change a credential's secrets, user name or scope",
	}, a.updateCredential)
	register(a, operation{
		id: "delete-credential", method: http.MethodDelete, path: one, tag: tag, access: adminToken, status: http.StatusNoContent,
		summary: "Delete a credential that no asset uses",
	}, a.deleteCredential)
}

func (a *API) listCredentials(ctx context.Context, in *Paging) (*listOut[automation.Credential], error) {
	page, err := in.page("credentials")
	if err != nil {
		return nil, err
	}
	credentials, err := a.config.Service.Credentials(ctx, Principal(ctx), page)
	return listed("credentials", in.Limit, credentials, func(c automation.Credential) string { return c.Name }), err
}

func (a *API) createCredential(ctx context.Context, in *Idempotency) (*credentialOut, error) {
	r, err := decode[CredentialRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	c, created, err := a.config.Service.CreateCredential(ctx, Principal(ctx), r.toService(), in.Key)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerCredential(c, createdStatus(created, http.StatusCreated)), nil
}

func (a *API) getCredential(ctx context.Context, in *CredentialRef) (*credentialOut, error) {
	c, err := a.config.Service.Credential(ctx, Principal(ctx), in.Credential)
	return answerCredential(c, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) updateCredential(ctx context.Context, in *struct {
	CredentialRef
	Precondition
},
) (*credentialOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := decode[CredentialChange](ctx, a)
	if err != nil {
		return nil, err
	}
	c, err := a.config.Service.UpdateCredential(ctx, Principal(ctx), in.Credential, r.toService(), version)
	return answerCredential(c, http.StatusOK), changed(err, version, a.credentialVersion(ctx, in.Credential))
}

func (a *API) deleteCredential(ctx context.Context, in *struct {
	CredentialRef
	Precondition
},
) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	err = a.config.Service.DeleteCredential(ctx, Principal(ctx), in.Credential, version)
	return nil, changed(err, version, a.credentialVersion(ctx, in.Credential))
}

func (a *API) credentialVersion(ctx context.Context, ref string) func() (int64, error) {
	return func() (int64, error) {
		c, err := a.config.Service.Credential(ctx, Principal(ctx), ref)
		return c.Version, err //nolint:wrapcheck // problemOf reads the service's error
	}
}
