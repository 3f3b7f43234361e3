package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// MaxArtifact is how many bytes an uploaded plugin may have.
const MaxArtifact = 24 << 20

// Inspector checks an artifact and reads its manifest, before anything of it is
// stored or instantiated. Its errors are bad_plugin.
type Inspector interface {
	Inspect(ctx context.Context, wasm []byte) (automation.Manifest, error)
	// Manifest is Inspect for what comes with the host: it leaves the compiler out.
	Manifest(wasm []byte) (automation.Manifest, error)
	// Vet is Inspect for what others wrote: the compiler meets it in a process of its
	// own first.
	Vet(ctx context.Context, wasm []byte) (automation.Manifest, error)
	// Find says what an artifact is, after the checks that need no compiler.
	Find(wasm []byte) (automation.PluginFindings, error)
}

// UploadPlugin checks an artifact and stores it as vetted: nothing can use it
// before it is activated. The same artifact again gives the stored plugin and
// false; another artifact under the same name and version is a conflict.
func (s *Service) UploadPlugin(ctx context.Context, p automation.Principal, wasm []byte, key string) (automation.Plugin, bool, error) {
	if err := s.authorise(p, opPluginUpload); err != nil {
		return automation.Plugin{}, false, err
	}
	if err := refused(checkKey(key), checkArtifact(wasm)); err != nil {
		return automation.Plugin{}, false, err
	}
	m, err := s.registry.Vet(ctx, wasm)
	if err != nil {
		return automation.Plugin{}, false, fault(err)
	}
	return s.storePlugin(ctx, p, m, m.Version, wasm, key)
}

// storePlugin stores an inspected artifact under the manifest's name and a version.
func (s *Service) storePlugin(ctx context.Context, p automation.Principal, m automation.Manifest, version string, wasm []byte, key string) (automation.Plugin, bool, error) {
	digest := digestText(wasm)
	act := s.act(p, opPluginUpload, string(digest), key)
	act.Request = digest
	act.Detail = detail(map[string]any{"name": m.Name, "version": version, "size": len(wasm)})
	pl := automation.Plugin{
		ID: automation.NewID[automation.PluginID](), Tenant: p.Tenant, Name: m.Name, Version: version, Digest: digest,
		Size: int64(len(wasm)), State: automation.PluginVetted, Manifest: m, Grants: []automation.Grant{},
		Created: act.At, Updated: act.At, RowNumber: 1,
	}
	out, created, err := s.store.CreatePlugin(ctx, pl, wasm, act)
	if isCode(err, automation.CodeConflict) && !errors.Is(err, store.ErrKeyReused) {
		err = &automation.Error{
			Code: automation.CodeConflict, Err: err,
			Message:    fmt.Sprintf("%s@%s is there already, with another digest", m.Name, version),
			Suggestion: "raise the version in the plugin's manifest, and build it again",
		}
	}
	return out, created, fault(err)
}

// ActivatePlugin lets plans pin a plugin version, with exactly the grants given
// (nil: none), each of a host function that its manifest wants. An active one
// gets these grants instead of those it had. version is as for UpdateAsset.
// conflict, with what is new, when it wants more than the version of the same plugin
// that was active last was granted, or an action's effect is another one.
func (s *Service) ActivatePlugin(ctx context.Context, p automation.Principal, digest automation.Digest, grants []automation.Grant, version int64) (automation.Plugin, error) {
	if err := s.authorise(p, opPluginActivate); err != nil {
		return automation.Plugin{}, err
	}
	return s.activatePlugin(ctx, p, activation{digest, grants, version}, false)
}

// ActivateChangedPlugin is ActivatePlugin by somebody who has seen the changes and
// approves them.
func (s *Service) ActivateChangedPlugin(ctx context.Context, p automation.Principal, digest automation.Digest, grants []automation.Grant, version int64) (automation.Plugin, error) {
	if err := s.authorise(p, opPluginActivate); err != nil {
		return automation.Plugin{}, err
	}
	return s.activatePlugin(ctx, p, activation{digest, grants, version}, true)
}

type activation struct {
	digest  automation.Digest
	grants  []automation.Grant
	version int64
}

func (s *Service) activatePlugin(ctx context.Context, p automation.Principal, a activation, approved bool) (automation.Plugin, error) {
	pl, err := s.pluginAt(ctx, p.Tenant, a.digest, a.version)
	if err != nil {
		return automation.Plugin{}, err
	}
	if err := checkGrants(pl.Manifest, a.grants).OrNil(); err != nil {
		return automation.Plugin{}, err
	}
	changes, err := s.changesOf(ctx, pl)
	if err != nil {
		return automation.Plugin{}, err
	}
	if !approved {
		if err := unapproved(pl, changes); err != nil {
			return automation.Plugin{}, err
		}
	}
	return s.activate(ctx, p, pl, a.grants, changes)
}

func (s *Service) activate(ctx context.Context, p automation.Principal, pl automation.Plugin, grants []automation.Grant, c automation.PluginChanges) (automation.Plugin, error) {
	act := s.act(p, opPluginActivate, string(pl.Digest), "")
	pl.State, pl.Updated = automation.PluginActive, act.At
	pl.Grants = append([]automation.Grant{}, grants...)
	about := map[string]any{"name": pl.Name, "version": pl.Version, "grants": pl.Grants}
	if c.NeedApproval {
		about["approved_changes"] = c
	}
	act.Detail = detail(about)
	out, err := s.store.UpdatePlugin(ctx, pl, act)
	return out, fault(err)
}

// DisablePlugin takes a plugin version out of use: no new plan pins it and no
// new attempt starts it. Disabling it again changes nothing. version is as for
// UpdateAsset.
func (s *Service) DisablePlugin(ctx context.Context, p automation.Principal, digest automation.Digest, version int64) (automation.Plugin, error) {
	if err := s.authorise(p, opPluginDisable); err != nil {
		return automation.Plugin{}, err
	}
	pl, err := s.pluginAt(ctx, p.Tenant, digest, version)
	if err != nil || pl.State == automation.PluginDisabled {
		return pl, err
	}
	return s.disable(ctx, p, pl)
}

func (s *Service) disable(ctx context.Context, p automation.Principal, pl automation.Plugin) (automation.Plugin, error) {
	act := s.act(p, opPluginDisable, string(pl.Digest), "")
	pl.State, pl.Updated = automation.PluginDisabled, act.At
	act.Detail = detail(map[string]any{"name": pl.Name, "version": pl.Version})
	out, err := s.store.UpdatePlugin(ctx, pl, act)
	return out, fault(err)
}

// Plugin returns the plugin version that ref names: a digest, name@version, or a
// name alone where there is one version of it, or one that is active.
func (s *Service) Plugin(ctx context.Context, p automation.Principal, ref string) (automation.Plugin, error) {
	if err := s.authorise(p, opPluginRead); err != nil {
		return automation.Plugin{}, err
	}
	if IsDigest(ref) {
		pl, err := s.store.Plugin(ctx, p.Tenant, automation.Digest(ref))
		return pl, fault(err)
	}
	list, err := s.store.ListPlugins(ctx, p.Tenant)
	if err != nil {
		return automation.Plugin{}, fault(err)
	}
	return named(list, ref)
}

// named finds the version that name@version or a name alone means.
func named(list []automation.Plugin, ref string) (automation.Plugin, error) {
	name, version, exact := strings.Cut(ref, "@")
	var found, active []automation.Plugin
	var versions []string
	for _, pl := range list {
		if pl.Name != name {
			continue
		}
		if exact && pl.Version == version {
			return pl, nil
		}
		found, versions = append(found, pl), append(versions, pl.Name+"@"+pl.Version)
		if pl.State == automation.PluginActive {
			active = append(active, pl)
		}
	}
	switch {
	case len(found) == 0:
		return automation.Plugin{}, notFound("plugin")
	case exact:
		return automation.Plugin{}, &automation.Error{
			Code: automation.CodeNotFound, Message: "no such version of the plugin", Allowed: strings.Join(versions, ", "),
		}
	case len(found) == 1:
		return found[0], nil
	case len(active) == 1:
		return active[0], nil
	}
	return automation.Plugin{}, &automation.Error{
		Code: automation.CodeBadRequest, Message: "there are several versions of that plugin, and not one that is active alone",
		Allowed: strings.Join(versions, ", ") + ", or a digest",
	}
}

// Plugins returns every plugin version, by name and creation.
func (s *Service) Plugins(ctx context.Context, p automation.Principal) ([]automation.Plugin, error) {
	if err := s.authorise(p, opPluginRead); err != nil {
		return nil, err
	}
	out, err := s.store.ListPlugins(ctx, p.Tenant)
	return out, fault(err)
}

func (s *Service) pluginAt(ctx context.Context, tenant automation.TenantID, digest automation.Digest, version int64) (automation.Plugin, error) {
	if !IsDigest(string(digest)) {
		return automation.Plugin{}, &automation.Error{
			Code: automation.CodeBadRequest, Message: "that is not a digest", Allowed: "64 lower-case hexadecimal digits",
		}
	}
	pl, err := s.store.Plugin(ctx, tenant, digest)
	if err != nil {
		return automation.Plugin{}, fault(err)
	}
	return pl, checkVersion("plugin version", pl.RowNumber, version)
}

func checkArtifact(wasm []byte) *automation.Error {
	switch {
	case len(wasm) == 0:
		return &automation.Error{Code: automation.CodeBadPlugin, Message: "the plugin is empty", Suggestion: "send the .wasm file as the body"}
	case len(wasm) > MaxArtifact:
		return &automation.Error{
			Code: automation.CodeLimit, Message: fmt.Sprintf("the plugin has %d bytes", len(wasm)),
			Allowed: fmt.Sprintf("at most %d bytes", MaxArtifact), Suggestion: "strip it (for Go: -ldflags=-s), or leave out what it does not need",
		}
	}
	return nil
}

// IsDigest reports whether s is the text of a digest.
func IsDigest(s string) bool {
	return len(s) == 64 && !strings.ContainsFunc(s, func(c rune) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') })
}
