package client

import (
	"context"
	"net/http"
	"time"

	"opsconductor.dev/host/automation"
)

// TokenRequest asks for a token. TTL 0 is the server's default.
type TokenRequest struct {
	Name string
	Role automation.Role // admin or submitter
	TTL  time.Duration
}

// NewToken is a token with its secret, which the server shows once.
type NewToken struct {
	Token  Token
	Secret Secret
}

// Tokens lists tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context, page Page) (List[Token], error) {
	var out List[Token]
	err := c.send(ctx, get("v1", "tokens").page(page), &out)
	return out, err
}

// CreateToken creates a token. It is sent once: its answer can't be given again.
func (c *Client) CreateToken(ctx context.Context, r TokenRequest) (NewToken, error) {
	body := struct {
		Name string          `json:"name"`
		Role automation.Role `json:"role"`
		TTL  string          `json:"ttl,omitempty"`
	}{Name: r.Name, Role: r.Role}
	if r.TTL != 0 {
		body.TTL = r.TTL.String()
	}
	var out struct {
		Token  Token  `json:"token"`
		Secret string `json:"secret"`
	}
	err := c.send(ctx, request{method: http.MethodPost, path: []string{"v1", "tokens"}}.json(body), &out)
	return NewToken{Token: out.Token, Secret: NewSecret([]byte(out.Secret))}, err
}

// RevokeToken revokes a token.
func (c *Client) RevokeToken(ctx context.Context, id TokenID) error {
	return c.send(ctx, request{method: http.MethodDelete, path: []string{"v1", "tokens", segment(string(id))}}, nil)
}

// Audit lists the audit log, the oldest entry first.
func (c *Client) Audit(ctx context.Context, page Page) (List[AuditEntry], error) {
	var out List[AuditEntry]
	err := c.send(ctx, get("v1", "audit").page(page), &out)
	return out, err
}

// AuditVerdict is what a reading of the whole audit log found.
type AuditVerdict struct {
	Intact  bool   `json:"intact"`
	Entries int64  `json:"entries"` // in order, from the first on
	Problem string `json:"problem,omitempty"`
	Head    string `json:"head,omitempty"` // hexadecimal hash of the last entry that is in order
}

// VerifyAudit has the server read the whole audit log.
func (c *Client) VerifyAudit(ctx context.Context) (AuditVerdict, error) {
	var out AuditVerdict
	err := c.send(ctx, get("v1", "audit", "verify"), &out)
	return out, err
}

// Version is what answers.
type Version struct {
	Version string `json:"version"` // of the host
	API     string `json:"api"`
}

// Version returns what answers.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var out Version
	err := c.send(ctx, get("v1", "version"), &out)
	return out, err
}

// Ready returns nil when the server can work: its database answers and its
// scheduler runs. It is sent once.
func (c *Client) Ready(ctx context.Context) error {
	return c.send(ctx, request{method: http.MethodGet, path: []string{"readyz"}}, nil)
}

// Healthy returns nil when the server's process answers. It is sent once.
func (c *Client) Healthy(ctx context.Context) error {
	return c.send(ctx, request{method: http.MethodGet, path: []string{"healthz"}}, nil)
}

// OpenAPI returns the server's OpenAPI document as JSON.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) {
	return c.fetch(ctx, get("openapi.json"))
}

// Metrics returns the server's metrics in the Prometheus text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) { return c.fetch(ctx, get("metrics")) }
