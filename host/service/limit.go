package service

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/store"
)

// LimitRequest is what a caller says of a limit; an update says all of it, and
// with the kind and the match that it has.
type LimitRequest struct {
	Kind  automation.LimitKind `json:"kind"`
	Match string               `json:"match,omitempty"` // a credential's: its name or its identifier
	Max   int                  `json:"max,omitempty"`
	Rate  *RateRequest         `json:"rate,omitempty"`
}

// RateRequest is how often something may start.
type RateRequest struct {
	Count int    `json:"count"`
	Per   string `json:"per"`             // a duration like 1m
	Burst int    `json:"burst,omitempty"` // 0: 1
}

// CreateLimit stores a limit. It holds for what starts from now on. The same key
// with the same request gives the limit of the first time and false.
func (s *Service) CreateLimit(ctx context.Context, p automation.Principal, r LimitRequest, key string) (automation.Limit, bool, error) {
	if err := s.authorise(p, opLimitCreate); err != nil {
		return automation.Limit{}, false, err
	}
	if err := ownDeployment(p); err != nil {
		return automation.Limit{}, false, err
	}
	l, err := s.newLimit(ctx, p.Tenant, r, checkKey(key))
	if err != nil {
		return automation.Limit{}, false, err
	}
	l.ID, l.Version = automation.NewID[automation.LimitID](), 1
	act := s.act(p, opLimitCreate, string(l.ID), key)
	l.Created, l.Updated = store.Moment(act.At), store.Moment(act.At)
	act.Request, act.Detail = digestJSON(r), detail(r)
	l, created, err := s.store.CreateLimit(ctx, l, act)
	if e := nameTaken(err, "a limit"); e != nil {
		if isCode(err, automation.CodeConflict) {
			at := *automation.AsError(e)
			if at.Pointer == "/name" {
				at.Pointer, at.Message, at.Suggestion = "/match", "there is a limit of this kind and match already", "change the one that is there"
			}
			return automation.Limit{}, false, &at
		}
		return automation.Limit{}, false, e
	}
	return l, created, nil
}

// UpdateLimit replaces the bounds of a limit; its kind and match stay. version is
// the version that the change is made from; 0 stands for whatever it is now. What
// runs goes on, and what is over a lowered bound ends before more starts.
func (s *Service) UpdateLimit(ctx context.Context, p automation.Principal, id string, r LimitRequest, version int64) (automation.Limit, error) {
	if err := s.authorise(p, opLimitUpdate); err != nil {
		return automation.Limit{}, err
	}
	old, err := s.limitToChange(ctx, p, id, version)
	if err != nil {
		return automation.Limit{}, err
	}
	l, err := s.newLimit(ctx, p.Tenant, r, nil)
	if err != nil {
		return automation.Limit{}, err
	}
	if l.Kind != old.Kind || l.Match != old.Match {
		return automation.Limit{}, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/match", Message: "a limit keeps its kind and its match", Suggestion: "delete it and create another one",
		}
	}
	l.ID, l.Created, l.Version = old.ID, old.Created, old.Version
	act := s.act(p, opLimitUpdate, string(old.ID), "")
	l.Updated, act.Detail = store.Moment(act.At), detail(r)
	out, err := s.store.UpdateLimit(ctx, l, act)
	return out, fault(err)
}

// DeleteLimit removes a limit. version is as for UpdateLimit.
func (s *Service) DeleteLimit(ctx context.Context, p automation.Principal, id string, version int64) error {
	if err := s.authorise(p, opLimitDelete); err != nil {
		return err
	}
	old, err := s.limitToChange(ctx, p, id, version)
	if err != nil {
		return err
	}
	act := s.act(p, opLimitDelete, string(old.ID), "")
	act.Detail = detail(map[string]any{"kind": old.Kind, "match": old.Match})
	return fault(s.store.DeleteLimit(ctx, p.Tenant, old.ID, act))
}

func (s *Service) limitToChange(ctx context.Context, p automation.Principal, id string, version int64) (automation.Limit, error) {
	old, err := s.findLimit(ctx, p.Tenant, id)
	if err != nil {
		return automation.Limit{}, err
	}
	if err := ownDeployment(p); err != nil {
		return automation.Limit{}, err
	}
	return old, checkVersion("limit", old.Version, version)
}

// ownDeployment refuses other tenants: limits are the deployment's, and hold for
// the attempts of all of them.
func ownDeployment(p automation.Principal) error {
	if p.Tenant == automation.DefaultTenant {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeForbidden, Message: "limits are the deployment's: they hold for every tenant",
		Allowed: "administrators of the tenant " + string(automation.DefaultTenant), Suggestion: "ask whoever operates it",
	}
}

// Limit returns the limit with an identifier.
func (s *Service) Limit(ctx context.Context, p automation.Principal, id string) (automation.Limit, error) {
	if err := s.authorise(p, opLimitRead); err != nil {
		return automation.Limit{}, err
	}
	return s.findLimit(ctx, p.Tenant, id)
}

func (s *Service) findLimit(ctx context.Context, tenant automation.TenantID, id string) (automation.Limit, error) {
	parsed, err := automation.ParseID[automation.LimitID](id)
	if err != nil {
		return automation.Limit{}, notFound("limit")
	}
	out, err := s.store.Limit(ctx, tenant, parsed)
	return out, fault(err)
}

// Limits returns limits by identifier (Page.After is one): the oldest first.
func (s *Service) Limits(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Limit, error) {
	if err := s.authorise(p, opLimitRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	out, err := s.store.ListLimits(ctx, p.Tenant, page)
	return out, fault(err)
}

// LimitFor returns the limit of a kind and match. The match of a credential may be
// its name.
func (s *Service) LimitFor(ctx context.Context, p automation.Principal, kind automation.LimitKind, match string) (automation.Limit, error) {
	if err := s.authorise(p, opLimitRead); err != nil {
		return automation.Limit{}, err
	}
	match, matchFault, err := s.checkMatch(ctx, p.Tenant, kind, match)
	if err == nil {
		err = refused(oneOf("/kind", kind, automation.LimitKinds()), matchFault)
	}
	if err != nil {
		return automation.Limit{}, err
	}
	out, err := s.store.LimitFor(ctx, p.Tenant, kind, match)
	return out, fault(err)
}

// The bounds of what a limit may say.
const (
	maxLimit    = 1_000_000
	maxBurst    = 10_000
	maxRatePer  = 31 * 24 * time.Hour
	maxKeyBytes = 200 // of a concurrency key
)

// newLimit validates a request; what earlier found joins the list of problems.
func (s *Service) newLimit(ctx context.Context, tenant automation.TenantID, r LimitRequest, earlier *automation.Error) (automation.Limit, error) {
	l := automation.Limit{Tenant: tenant, Kind: r.Kind, Max: r.Max}
	match, matchFault, err := s.checkMatch(ctx, tenant, r.Kind, r.Match)
	if err != nil {
		return l, err
	}
	l.Match = match
	checks := []*automation.Error{earlier, oneOf("/kind", r.Kind, automation.LimitKinds()), matchFault}
	if r.Max < 0 || r.Max > maxLimit {
		checks = append(checks, &automation.Error{Code: automation.CodeInvalid, Pointer: "/max", Message: "that is not how many can run", Allowed: "1 to 1000000, or 0 to leave it to what is more general"})
	}
	if r.Max == 0 && r.Rate == nil {
		checks = append(checks, &automation.Error{Code: automation.CodeMissing, Pointer: "/max", Message: "the limit limits nothing", Suggestion: "set max, or rate, or both"})
	}
	if r.Rate != nil {
		var faults []*automation.Error
		l.Rate, faults = newRate(*r.Rate)
		checks = append(checks, faults...)
	}
	return l, refused(checks...)
}

func newRate(r RateRequest) (*automation.Rate, []*automation.Error) {
	var faults []*automation.Error
	if r.Count < 1 || r.Count > maxLimit {
		faults = append(faults, &automation.Error{Code: automation.CodeInvalid, Pointer: "/rate/count", Message: "that is not how many can start", Allowed: "1 to 1000000"})
	}
	per, err := time.ParseDuration(r.Per)
	if err != nil || per < time.Millisecond || per > maxRatePer {
		faults = append(faults, &automation.Error{Code: automation.CodeInvalid, Pointer: "/rate/per", Message: "that is not a time that starts can be counted in", Allowed: "1ms to 744h, like 1s or 1m30s"})
	}
	if r.Burst < 0 || r.Burst > maxBurst {
		faults = append(faults, &automation.Error{Code: automation.CodeInvalid, Pointer: "/rate/burst", Message: "that is not how many can start at once", Allowed: "1 to 10000"})
	}
	return &automation.Rate{Count: r.Count, Per: per, Burst: max(r.Burst, 1)}, faults
}

// checkMatch checks a limit's match, and turns a credential's name into its identifier.
func (s *Service) checkMatch(ctx context.Context, tenant automation.TenantID, kind automation.LimitKind, match string) (string, *automation.Error, error) {
	if match == "" {
		return "", nil, nil
	}
	bad := func(allowed string, good bool) (string, *automation.Error, error) {
		if good {
			return match, nil, nil
		}
		return match, &automation.Error{Code: automation.CodeInvalid, Pointer: "/match", Message: fmt.Sprintf("that names no %s", kind), Allowed: allowed}, nil
	}
	switch kind {
	case automation.LimitGlobal:
		return bad("no match: there is one global limit", false)
	case automation.LimitTenant:
		return bad("the name of a tenant", inventory.IsName(match))
	case automation.LimitQueue:
		return bad(automation.QueueRule, automation.IsQueue(match))
	case automation.LimitPlugin:
		return bad("the name of a plugin, without a version, like linux", pluginPattern().MatchString(match))
	case automation.LimitAction:
		return bad("plugin.action, without a version, like linux.command", actionPattern().MatchString(match))
	case automation.LimitAsset:
		return bad("the name of an asset", inventory.IsName(match))
	case automation.LimitConcurrency:
		return bad("a concurrency key of up to 200 bytes", len(match) <= maxKeyBytes && storable(match))
	case automation.LimitCredential:
		c, err := s.findCredential(ctx, tenant, match)
		if isCode(err, automation.CodeNotFound) {
			return match, &automation.Error{
				Code: automation.CodeUnknownName, Pointer: "/match", Message: "there is no credential of that name", Suggestion: "list the credentials, or create it first",
			}, nil
		}
		return string(c.ID), nil, err
	}
	return match, nil, nil // the kind is at fault
}

func pluginPattern() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`) }

func actionPattern() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}\.[A-Za-z_][A-Za-z0-9_-]{0,62}$`)
}

// storable reports whether a text is UTF-8 without control characters.
func storable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return false
		}
	}
	return true
}
