package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// LimitRequest is the body of a limit's creation and update. An update says all of
// it, with the kind and the match that it has.
type LimitRequest struct {
	Kind  string     `json:"kind" enum:"global,tenant,queue,plugin,action,credential,asset,concurrency_key" doc:"By what it counts; each value of a kind has its own counter."`
	Match string     `json:"match,omitempty" doc:"The value that it is for: a name (of an action: plugin.action). Left out: each value that has no limit of its own."`
	Max   int        `json:"max,omitempty" minimum:"0" maximum:"1000000" doc:"How many attempts run at the same time. Left out: as the limit without a match says."`
	Rate  *RateValue `json:"rate,omitempty" doc:"How often attempts start. Left out: as the limit without a match says."`
}

// RateValue is how often attempts start.
type RateValue struct {
	Count int    `json:"count" minimum:"1" maximum:"1000000" doc:"How many."`
	Per   string `json:"per" doc:"In what time, like 1s or 1m; 744h at the most."`
	Burst int    `json:"burst,omitempty" minimum:"0" maximum:"10000" doc:"How many may start at once after a time of rest; left out: 1, evenly spaced."`
}

func (r LimitRequest) toService() service.LimitRequest {
	out := service.LimitRequest{Kind: automation.LimitKind(r.Kind), Match: r.Match, Max: r.Max}
	if r.Rate != nil {
		out.Rate = &service.RateRequest{Count: r.Rate.Count, Per: r.Rate.Per, Burst: r.Rate.Burst}
	}
	return out
}

// Limit is a limit as it is shown.
type Limit struct {
	ID      automation.LimitID   `json:"id"`
	Kind    automation.LimitKind `json:"kind" doc:"By what it counts."`
	Match   string               `json:"match" doc:"The value that it is for; empty: each value that has no limit of its own. A credential's identifier."`
	Max     int                  `json:"max,omitempty" doc:"How many attempts run at the same time."`
	Rate    *RateValue           `json:"rate,omitempty" doc:"How often attempts start."`
	Created time.Time            `json:"created_at" doc:"When it was created."`
	Updated time.Time            `json:"updated_at" doc:"When it was last changed."`
	Version int64                `json:"version" doc:"Counts the changes, from 1; the ETag."`
}

func shownLimit(l automation.Limit) Limit {
	out := Limit{ID: l.ID, Kind: l.Kind, Match: l.Match, Max: l.Max, Created: l.Created, Updated: l.Updated, Version: l.Version}
	if r := l.Rate; r != nil {
		out.Rate = &RateValue{Count: r.Count, Per: shortly(r.Per), Burst: r.Burst}
	}
	return out
}

// shortly is a duration without the parts that are zero: 1m, not 1m0s.
func shortly(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// LimitRef names a limit in a path.
type LimitRef struct {
	Limit string `path:"limit" maxLength:"256" doc:"Identifier of the limit."`
}

type limitOut struct {
	Status   int    `json:"-"`
	ETag     string `header:"ETag" doc:"The version, for If-Match."`
	Location string `header:"Location" doc:"Where the limit is."`
	Body     Limit
}

func answerLimit(l automation.Limit, status int) *limitOut {
	return &limitOut{Status: status, ETag: etag(l.Version), Location: "/v1/limits/" + string(l.ID), Body: shownLimit(l)}
}

func addLimits(a *API) {
	const tag, one = "limits", "/v1/limits/{limit}"
	register(a, operation{
		id: "list-limits", method: http.MethodGet, path: "/v1/limits", tag: tag, access: anyToken, summary: "List limits, the oldest first",
		about: "With kind: the limit of that kind and match alone, if there is one.",
	}, a.listLimits)
	register(a, operation{
		id: "create-limit", method: http.MethodPost, path: "/v1/limits", tag: tag, access: adminToken, status: http.StatusCreated,
		body: jsonBody[LimitRequest](), summary: "Create a limit", replays: true,
		about: "It holds for the attempts of every tenant that start from now on; administrators of the tenant default set it. 200 with the limit of the first time when the Idempotency-Key repeats.",
	}, a.createLimit)
	register(a, operation{id: "get-limit", method: http.MethodGet, path: one, tag: tag, access: anyToken, summary: "Read a limit"}, a.getLimit)
	register(a, operation{
		id: "update-limit", method: http.MethodPut, path: one, tag: tag, access: adminToken, body: jsonBody[LimitRequest](), summary: "Replace the bounds of a limit",
		about: "What runs goes on: what is over a lowered bound ends before more starts.",
	}, a.updateLimit)
	register(a, operation{
		id: "delete-limit", method: http.MethodDelete, path: one, tag: tag, access: adminToken, status: http.StatusNoContent, summary: "Delete a limit",
	}, a.deleteLimit)
}

func (a *API) listLimits(ctx context.Context, in *struct {
	Paging
	Kind  string `query:"kind" doc:"Only the limit of this kind and match."`
	Match string `query:"match" maxLength:"256" doc:"With kind: its match; left out: the limit without one."`
},
) (*listOut[Limit], error) {
	if in.Kind != "" {
		l, err := a.config.Service.LimitFor(ctx, Principal(ctx), automation.LimitKind(in.Kind), in.Match)
		switch {
		case automation.CodeOf(err) == automation.CodeNotFound:
			return listed[Limit]("limits", 0, nil, nil), nil
		case err != nil:
			return nil, err //nolint:wrapcheck // problemOf reads the service's error
		}
		return listed("limits", 0, []Limit{shownLimit(l)}, nil), nil
	}
	page, err := in.page("limits")
	if err != nil {
		return nil, err
	}
	limits, err := a.config.Service.Limits(ctx, Principal(ctx), page)
	shown := make([]Limit, len(limits))
	for i := range limits {
		shown[i] = shownLimit(limits[i])
	}
	return listed("limits", in.Limit, shown, func(l Limit) string { return string(l.ID) }), err
}

func (a *API) createLimit(ctx context.Context, in *Idempotency) (*limitOut, error) {
	r, err := decode[LimitRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	l, created, err := a.config.Service.CreateLimit(ctx, Principal(ctx), r.toService(), in.Key)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerLimit(l, createdStatus(created, http.StatusCreated)), nil
}

func (a *API) getLimit(ctx context.Context, in *LimitRef) (*limitOut, error) {
	l, err := a.config.Service.Limit(ctx, Principal(ctx), in.Limit)
	return answerLimit(l, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) updateLimit(ctx context.Context, in *struct {
	LimitRef
	Precondition
},
) (*limitOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := decode[LimitRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	l, err := a.config.Service.UpdateLimit(ctx, Principal(ctx), in.Limit, r.toService(), version)
	return answerLimit(l, http.StatusOK), changed(err, version, a.limitVersion(ctx, in.Limit))
}

func (a *API) deleteLimit(ctx context.Context, in *struct {
	LimitRef
	Precondition
},
) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	err = a.config.Service.DeleteLimit(ctx, Principal(ctx), in.Limit, version)
	return nil, changed(err, version, a.limitVersion(ctx, in.Limit))
}

func (a *API) limitVersion(ctx context.Context, ref string) func() (int64, error) {
	return func() (int64, error) {
		l, err := a.config.Service.Limit(ctx, Principal(ctx), ref)
		return l.Version, err //nolint:wrapcheck // problemOf reads the service's error
	}
}
