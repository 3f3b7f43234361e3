package runner

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/vault"
	"opsconductor.dev/hostfuncs"
)

// AssetSource gives assets as they are now; *inventory.Source has it.
type AssetSource interface {
	// Asset returns the asset with a name; not_found without one.
	Asset(ctx context.Context, tenant automation.TenantID, name string) (automation.Asset, error)
	// AssetByID is the same by an identifier.
	AssetByID(ctx context.Context, tenant automation.TenantID, id automation.AssetID) (automation.Asset, error)
}

// CredentialSource opens credentials; *vault.Source has it.
type CredentialSource interface {
	// Open returns the credential that ref names (an identifier or a name) if its
	// scope allows the asset and the protocol.
	Open(ctx context.Context, tenant automation.TenantID, ref string, a automation.Asset, p automation.Protocol) (vault.Opened, error)
}

// Broker decides what one attempt may do: by the manifest of its plugin, the
// grants as they were when the attempt began, and assets and credentials as they
// are now. Safe for concurrent use.
type Broker struct {
	runner  *Runner
	plugin  *registry.Loaded
	attempt automation.Attempt

	mu sync.Mutex
	// given are the addresses of targets that the attempt was given for a function.
	given map[given]bool
}

type given struct{ function, host string }

var _ hostfuncs.Broker = (*Broker)(nil)

func newBroker(r *Runner, p *registry.Loaded, a automation.Attempt) *Broker {
	return &Broker{runner: r, plugin: p, attempt: a, given: map[given]bool{}}
}

// Granted implements hostfuncs.Broker: the manifest wants the function, and an
// operator has granted it on something.
func (b *Broker) Granted(_ context.Context, _ *hostfuncs.Session, function string) error {
	if !slices.ContainsFunc(b.plugin.Manifest.HostFunctions, func(w automation.HostFunction) bool { return w.Name == function }) {
		return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "%s: the manifest of plugin %s does not want this host function", function, b.plugin.Record.Name)
	}
	if len(b.grants(function)) == 0 {
		return b.denied(function, "on anything", automation.Grant{Function: function, Targets: []string{"*"}, Addresses: []string{"*"}})
	}
	return nil
}

func (b *Broker) grants(function string) []automation.Grant {
	var out []automation.Grant
	for _, g := range b.plugin.Record.Grants {
		if g.Function == function {
			out = append(out, g)
		}
	}
	return out
}

// covers reports whether a grant is for an asset.
func covers(g automation.Grant, name string, tags []string) bool {
	if slices.Contains(g.Targets, "*") || slices.Contains(g.Targets, name) {
		return true
	}
	return slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(g.Tags, t) })
}

// Target implements hostfuncs.Broker. The item's own target has the address that
// the plan pinned; host keys, credential and the way there are those of the asset now.
func (b *Broker) Target(ctx context.Context, s *hostfuncs.Session, function, name string) (hostfuncs.Target, error) {
	if err := b.Granted(ctx, s, function); err != nil {
		return hostfuncs.Target{}, err
	}
	own := b.attempt.Target
	if name == "" && own == nil {
		return hostfuncs.Target{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before,
			"%s: the step has no target; give it for_each: {in: targets}, or name a target", function)
	}
	if name == "" {
		name = own.Name
	}
	a, err := b.asset(ctx, name)
	if err != nil {
		return hostfuncs.Target{}, err
	}
	t := hostfuncs.Target{
		Name: a.Name, Address: a.Address, Port: a.Port, Protocol: string(a.Protocol), OS: a.OS,
		HostKeys: slices.Clone(a.HostKeys), Credential: string(a.Credential),
		SSH: b.sshSettings(a), Jump: a.SSH.Jump != "", Revision: a.Version, Origin: a,
	}
	if own != nil && own.Name == a.Name {
		if own.ID != a.ID {
			return hostfuncs.Target{}, hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before,
				"%s: the asset %q is another one than the plan's: it was deleted and made anew; plan again", function, name)
		}
		t.Address, t.Port, t.Protocol = own.Address, own.Port, string(own.Protocol)
	}
	if !slices.ContainsFunc(b.grants(function), func(g automation.Grant) bool { return covers(g, a.Name, a.Tags) }) {
		return hostfuncs.Target{}, b.denied(function, "on target "+quote(a.Name), automation.Grant{Function: function, Targets: []string{a.Name}})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.given[given{function, hostName(t.Address)}] = true
	return t, nil
}

func (b *Broker) asset(ctx context.Context, name string) (automation.Asset, error) {
	if b.runner.config.Assets == nil {
		return automation.Asset{}, hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "this host has no inventory")
	}
	a, err := b.runner.config.Assets.Asset(ctx, b.attempt.Tenant, name)
	if err != nil {
		return automation.Asset{}, translate(err, "find target "+quote(name))
	}
	return a, nil
}

// Credential implements hostfuncs.Broker.
func (b *Broker) Credential(ctx context.Context, s *hostfuncs.Session, function string, t hostfuncs.Target, name string) (hostfuncs.Credential, error) {
	if err := b.Granted(ctx, s, function); err != nil {
		return hostfuncs.Credential{}, err
	}
	a, read := t.Origin.(automation.Asset)
	if !read || a.Name != t.Name {
		var err error
		if a, err = b.asset(ctx, t.Name); err != nil {
			return hostfuncs.Credential{}, err
		}
	}
	ref := name
	if name == "" {
		if ref = string(a.Credential); ref == "" {
			return hostfuncs.Credential{}, hostfuncs.Errorf(hostfuncs.AuthFailed, hostfuncs.Before,
				"target %s has no credential; give the asset one", quote(a.Name))
		}
	}
	granted := func(g automation.Grant) bool {
		own := name == "" || slices.Contains(g.Credentials, "*") || slices.Contains(g.Credentials, name)
		return own && covers(g, a.Name, a.Tags)
	}
	if !slices.ContainsFunc(b.grants(function), granted) {
		want := automation.Grant{Function: function, Targets: []string{a.Name}}
		what := "on target " + quote(a.Name)
		if name != "" {
			want.Credentials = []string{name}
			what += " with credential " + quote(name)
		}
		return hostfuncs.Credential{}, b.denied(function, what, want)
	}
	return b.open(ctx, ref, a, automation.Protocol(t.Protocol))
}

func (b *Broker) open(ctx context.Context, ref string, a automation.Asset, p automation.Protocol) (hostfuncs.Credential, error) {
	if b.runner.config.Credentials == nil {
		return hostfuncs.Credential{}, hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "this host has no vault")
	}
	c, err := b.runner.config.Credentials.Open(ctx, b.attempt.Tenant, ref, a, p)
	if err != nil {
		return hostfuncs.Credential{}, translate(err, "open the credential for target "+quote(a.Name))
	}
	if err := vault.Check(c.Credential, a, p); err != nil {
		c.Wipe()
		return hostfuncs.Credential{}, translate(err, "open the credential for target "+quote(a.Name))
	}
	return opened(c), nil
}

// Address implements hostfuncs.Broker: never a metadata address; else a target
// that the function is granted on, or an address of a grant.
func (b *Broker) Address(ctx context.Context, s *hostfuncs.Session, function, host string, addr netip.Addr) error {
	if err := b.Granted(ctx, s, function); err != nil {
		return err
	}
	if IsMetadata(addr) || !addr.IsValid() && isMetadataName(host) {
		return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "%s: %s leads to a cloud metadata service, which no grant opens", function, quote(host))
	}
	if b.isGiven(ctx, s, function, host) {
		return nil
	}
	for _, g := range b.grants(function) {
		if slices.ContainsFunc(g.Addresses, func(pattern string) bool { return admits(pattern, host, addr) }) {
			return nil
		}
	}
	return b.denied(function, "to "+quote(host), automation.Grant{Function: function, Addresses: []string{hostName(host)}})
}

// isGiven reports whether a host is a target that the function is granted on.
func (b *Broker) isGiven(ctx context.Context, s *hostfuncs.Session, function, host string) bool {
	known := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.given[given{function, hostName(host)}]
	}
	if known() {
		return true
	}
	if own := b.attempt.Target; own == nil || hostName(own.Address) != hostName(host) {
		return false
	}
	_, err := b.Target(ctx, s, function, "")
	return err == nil && known()
}

// Record implements hostfuncs.Broker.
func (b *Broker) Record(ctx context.Context, _ *hostfuncs.Session, r hostfuncs.Record) {
	b.runner.log(b.attempt).LogAttrs(ctx, slog.LevelDebug, "host function",
		slog.String("function", r.Function), slog.String("target", r.Target), slog.String("code", string(r.Code)),
		slog.String("command_sha256", r.Command), slog.Duration("wall", r.Wall),
		slog.String("plugin", b.attempt.Plugin), slog.String("action", b.attempt.Action))
}

// hostName is a host as names are compared: lower case, without the final dot.
func hostName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }
