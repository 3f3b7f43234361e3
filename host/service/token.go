package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
)

const (
	tokenPrefix = "ops_"
	tokenBytes  = 32
	maxName     = 128 // bytes of a token's name
	// DefaultTokenTTL is how long a token lives when its request does not say.
	DefaultTokenTTL = 90 * 24 * time.Hour
	// MaxTokenTTL is the longest that a request may ask for.
	MaxTokenTTL = 5 * 365 * 24 * time.Hour
)

// TokenRequest asks for an API token.
type TokenRequest struct {
	Name string
	Role automation.Role
	// TTL is how long it is valid: from a minute to MaxTokenTTL; 0: DefaultTokenTTL.
	TTL time.Duration
}

// CreateToken makes a token and returns it with its secret, which is shown this
// once: the store has its SHA-256 alone.
func (s *Service) CreateToken(ctx context.Context, p automation.Principal, r TokenRequest) (automation.Token, automation.Secret, error) {
	if err := s.authorise(p, opTokenCreate); err != nil {
		return automation.Token{}, automation.Secret{}, err
	}
	if err := checkToken(r).OrNil(); err != nil {
		return automation.Token{}, automation.Secret{}, err
	}
	if r.TTL == 0 {
		r.TTL = DefaultTokenTTL
	}
	t, secret := s.newToken(p, r)
	act := s.act(p, opTokenCreate, string(t.ID), "")
	act.Detail = detail(map[string]any{"name": t.Name, "role": t.Role, "expires_at": t.Expires})
	out, _, err := s.store.CreateToken(ctx, t, act)
	if err != nil {
		return automation.Token{}, automation.Secret{}, fault(err)
	}
	return out, secret, nil
}

// RevokeToken ends a token at once. Revoking it again changes nothing.
func (s *Service) RevokeToken(ctx context.Context, p automation.Principal, id automation.TokenID) error {
	if err := s.authorise(p, opTokenRevoke); err != nil {
		return err
	}
	if _, err := automation.ParseID[automation.TokenID](string(id)); err != nil {
		return fault(err)
	}
	err := s.store.RevokeToken(ctx, p.Tenant, id, s.act(p, opTokenRevoke, string(id), ""))
	if isCode(err, automation.CodeConflict) { // it was revoked before: a token that is there can refuse for nothing else
		return nil
	}
	return fault(err)
}

// Tokens returns tokens without their secrets (Page.After is an identifier).
func (s *Service) Tokens(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Token, error) {
	if err := s.authorise(p, opTokenRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	out, err := s.store.ListTokens(ctx, p.Tenant, page)
	return out, fault(err)
}

// Authenticate returns whom a token's secret stands for. It fails closed: any
// doubt (a malformed secret, an unknown, expired or revoked token, a role that
// this host does not know) is the same unauthenticated error; a store that does
// not answer is an error as well, never an identity.
//
// The lookup is by the SHA-256 of the secret. Its timing can tell at most how
// far a guess's hash agrees with a stored hash, and without a preimage of such a
// prefix of a random 256-bit secret that is worth nothing; the hash that was
// found is compared in constant time all the same, so that nothing depends on
// how the store compares.
func (s *Service) Authenticate(ctx context.Context, secret string) (automation.Principal, error) {
	if !wellFormed(secret) {
		return automation.Principal{}, unauthenticated()
	}
	hash := sha256.Sum256([]byte(secret))
	t, err := s.store.TokenByHash(ctx, hash[:])
	if isCode(err, automation.CodeNotFound) {
		return automation.Principal{}, unauthenticated()
	}
	if err != nil {
		return automation.Principal{}, fault(err)
	}
	expired := !t.Expires.IsZero() && !s.now().Before(t.Expires)
	known := t.Role == automation.RoleAdmin || t.Role == automation.RoleSubmitter
	whole := t.Tenant != "" && t.ID != "" && t.Name != ""
	if subtle.ConstantTimeCompare(t.Hash, hash[:]) != 1 || !t.Revoked.IsZero() || expired || !known || !whole {
		return automation.Principal{}, unauthenticated()
	}
	return automation.Principal{Tenant: t.Tenant, Name: t.Name, Role: t.Role, Token: t.ID}, nil
}

// BootstrapAdmin makes the first administrator's token, which does not expire,
// when the default tenant has no token at all, and returns its secret. Where
// there is a token already it returns an empty secret. Hosts that start together
// agree on one: the others get the empty secret. It is for the composition root,
// and takes no principal.
func (s *Service) BootstrapAdmin(ctx context.Context) (automation.Secret, error) {
	list, err := s.store.ListTokens(ctx, automation.DefaultTenant, automation.Page{Limit: 1})
	if err != nil || len(list) > 0 {
		return automation.Secret{}, fault(err)
	}
	p := s.system()
	t, secret := s.newToken(p, TokenRequest{Name: "admin", Role: automation.RoleAdmin})
	act := s.act(p, opTokenCreate, string(t.ID), "bootstrap")
	act.Request = digestOf([]byte("bootstrap"))
	act.Detail = detail(map[string]any{"name": t.Name, "role": t.Role, "first": true})
	_, created, err := s.store.CreateToken(ctx, t, act)
	if err != nil || !created {
		return automation.Secret{}, fault(err)
	}
	return secret, nil
}

// system is the principal of what the host does of its own accord. No token
// stands for it, so authorise refuses it: only methods that take no principal use it.
func (s *Service) system() automation.Principal {
	return automation.Principal{Tenant: automation.DefaultTenant, Name: "opsconductor"}
}

func (s *Service) newToken(p automation.Principal, r TokenRequest) (automation.Token, automation.Secret) {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	secret := []byte(tokenPrefix + base64.RawURLEncoding.EncodeToString(b))
	clear(b)
	hash := sha256.Sum256(secret)
	t := automation.Token{
		ID: automation.NewID[automation.TokenID](), Tenant: p.Tenant, Name: r.Name, Role: r.Role,
		Hash: hash[:], Created: s.now().UTC(),
	}
	if r.TTL > 0 {
		t.Expires = t.Created.Add(r.TTL)
	}
	return t, automation.NewSecret(secret)
}

func checkToken(r TokenRequest) automation.Errors {
	var out automation.Errors
	control := strings.ContainsFunc(r.Name, func(c rune) bool { return c < ' ' || c == 0x7f })
	if strings.TrimSpace(r.Name) == "" || len(r.Name) > maxName || !utf8.ValidString(r.Name) || control {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/name", Message: "a token needs a name that says who uses it",
			Allowed: fmt.Sprintf("UTF-8 text of 1 to %d bytes without control characters", maxName),
		})
	}
	if r.Role != automation.RoleAdmin && r.Role != automation.RoleSubmitter {
		out = append(out, &automation.Error{Code: automation.CodeInvalid, Pointer: "/role", Message: "not a role", Allowed: "admin, submitter"})
	}
	if r.TTL != 0 && (r.TTL < time.Minute || r.TTL > MaxTokenTTL) {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/ttl", Message: "the token's time to live is out of range",
			Allowed: "from 1 minute to 5 years",
		})
	}
	return out
}

func wellFormed(secret string) bool {
	text, ok := strings.CutPrefix(secret, tokenPrefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(b) == tokenBytes
}
