package service

import (
	"log/slog"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/vault"
	"opsconductor.dev/host/workflow"
)

// Deps is what a Service is built from. Store, Vault and Registry are required.
type Deps struct {
	Store    store.Store
	Vault    *vault.Vault
	Registry Inspector
	// Limits of plans; the zero value takes workflow.DefaultLimits.
	Limits workflow.Limits
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log takes what the service does of its own accord (built-in plugins); nil: nothing is logged.
	Log *slog.Logger
	// Version of the host, for the log.
	Version string
	// OwnApprovals: who submitted a run may decide its approvals too (one person's host).
	OwnApprovals bool
}

// Service carries out the use cases. Make one with New.
type Service struct {
	store    store.Store
	vault    *vault.Vault
	registry Inspector
	limits   workflow.Limits
	now      func() time.Time
	log      *slog.Logger
	version  string
	own      bool // approvals may be decided by who asked for them
	permits  map[operation][]automation.Role
	programs *lru[programKey, *workflow.Program]
	views    *lru[viewKey, *view]
	changes  chan struct{} // schedules were changed here
	decoy    func() (automation.Trigger, error)
}

// The bounds of the caches, in number and in weight: a plan weighs its steps and
// targets, a view of a run its events (some 250 bytes each, with the items).
const (
	maxPrograms      = 256
	maxProgramWeight = 100_000
	maxViews         = 256
	maxViewWeight    = 200_000
)

// New returns a service over its parts.
func New(d Deps) *Service {
	s := &Service{
		store: d.Store, vault: d.Vault, registry: d.Registry, limits: d.Limits, now: d.Now, log: d.Log, version: d.Version,
		own:      d.OwnApprovals,
		permits:  permitTable(permissions()),
		programs: newLRU[programKey, *workflow.Program](maxPrograms, maxProgramWeight),
		views:    newLRU[viewKey, *view](maxViews, maxViewWeight),
		changes:  make(chan struct{}, 1),
		decoy:    sync.OnceValues(func() (automation.Trigger, error) { return newDecoy(d.Vault) }),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}
