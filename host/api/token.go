package api

import (
	"context"
	"net/http"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// TokenRequest is the body of a token's creation.
type TokenRequest struct {
	Name string `json:"name" doc:"Who or what it is for; the record of runs and changes has it."`
	Role string `json:"role" enum:"admin,submitter" doc:"What it may do."`
	TTL  string `json:"ttl,omitempty" maxLength:"32" doc:"How long it is valid, like 720h; left out: 90 days."`
}

// NewToken is a token with its secret, which is shown once.
type NewToken struct {
	Token  automation.Token `json:"token" doc:"The token as it is listed."`
	Secret string           `json:"secret" doc:"Send it as Authorization: Bearer SECRET. It is not stored and never shown again."`
}

type newTokenOut struct{ Body NewToken }

func addTokens(a *API) {
	const tag, all = "tokens", "/v1/tokens"
	register(a, operation{
		id: "list-tokens", method: http.MethodGet, path: all, tag: tag, access: adminToken, summary: "List tokens, without their secrets",
	}, a.listTokens)
	register(a, operation{
		id: "create-token", method: http.MethodPost, path: all, tag: tag, access: adminToken, status: http.StatusCreated,
		body: jsonBody[TokenRequest](), summary: "Create a token",
		about: "The answer has the secret, once. There is no Idempotency-Key: a repeated answer would need the secret to be stored.",
	}, a.createToken)
	register(a, operation{
		id: "revoke-token", method: http.MethodDelete, path: all + "/{token}", tag: tag, access: adminToken, status: http.StatusNoContent,
		summary: "Revoke a token", about: "From now on it is refused.",
	}, a.revokeToken)
}

func (a *API) listTokens(ctx context.Context, in *Paging) (*listOut[automation.Token], error) {
	page, err := in.page("tokens")
	if err != nil {
		return nil, err
	}
	tokens, err := a.config.Service.Tokens(ctx, Principal(ctx), page)
	return listed("tokens", in.Limit, tokens, func(t automation.Token) string { return string(t.ID) }), err
}

func (a *API) createToken(ctx context.Context, _ *struct{}) (*newTokenOut, error) {
	r, err := decode[TokenRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	ttl, err := lifetime(r.TTL)
	if err != nil {
		return nil, err
	}
	token, secret, err := a.config.Service.CreateToken(ctx, Principal(ctx), service.TokenRequest{
		Name: r.Name, Role: automation.Role(r.Role), TTL: ttl,
	})
	return &newTokenOut{Body: NewToken{Token: token, Secret: string(secret.Reveal())}}, err //nolint:wrapcheck // problemOf reads it
}

func lifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl <= 0 {
		return 0, &automation.Error{Code: automation.CodeInvalid, Pointer: "/ttl", Message: "not a lifetime", Allowed: "a positive duration, like 720h"}
	}
	return ttl, nil
}

func (a *API) revokeToken(ctx context.Context, in *struct {
	Token string `path:"token" maxLength:"64" doc:"The token's identifier."`
},
) (*struct{}, error) {
	id, err := automation.ParseID[automation.TokenID](in.Token)
	if err != nil {
		return nil, &automation.Error{Code: automation.CodeNotFound, Message: "there is no such token", Suggestion: "list the tokens to see their identifiers"}
	}
	return nil, a.config.Service.RevokeToken(ctx, Principal(ctx), id)
}
