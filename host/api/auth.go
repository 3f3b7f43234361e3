package api

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"opsconductor.dev/host/automation"
)

const maxBearer = 512 // bytes of a token's secret that are looked at

// caller is who sent a request. The access log makes an empty one, and the guard
// fills it in once the token is known to be good.
type caller struct{ principal automation.Principal }

type (
	callerKey    struct{}
	principalKey struct{}
)

// Principal returns who the request of ctx was authenticated as. Without one it
// returns the zero Principal, which has no role and may do nothing.
func Principal(ctx context.Context) automation.Principal {
	p, _ := ctx.Value(principalKey{}).(automation.Principal)
	return p
}

// guard stands in front of every operation: it authenticates, checks the
// operation's access, bounds the requests under way of one token, and reads the
// body. It is the only way to a handler.
func (a *API) guard(op *operation) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		r, w := humachi.Unwrap(hc)
		ctx := hc.Context()
		if op.access != public {
			p, err := a.authenticate(r)
			if err != nil {
				writeProblem(w, problemOf(ctx, a.config.Log, err))
				return
			}
			if seen, ok := ctx.Value(callerKey{}).(*caller); ok {
				seen.principal = p
			}
			if !op.access.allows(p.Role) {
				writeProblem(w, problemOf(ctx, a.config.Log, forbidden(op)))
				return
			}
			token := bound{string(p.Token), a.config.MaxInFlight}
			if !a.underWay.begin(token) {
				writeProblem(w, problemOf(ctx, a.config.Log, tooMany()))
				return
			}
			defer a.underWay.end(token)
			ctx = context.WithValue(ctx, principalKey{}, p)
		}
		if op.bounded != nil {
			bounds := op.bounded(r)
			if !a.underWay.begin(bounds...) {
				writeProblem(w, problemOf(ctx, a.config.Log, tooManyHooks()))
				return
			}
			defer a.underWay.end(bounds...)
		}
		if err := checkQuery(r); err != nil {
			writeProblem(w, problemOf(ctx, a.config.Log, err))
			return
		}
		body, err := a.readBody(op, w, r)
		if err != nil {
			writeProblem(w, problemOf(ctx, a.config.Log, err))
			return
		}
		next(huma.WithContext(hc, context.WithValue(ctx, payloadKey{}, body)))
	}
}

// authenticate finds the principal of a request's bearer token (RFC 6750). There
// is no default identity: whatever is missing or odd is an error.
func (a *API) authenticate(r *http.Request) (automation.Principal, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return automation.Principal{}, unauthenticated()
	}
	scheme, secret, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > maxBearer {
		return automation.Principal{}, unauthenticated()
	}
	p, err := a.config.Service.Authenticate(r.Context(), secret)
	if err != nil {
		return automation.Principal{}, err //nolint:wrapcheck // problemOf reads the service's error
	}
	if p.Tenant == "" || p.Role == "" || p.Token == "" {
		return automation.Principal{}, unauthenticated()
	}
	return p, nil
}

func unauthenticated() error {
	return &automation.Error{
		Code: automation.CodeUnauthenticated, Message: "the request has no valid token",
		Suggestion: "send Authorization: Bearer TOKEN",
	}
}

func forbidden(op *operation) error {
	return &automation.Error{
		Code: automation.CodeForbidden, Message: "the token's role does not allow " + op.id,
		Suggestion: "use a token of the role " + string(automation.RoleAdmin),
	}
}

func tooMany() error {
	return &automation.Error{
		Code: automation.CodeThrottled, Message: "the token has too many requests under way",
		Suggestion: "wait for some of them, and send the request again", CanRetry: true,
	}
}

func tooManyHooks() error {
	return &automation.Error{
		Code: automation.CodeThrottled, Message: "too many requests to this address are under way",
		Suggestion: "wait for some of them, and send the request again", CanRetry: true,
	}
}

// bound is a key under which requests under way count, and how many there may be.
type bound struct {
	key  string
	most int
}

// inFlight counts the requests under way by key. It is safe for concurrent use.
type inFlight struct {
	mu    sync.Mutex
	byKey map[string]int
}

// begin counts a request under all keys, or, where one of them is full, under none.
func (f *inFlight) begin(bounds ...bound) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range bounds {
		if f.byKey[b.key] >= b.most {
			return false
		}
	}
	for _, b := range bounds {
		f.byKey[b.key]++
	}
	return true
}

func (f *inFlight) end(bounds ...bound) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range bounds {
		if f.byKey[b.key]--; f.byKey[b.key] <= 0 {
			delete(f.byKey, b.key)
		}
	}
}
