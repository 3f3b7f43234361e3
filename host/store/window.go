package store

import (
	"context"

	"opsconductor.dev/host/automation"
)

// Windows is the stored maintenance windows. A change wakes the leader (TopicSettings).
type Windows interface {
	// CreateWindow stores a window in version 1; conflict when the name is taken. For
	// a repeated act.Key it returns the window of that time and false.
	CreateWindow(ctx context.Context, w automation.Window, act automation.Act) (automation.Window, bool, error)
	// UpdateWindow replaces a window whose Version is still w.Version and raises it;
	// ID, Tenant and Created stay.
	UpdateWindow(ctx context.Context, w automation.Window, act automation.Act) (automation.Window, error)
	DeleteWindow(ctx context.Context, tenant automation.TenantID, id automation.WindowID, act automation.Act) error
	Window(ctx context.Context, tenant automation.TenantID, id automation.WindowID) (automation.Window, error)
	// WindowByName returns the window with a name; not_found without one.
	WindowByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Window, error)
	// ListWindows returns windows by name (Page.After is a name).
	ListWindows(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Window, error)
	// AllWindows returns the windows of all tenants, for the scheduler.
	AllWindows(ctx context.Context) ([]automation.Window, error)
}
