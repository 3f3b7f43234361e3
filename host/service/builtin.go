package service

import (
	"context"
	"fmt"
	"log/slog"

	"opsconductor.dev/host/automation"
)

// EnsureBuiltin makes sure that a plugin which comes with the host is stored and
// active in the default tenant, with the grants that its manifest wants on all
// targets and addresses (no credentials beside the targets' own). It may be
// called at every start: a plugin that an operator has disabled or whose grants
// he has changed stays as he left it. Versions stand side by side; a plan takes
// the newest active one. An artifact that was built anew under the same version
// is stored as VERSION+DIGEST, and takes the place of the one before it. It is
// not compiled here. The answer is true when it was not stored before. It is for the
// composition root, and takes no principal.
func (s *Service) EnsureBuiltin(ctx context.Context, wasm []byte) (pl automation.Plugin, stored bool, err error) {
	p := s.system()
	if err := refused(checkArtifact(wasm)); err != nil {
		return automation.Plugin{}, false, err
	}
	digest := digestText(wasm)
	pl, err = s.store.Plugin(ctx, p.Tenant, digest)
	if err != nil && !isCode(err, automation.CodeNotFound) {
		return automation.Plugin{}, false, fault(err)
	}
	if err != nil {
		if pl, stored, err = s.storeBuiltin(ctx, p, wasm); err != nil {
			return automation.Plugin{}, false, err
		}
	}
	if pl.State != automation.PluginVetted {
		return pl, stored, s.replaceBuilds(ctx, p, pl)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "activate a built-in plugin",
		slog.String("plugin", pl.Name), slog.String("version", pl.Version), slog.String("digest", string(pl.Digest)),
		slog.String("host_version", s.version))
	pl, err = s.activate(ctx, p, pl, wantedGrants(pl.Manifest), automation.PluginChanges{})
	if err != nil {
		return automation.Plugin{}, false, fmt.Errorf("activate built-in plugin %s: %w", pl.Name, err)
	}
	return pl, stored, s.replaceBuilds(ctx, p, pl)
}

func (s *Service) storeBuiltin(ctx context.Context, p automation.Principal, wasm []byte) (automation.Plugin, bool, error) {
	m, err := s.registry.Manifest(wasm)
	if err != nil {
		return automation.Plugin{}, false, fault(err)
	}
	pl, stored, err := s.storePlugin(ctx, p, m, m.Version, wasm, "")
	if isCode(err, automation.CodeConflict) {
		build := m.Version + "+" + string(digestText(wasm)[:12])
		pl, stored, err = s.storePlugin(ctx, p, m, build, wasm, "")
	}
	return pl, stored, err
}

// replaceBuilds disables the other active builds of the same version of an
// active built-in plugin. A crash between the two commits is made good at the
// next start.
func (s *Service) replaceBuilds(ctx context.Context, p automation.Principal, pl automation.Plugin) error {
	if pl.State != automation.PluginActive {
		return nil
	}
	list, err := s.store.ListPlugins(ctx, p.Tenant)
	if err != nil {
		return fault(err)
	}
	for _, other := range list {
		same := other.Name == pl.Name && other.Manifest.Version == pl.Manifest.Version && other.Digest != pl.Digest
		if !same || other.State != automation.PluginActive {
			continue
		}
		if _, err := s.disable(ctx, p, other); err != nil {
			return err
		}
	}
	return nil
}

// wantedGrants grants every host function that a manifest wants, everywhere.
func wantedGrants(m automation.Manifest) []automation.Grant {
	out := make([]automation.Grant, 0, len(m.HostFunctions))
	for _, f := range m.HostFunctions {
		out = append(out, automation.Grant{Function: f.Name, Targets: []string{"*"}, Addresses: []string{"*"}})
	}
	return out
}
