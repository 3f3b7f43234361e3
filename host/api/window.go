package api

import (
	"context"
	"net/http"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// WindowRequest is the body of a window's creation and update. An update says all
// of it: what is left out takes its default.
type WindowRequest struct {
	Name     string    `json:"name" doc:"Unique in the tenant."`
	Kind     string    `json:"kind,omitempty" enum:"maintenance,freeze" doc:"maintenance: its assets are worked on in its times only; freeze: not in its times. Left out: maintenance."`
	Scope    string    `json:"scope,omitempty" enum:"changes,all" doc:"Which actions it holds back: of every effect but pure, or all. Left out: changes."`
	Assets   []string  `json:"assets,omitempty" doc:"Assets by name; * is all."`
	Tags     []string  `json:"tags,omitempty" doc:"Assets with one of them are in it too."`
	Cron     string    `json:"cron,omitempty" doc:"When it begins: five fields (minute, hour, day of month, month, day of week), or six with the second first. With duration."`
	Duration string    `json:"duration,omitempty" doc:"How long it is each time, like 4h; up to 744h."`
	TimeZone string    `json:"time_zone,omitempty" doc:"IANA name of the zone that cron is read in; left out: UTC."`
	From     time.Time `json:"from,omitzero" doc:"With until, instead of cron: the one time that it is on."`
	Until    time.Time `json:"until,omitzero" doc:"When the one time ends."`
}

func (r WindowRequest) toService() service.WindowRequest {
	return service.WindowRequest{Name: r.Name, WindowSpec: automation.WindowSpec{
		Kind: automation.WindowKind(r.Kind), Scope: automation.WindowScope(r.Scope), Assets: r.Assets, Tags: r.Tags,
		Cron: r.Cron, Duration: r.Duration, TimeZone: r.TimeZone, From: r.From, Until: r.Until,
	}}
}

// WindowRef names a window in a path.
type WindowRef struct {
	Window string `path:"window" maxLength:"256" doc:"Identifier or name of the window."`
}

type windowOut struct {
	Status   int    `json:"-"`
	ETag     string `header:"ETag" doc:"The version, for If-Match."`
	Location string `header:"Location" doc:"Where the window is."`
	Body     automation.Window
}

func answerWindow(w automation.Window, status int) *windowOut {
	return &windowOut{Status: status, ETag: etag(w.Version), Location: "/v1/windows/" + string(w.ID), Body: w}
}

func addWindows(a *API) {
	const tag, one = "windows", "/v1/windows/{window}"
	register(a, operation{
		id: "list-windows", method: http.MethodGet, path: "/v1/windows", tag: tag, access: anyToken, summary: "List maintenance windows by name",
	}, a.listWindows)
	register(a, operation{
		id: "create-window", method: http.MethodPost, path: "/v1/windows", tag: tag, access: adminToken, status: http.StatusCreated,
		body: jsonBody[WindowRequest](), summary: "Create a maintenance window or a freeze", replays: true,
		about: "It holds for what starts from now on; what runs goes on. 200 with the window of the first time when the Idempotency-Key repeats.",
	}, a.createWindow)
	register(a, operation{id: "get-window", method: http.MethodGet, path: one, tag: tag, access: anyToken, summary: "Read a window"}, a.getWindow)
	register(a, operation{
		id: "update-window", method: http.MethodPut, path: one, tag: tag, access: adminToken, body: jsonBody[WindowRequest](), summary: "Replace what is known of a window",
	}, a.updateWindow)
	register(a, operation{
		id: "delete-window", method: http.MethodDelete, path: one, tag: tag, access: adminToken, status: http.StatusNoContent, summary: "Delete a window",
	}, a.deleteWindow)
}

func (a *API) listWindows(ctx context.Context, in *Paging) (*listOut[automation.Window], error) {
	page, err := in.page("windows")
	if err != nil {
		return nil, err
	}
	windows, err := a.config.Service.Windows(ctx, Principal(ctx), page)
	return listed("windows", in.Limit, windows, func(w automation.Window) string { return w.Name }), err
}

func (a *API) createWindow(ctx context.Context, in *Idempotency) (*windowOut, error) {
	r, err := decode[WindowRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	w, created, err := a.config.Service.CreateWindow(ctx, Principal(ctx), r.toService(), in.Key)
	if err != nil {
		return nil, err //nolint:wrapcheck // problemOf reads the service's error
	}
	return answerWindow(w, createdStatus(created, http.StatusCreated)), nil
}

func (a *API) getWindow(ctx context.Context, in *WindowRef) (*windowOut, error) {
	w, err := a.config.Service.Window(ctx, Principal(ctx), in.Window)
	return answerWindow(w, http.StatusOK), err //nolint:wrapcheck // problemOf reads the service's error
}

func (a *API) updateWindow(ctx context.Context, in *struct {
	WindowRef
	Precondition
},
) (*windowOut, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := decode[WindowRequest](ctx, a)
	if err != nil {
		return nil, err
	}
	w, err := a.config.Service.UpdateWindow(ctx, Principal(ctx), in.Window, r.toService(), version)
	return answerWindow(w, http.StatusOK), changed(err, version, a.windowVersion(ctx, in.Window))
}

func (a *API) deleteWindow(ctx context.Context, in *struct {
	WindowRef
	Precondition
},
) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	err = a.config.Service.DeleteWindow(ctx, Principal(ctx), in.Window, version)
	return nil, changed(err, version, a.windowVersion(ctx, in.Window))
}

func (a *API) windowVersion(ctx context.Context, ref string) func() (int64, error) {
	return func() (int64, error) {
		w, err := a.config.Service.Window(ctx, Principal(ctx), ref)
		return w.Version, err //nolint:wrapcheck // problemOf reads the service's error
	}
}
