// Package hostfunctest holds what every host function must pass (Run), a broker
// that works from maps (Broker), and the comparison of a function's types with
// its schema (CheckSchema).
package hostfunctest

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"opsconductor.dev/hostfuncs"
)

// Broker is a hostfuncs.Broker over maps. The zero value denies everything. Safe
// for concurrent use once its fields are set.
type Broker struct {
	// Functions are the names of the granted functions.
	Functions []string
	// Targets by name. "" is the session's own, without one Session.Target.
	Targets map[string]hostfuncs.Target
	// Credentials by name; each is bound to the targets that Bound names.
	Credentials map[string]hostfuncs.Credential
	// Bound says by credential on which targets it may be used; none: on all.
	Bound map[string][]string
	// Forbid reports addresses that may not be dialled; nil: none.
	Forbid func(netip.Addr) bool

	// Hops are the jump hosts of targets, by the target's name.
	Hops map[string][]hostfuncs.Hop
	// Pinned are the host keys that were learned, by the target's name.
	Pinned map[string][]string

	mu      sync.Mutex
	records []hostfuncs.Record
}

var _ hostfuncs.Broker = (*Broker)(nil)

func denied(format string, args ...any) error {
	return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, format, args...)
}

// Granted implements hostfuncs.Broker.
func (b *Broker) Granted(_ context.Context, _ *hostfuncs.Session, function string) error {
	if !slices.Contains(b.Functions, function) {
		return denied("%s is not granted; add it to the plugin's grants", function)
	}
	return nil
}

// Target implements hostfuncs.Broker.
func (b *Broker) Target(ctx context.Context, s *hostfuncs.Session, function, name string) (hostfuncs.Target, error) {
	if err := b.Granted(ctx, s, function); err != nil {
		return hostfuncs.Target{}, err
	}
	if t, ok := b.Targets[name]; ok {
		return t, nil
	}
	if name == "" && s.Target != nil {
		return *s.Target, nil
	}
	return hostfuncs.Target{}, denied("%s is not granted on target %q", function, name)
}

// Credential implements hostfuncs.Broker.
func (b *Broker) Credential(_ context.Context, _ *hostfuncs.Session, function string, t hostfuncs.Target, name string) (hostfuncs.Credential, error) {
	if name == "" {
		name = t.Credential
	}
	c, ok := b.Credentials[name]
	if bound := b.Bound[name]; !ok || len(bound) > 0 && !slices.Contains(bound, t.Name) {
		return hostfuncs.Credential{}, denied("%s may not use credential %q on target %q", function, name, t.Name)
	}
	return c, nil
}

// Address implements hostfuncs.Broker.
func (b *Broker) Address(ctx context.Context, s *hostfuncs.Session, function, host string, addr netip.Addr) error {
	if err := b.Granted(ctx, s, function); err != nil {
		return err
	}
	if b.Forbid != nil && b.Forbid(addr) {
		return denied("%s may not reach %s (%s)", function, host, addr)
	}
	return nil
}

// Route implements hostfuncs.Broker.
func (b *Broker) Route(_ context.Context, _ *hostfuncs.Session, t hostfuncs.Target) ([]hostfuncs.Hop, error) {
	return b.Hops[t.Name], nil
}

// LearnHostKeys implements hostfuncs.Broker: the first key that was learned stays.
func (b *Broker) LearnHostKeys(_ context.Context, _ *hostfuncs.Session, t hostfuncs.Target, keys hostfuncs.HostKeys) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Pinned == nil {
		b.Pinned = map[string][]string{}
	}
	if old := b.Pinned[t.Name]; !keys.FirstUse || len(old) == 0 {
		b.Pinned[t.Name] = append(old, keys.Keys...)
	}
	return slices.Clone(b.Pinned[t.Name]), nil
}

// Record implements hostfuncs.Broker.
func (b *Broker) Record(_ context.Context, _ *hostfuncs.Session, r hostfuncs.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r)
}

// Records returns the audit records so far.
func (b *Broker) Records() []hostfuncs.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.records)
}

// Secret is bytes as a hostfuncs.Secret.
type Secret []byte

// Reveal returns the bytes.
func (s Secret) Reveal() []byte { return s }

// String hides them.
func (s Secret) String() string { return hostfuncs.Redacted }
