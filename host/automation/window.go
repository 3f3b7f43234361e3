package automation

import "time"

// WindowID names a maintenance window.
type WindowID string

// WindowKind says what a window's time is for.
type WindowKind string

// The kinds of windows.
const (
	WindowMaintenance WindowKind = "maintenance" // its assets are worked on in its times only
	WindowFreeze      WindowKind = "freeze"      // its assets are left alone in its times
)

// WindowKinds lists the kinds of windows.
func WindowKinds() []WindowKind { return []WindowKind{WindowMaintenance, WindowFreeze} }

// WindowScope says which actions a window holds back.
type WindowScope string

// The scopes of windows.
const (
	WindowChanges WindowScope = "changes" // actions of every effect but pure
	WindowAll     WindowScope = "all"     // every action that acts on the asset
)

// WindowScopes lists the scopes of windows.
func WindowScopes() []WindowScope { return []WindowScope{WindowChanges, WindowAll} }

// Window says when attempts on some assets may start.
type Window struct {
	ID     WindowID `json:"id"`
	Tenant TenantID `json:"tenant"`
	Name   string   `json:"name"` // unique in the tenant
	WindowSpec
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
	Version int64     `json:"version"` // 1, 2, 3 …; the ETag
}

// Closure says what keeps an asset closed.
type Closure struct {
	Window string // the window's name
	// Until is when to ask again: the asset may be open then; zero: never, as things are.
	Until time.Time
}

// WindowSpec is what people say of a window. What runs when a window closes goes
// on. Its times are those of Cron, each as long as Duration, or the one from From to Until.
type WindowSpec struct {
	Kind  WindowKind  `json:"kind"`
	Scope WindowScope `json:"scope"`
	// Assets by name, "*" is all; assets with one of Tags are in it too.
	Assets   []string  `json:"assets,omitempty"`
	Tags     []string  `json:"tags,omitempty"`
	Cron     string    `json:"cron,omitempty"`      // five fields, or six with seconds first
	Duration string    `json:"duration,omitempty"`  // like 4h; with Cron
	TimeZone string    `json:"time_zone,omitempty"` // IANA name; with Cron
	From     time.Time `json:"from,omitzero"`
	Until    time.Time `json:"until,omitzero"`
}
