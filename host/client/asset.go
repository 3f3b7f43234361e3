package client

import (
	"context"
	"net/http"
	"strconv"

	"opsconductor.dev/host/automation"
)

// AssetRequest is what is said of an asset; an update says all of it.
type AssetRequest struct {
	Name       string         `json:"name"`
	Address    string         `json:"address"`
	Port       int            `json:"port,omitempty"` // 0: the protocol's own
	Protocol   Protocol       `json:"protocol"`
	OS         string         `json:"os,omitempty"`
	Tags       []string       `json:"tags,omitempty"`
	Vars       map[string]any `json:"vars,omitempty"`
	HostKeys   []string       `json:"host_keys,omitempty"`
	Credential string         `json:"credential,omitempty"` // identifier or name
	Queue      string         `json:"queue,omitempty"`      // task queue; "": default
	SSH        AssetSSH       `json:"ssh,omitzero"`
	// KnownHosts are lines of a known_hosts file, for the asset's address and port.
	KnownHosts string `json:"known_hosts,omitempty"`
}

// CredentialRequest is a credential with its secrets, on the way in. In an update
// what is empty stays as it is, and name and kind are not sent.
type CredentialRequest struct {
	Name       string
	Kind       automation.CredentialKind // password, ssh_key or ssh_agent
	Username   string
	Password   Secret
	PrivateKey Secret
	Passphrase Secret
	// Certificate is the line of KEY-cert.pub; PublicKey names a key of the host's
	// agent: SHA256:…, or type and base64.
	Certificate string
	PublicKey   string
	OneTimeSeed Secret // base32, or an otpauth URI
	Answers     []PromptAnswer
	Remove      []string // in an update: names of parts to take away
	Scope       CredentialScope
}

// secretsBody is the one place where the secrets are in the clear.
type secretsBody struct {
	Password   string `json:"password,omitempty"`
	PrivateKey string `json:"private_key,omitempty"`
	Passphrase string `json:"passphrase,omitempty"`

	Certificate string       `json:"certificate,omitempty"`
	PublicKey   string       `json:"public_key,omitempty"`
	OneTimeSeed string       `json:"one_time_seed,omitempty"`
	Answers     []promptBody `json:"answers,omitempty"`
}

type promptBody struct {
	Prompt  string `json:"prompt"`
	Visible bool   `json:"visible,omitempty"`
	Text    string `json:"text,omitempty"`
}

type newCredential struct {
	Name     string                    `json:"name"`
	Kind     automation.CredentialKind `json:"kind"`
	Username string                    `json:"username"`
	Scope    scopeBody                 `json:"scope"`
	secretsBody
}

type credentialChange struct {
	Username string    `json:"username,omitempty"`
	Scope    scopeBody `json:"scope,omitzero"`
	secretsBody
	Remove []string `json:"remove,omitempty"`
}

type scopeBody struct {
	Protocols []Protocol `json:"protocols,omitempty"`
	Assets    []string   `json:"assets,omitempty"`
	Tags      []string   `json:"tags,omitempty"`
}

// IsZero reports whether the scope says nothing, so that it stays as it is.
func (s scopeBody) IsZero() bool { return len(s.Protocols)+len(s.Assets)+len(s.Tags) == 0 }

func (r CredentialRequest) scope() scopeBody {
	return scopeBody{Protocols: r.Scope.Protocols, Assets: r.Scope.Assets, Tags: r.Scope.Tags}
}

func (r CredentialRequest) secrets() secretsBody {
	out := secretsBody{
		Password: string(r.Password.Reveal()), PrivateKey: string(r.PrivateKey.Reveal()), Passphrase: string(r.Passphrase.Reveal()),
		Certificate: r.Certificate, PublicKey: r.PublicKey, OneTimeSeed: string(r.OneTimeSeed.Reveal()),
	}
	for _, a := range r.Answers {
		out.Answers = append(out.Answers, promptBody{a.Prompt, a.Visible, string(a.Text.Reveal())})
	}
	return out
}

// Assets lists assets by name.
func (c *Client) Assets(ctx context.Context, page Page) (List[Asset], error) {
	var out List[Asset]
	err := c.send(ctx, get("v1", "assets").page(page), &out)
	return out, err
}

// Asset returns the asset that ref names: an identifier or a name.
func (c *Client) Asset(ctx context.Context, ref string) (Asset, error) {
	var out Asset
	err := c.send(ctx, get("v1", "assets", segment(ref)), &out)
	return out, err
}

// CreateAsset creates an asset. key is the Idempotency-Key; "": one is made.
func (c *Client) CreateAsset(ctx context.Context, r AssetRequest, key string) (Asset, error) {
	var out Asset
	err := c.send(ctx, post(key, "v1", "assets").json(r), &out)
	return out, err
}

// UpdateAsset replaces what is known of an asset. version is the one that the
// change is made from; 0: whatever it is now.
func (c *Client) UpdateAsset(ctx context.Context, ref string, r AssetRequest, version int64) (Asset, error) {
	var out Asset
	err := c.send(ctx, match(http.MethodPut, version, "v1", "assets", segment(ref)).json(r), &out)
	return out, err
}

// DeleteAsset deletes an asset; version is as for UpdateAsset.
func (c *Client) DeleteAsset(ctx context.Context, ref string, version int64) error {
	return c.send(ctx, match(http.MethodDelete, version, "v1", "assets", segment(ref)), nil)
}

// Credentials lists credentials by name, without their secrets.
func (c *Client) Credentials(ctx context.Context, page Page) (List[Credential], error) {
	var out List[Credential]
	err := c.send(ctx, get("v1", "credentials").page(page), &out)
	return out, err
}

// Credential returns the credential that ref names: an identifier or a name.
func (c *Client) Credential(ctx context.Context, ref string) (Credential, error) {
	var out Credential
	err := c.send(ctx, get("v1", "credentials", segment(ref)), &out)
	return out, err
}

// CreateCredential seals and stores a credential. key is the Idempotency-Key; "":
// one is made.
func (c *Client) CreateCredential(ctx context.Context, r CredentialRequest, key string) (Credential, error) {
	body := newCredential{Name: r.Name, Kind: r.Kind, Username: r.Username, Scope: r.scope(), secretsBody: r.secrets()}
	var out Credential
	err := c.send(ctx, post(key, "v1", "credentials").json(body), &out)
	return out, err
}

// UpdateCredential changes a credential's secrets, user name or scope; version is
// as for UpdateAsset.
func (c *Client) UpdateCredential(ctx context.Context, ref string, r CredentialRequest, version int64) (Credential, error) {
	body := credentialChange{Username: r.Username, Scope: r.scope(), Remove: r.Remove, secretsBody: r.secrets()}
	var out Credential
	err := c.send(ctx, match(http.MethodPut, version, "v1", "credentials", segment(ref)).json(body), &out)
	return out, err
}

// DeleteCredential deletes a credential that no asset uses; version is as for UpdateAsset.
func (c *Client) DeleteCredential(ctx context.Context, ref string, version int64) error {
	return c.send(ctx, match(http.MethodDelete, version, "v1", "credentials", segment(ref)), nil)
}

// match makes the request of a change to one version of an object. It is sent
// once: a second try could meet what the first one did.
func match(method string, version int64, path ...string) request {
	r := request{method: method, path: path, header: http.Header{}}
	tag := "*"
	if version > 0 {
		tag = `"` + strconv.FormatInt(version, 10) + `"`
	}
	r.header.Set("If-Match", tag)
	return r
}
