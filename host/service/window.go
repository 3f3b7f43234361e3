package service

import (
	"context"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/scheduler/cron"
	"opsconductor.dev/host/store"
)

// WindowRequest is what a caller says of a maintenance window; an update says all of it.
type WindowRequest struct {
	Name string `json:"name"`
	automation.WindowSpec
}

// CreateWindow stores a maintenance window. It holds for what starts from now on.
// The same key with the same request gives the window of the first time and false.
func (s *Service) CreateWindow(ctx context.Context, p automation.Principal, r WindowRequest, key string) (automation.Window, bool, error) {
	if err := s.authorise(p, opWindowCreate); err != nil {
		return automation.Window{}, false, err
	}
	w, err := newWindow(p.Tenant, r, checkKey(key))
	if err != nil {
		return automation.Window{}, false, err
	}
	w.ID, w.Version = automation.NewID[automation.WindowID](), 1
	act := s.act(p, opWindowCreate, string(w.ID), key)
	w.Created, w.Updated = store.Moment(act.At), store.Moment(act.At)
	act.Request, act.Detail = digestJSON(r), detail(r)
	w, created, err := s.store.CreateWindow(ctx, w, act)
	return w, created, nameTaken(err, "a window")
}

// UpdateWindow replaces what is known of a window. version is the version that the
// change is made from; 0 stands for whatever it is now.
func (s *Service) UpdateWindow(ctx context.Context, p automation.Principal, ref string, r WindowRequest, version int64) (automation.Window, error) {
	if err := s.authorise(p, opWindowUpdate); err != nil {
		return automation.Window{}, err
	}
	old, err := s.windowToChange(ctx, p.Tenant, ref, version)
	if err != nil {
		return automation.Window{}, err
	}
	w, err := newWindow(p.Tenant, r, nil)
	if err != nil {
		return automation.Window{}, err
	}
	w.ID, w.Created, w.Version = old.ID, old.Created, old.Version
	act := s.act(p, opWindowUpdate, string(old.ID), "")
	w.Updated, act.Detail = store.Moment(act.At), detail(r)
	w, err = s.store.UpdateWindow(ctx, w, act)
	return w, nameTaken(err, "a window")
}

// DeleteWindow removes a window. version is as for UpdateWindow.
func (s *Service) DeleteWindow(ctx context.Context, p automation.Principal, ref string, version int64) error {
	if err := s.authorise(p, opWindowDelete); err != nil {
		return err
	}
	old, err := s.windowToChange(ctx, p.Tenant, ref, version)
	if err != nil {
		return err
	}
	act := s.act(p, opWindowDelete, string(old.ID), "")
	act.Detail = detail(map[string]any{"name": old.Name})
	return fault(s.store.DeleteWindow(ctx, p.Tenant, old.ID, act))
}

func (s *Service) windowToChange(ctx context.Context, tenant automation.TenantID, ref string, version int64) (automation.Window, error) {
	old, err := s.findWindow(ctx, tenant, ref)
	if err != nil {
		return automation.Window{}, err
	}
	return old, checkVersion("window", old.Version, version)
}

// Window returns the window that ref names: an identifier or a name.
func (s *Service) Window(ctx context.Context, p automation.Principal, ref string) (automation.Window, error) {
	if err := s.authorise(p, opWindowRead); err != nil {
		return automation.Window{}, err
	}
	return s.findWindow(ctx, p.Tenant, ref)
}

// Windows returns windows by name (Page.After is a name).
func (s *Service) Windows(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Window, error) {
	if err := s.authorise(p, opWindowRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	out, err := s.store.ListWindows(ctx, p.Tenant, page)
	return out, fault(err)
}

func (s *Service) findWindow(ctx context.Context, tenant automation.TenantID, ref string) (automation.Window, error) {
	if id, err := automation.ParseID[automation.WindowID](ref); err == nil {
		out, err := s.store.Window(ctx, tenant, id)
		return out, fault(err)
	}
	if !inventory.IsName(ref) {
		return automation.Window{}, notFound("window")
	}
	out, err := s.store.WindowByName(ctx, tenant, ref)
	return out, fault(err)
}

// newWindow validates a request and fills in its defaults; what earlier found
// joins the list of problems.
func newWindow(tenant automation.TenantID, r WindowRequest, earlier *automation.Error) (automation.Window, error) {
	w := automation.Window{Tenant: tenant, Name: r.Name, WindowSpec: r.WindowSpec}
	if w.Kind == "" {
		w.Kind = automation.WindowMaintenance
	}
	if w.Scope == "" {
		w.Scope = automation.WindowChanges
	}
	w.From, w.Until = store.Moment(w.From), store.Moment(w.Until)
	checks := append([]*automation.Error{
		earlier, inventory.CheckName("/name", r.Name),
		oneOf("/kind", w.Kind, automation.WindowKinds()), oneOf("/scope", w.Scope, automation.WindowScopes()),
	}, checkMembers(w.WindowSpec)...)
	if w.Cron != "" {
		checks = append(checks, checkRecurring(&w.WindowSpec)...)
	} else {
		checks = append(checks, checkOnce(w.WindowSpec)...)
	}
	return w, refused(checks...)
}

// maxMembers bounds the assets and the tags of a window.
const maxMembers = 1000

func checkMembers(w automation.WindowSpec) []*automation.Error {
	var out []*automation.Error
	if len(w.Assets) == 0 && len(w.Tags) == 0 {
		out = append(out, &automation.Error{
			Code: automation.CodeMissing, Pointer: "/assets", Message: "the window holds for no asset", Suggestion: `name assets or tags, or all of them: ["*"]`,
		})
	}
	return append(out, checkWords("/assets", w.Assets, func(s string) bool { return s == "*" || inventory.IsName(s) }, "names of assets, or *"),
		checkWords("/tags", w.Tags, inventory.IsTag, "tags"))
}

func checkWords(pointer string, words []string, good func(string) bool, allowed string) *automation.Error {
	if len(words) > maxMembers {
		return &automation.Error{Code: automation.CodeLimit, Pointer: pointer, Message: "too many entries", Allowed: "1000", Suggestion: "use tags"}
	}
	for _, w := range words {
		if !good(w) {
			return &automation.Error{Code: automation.CodeInvalid, Pointer: pointer, Message: "an entry is not well formed", Allowed: allowed}
		}
	}
	return nil
}

const (
	minWindow = time.Minute
	maxWindow = 31 * 24 * time.Hour
)

func checkRecurring(w *automation.WindowSpec) []*automation.Error {
	var out []*automation.Error
	if !w.From.IsZero() || !w.Until.IsZero() {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/from", Message: "a window has the times of a cron expression, or one time from … until: not both",
			Suggestion: "leave out cron, or from and until",
		})
	}
	if w.TimeZone == "" {
		w.TimeZone = "UTC"
	}
	zone, err := cron.Zone(w.TimeZone)
	if err != nil {
		out = append(out, placed(err, "/time_zone"))
		zone = time.UTC
	}
	if _, err := cron.Parse(w.Cron, zone); err != nil {
		out = append(out, placed(err, "/cron"))
	}
	if d, err := time.ParseDuration(w.Duration); err != nil || d < minWindow || d > maxWindow {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/duration", Message: "that is not how long a window can be", Allowed: "1m to 744h, like 4h or 1h30m",
		})
	}
	return out
}

func checkOnce(w automation.WindowSpec) []*automation.Error {
	var out []*automation.Error
	if w.Duration != "" || w.TimeZone != "" {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/duration", Message: "duration and time_zone belong to a cron expression", Suggestion: "set cron, or leave them out",
		})
	}
	switch {
	case w.From.IsZero() && w.Until.IsZero():
		out = append(out, &automation.Error{
			Code: automation.CodeMissing, Pointer: "/cron", Message: "the window has no times",
			Suggestion: `set cron and duration, like "0 2 * * 6" and "4h", or from and until`,
		})
	case w.From.IsZero() || !w.Until.After(w.From):
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/until", Message: "the window's one time does not end after it begins", Allowed: "from before until, both times by RFC 3339",
		})
	}
	return out
}
