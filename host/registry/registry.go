package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry/schema"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/runner/engine"
)

// Store is what the registry reads; store.Plugins has it.
type Store interface {
	Plugin(ctx context.Context, tenant automation.TenantID, digest automation.Digest) (automation.Plugin, error)
	Artifact(ctx context.Context, tenant automation.TenantID, digest automation.Digest) ([]byte, error)
}

// Config is what a Registry is made of.
type Config struct {
	Store  Store
	Engine engine.Engine
	// HostFunctions are the names of those that this host has.
	HostFunctions []string
	// Limits of what is accepted; the zero value: wasmfile.DefaultLimits.
	Limits wasmfile.Limits
	// Fresh is how long a plugin's state and grants are used before they are read
	// again: what an operator takes away is gone after this time on every host.
	// 0: one second.
	Fresh time.Duration
	// Vetting is how uploads are compiled for the first time.
	Vetting Vetting
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// maxLoaded bounds the loaded plugins in memory.
const maxLoaded = 1024

// Registry checks and loads plugins. Safe for concurrent use.
type Registry struct {
	store         Store
	engine        engine.Engine
	hostFunctions []string
	limits        wasmfile.Limits
	fresh         time.Duration
	now           func() time.Time
	manifest      *schema.Schema
	vetting       Vetting
	vets          chan struct{} // a slot for each vetting process

	mu     sync.Mutex
	loaded map[key]*entry
}

type key struct {
	tenant automation.TenantID
	digest automation.Digest
}

// entry is a loaded plugin and how fresh its record is. The lock is held while
// the record is read, so that many attempts share one read.
type entry struct {
	mu     sync.Mutex
	plugin *Loaded
	read   time.Time
}

// Action is an action with its schemas compiled.
type Action struct {
	automation.Action
	Input, Output *schema.Schema
	Timeout       time.Duration // 0: the action has no default
}

// Loaded is a plugin version that was checked again when it was loaded. It is
// immutable.
type Loaded struct {
	// Record is the stored record: state and grants as they are now.
	Record automation.Plugin
	// Manifest is the one in the artifact.
	Manifest automation.Manifest
	// Imports are the host functions that the module imports.
	Imports []string
	actions map[string]*Action
}

// Action returns an action by name, nil when there is none.
func (l *Loaded) Action(name string) *Action { return l.actions[name] }

// New returns a registry. The error says what the config lacks.
func New(c Config) (*Registry, error) {
	if c.Store == nil || c.Engine == nil {
		return nil, errors.New("a registry needs a store and an engine")
	}
	s, err := manifestSchema()
	if err != nil {
		return nil, err
	}
	r := &Registry{
		store: c.Store, engine: c.Engine, hostFunctions: c.HostFunctions, limits: c.Limits,
		fresh: c.Fresh, now: c.Now, manifest: s, loaded: map[key]*entry{},
		vetting: c.Vetting, vets: make(chan struct{}, vetAtOnce),
	}
	if r.limits == (wasmfile.Limits{}) {
		r.limits = wasmfile.DefaultLimits()
	}
	if r.fresh == 0 {
		r.fresh = time.Second
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r, nil
}

// Plugin returns a plugin version ready for use, whatever its state. not_found
// without one; bad_plugin when the stored artifact does not pass the checks.
func (r *Registry) Plugin(ctx context.Context, tenant automation.TenantID, digest automation.Digest) (*Loaded, error) {
	e := r.entry(key{tenant, digest})
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.plugin != nil && r.now().Sub(e.read) < r.fresh {
		return e.plugin, nil
	}
	asked := r.now()
	record, err := r.store.Plugin(ctx, tenant, digest)
	if err != nil {
		e.plugin = nil
		return nil, err
	}
	next := e.plugin
	if next == nil {
		if next, err = r.load(ctx, tenant, digest); err != nil {
			return nil, err
		}
	}
	if next.Record.RowNumber != record.RowNumber || next.Record.ID != record.ID {
		changed := *next
		changed.Record = record
		next = &changed
	}
	e.plugin, e.read = next, asked
	return next, nil
}

// Invalidate forgets what is known of a plugin's state and grants, so that the
// next attempt reads them.
func (r *Registry) Invalidate(tenant automation.TenantID, digest automation.Digest) {
	e := r.entry(key{tenant, digest})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.read = time.Time{}
}

// Source returns where an engine reads the plugin's artifact.
func (r *Registry) Source(tenant automation.TenantID, digest automation.Digest) engine.Source {
	return func(ctx context.Context) ([]byte, error) { return r.artifact(ctx, tenant, digest) }
}

func (r *Registry) entry(k key) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.loaded[k]
	if e == nil {
		for old := range r.loaded { // any: they are cheap to load again
			if len(r.loaded) < maxLoaded {
				break
			}
			delete(r.loaded, old)
		}
		e = &entry{}
		r.loaded[k] = e
	}
	return e
}

func (r *Registry) artifact(ctx context.Context, tenant automation.TenantID, digest automation.Digest) ([]byte, error) {
	wasm, err := r.store.Artifact(ctx, tenant, digest)
	if err != nil {
		return nil, fmt.Errorf("read artifact %s: %w", digest, err)
	}
	if digestOf(wasm) != digest {
		return nil, automation.Errorf(automation.CodeBadPlugin, "the stored artifact %s is not the one that was uploaded: its digest differs", digest)
	}
	return wasm, nil
}

func (r *Registry) load(ctx context.Context, tenant automation.TenantID, digest automation.Digest) (*Loaded, error) {
	wasm, err := r.artifact(ctx, tenant, digest)
	if err != nil {
		return nil, err
	}
	f, c, err := r.verify(wasm)
	if err != nil {
		return nil, err
	}
	return &Loaded{Manifest: c.manifest, Imports: imported(f), actions: c.actions}, nil
}
