package runner_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/vault"
	"opsconductor.dev/hostfuncs"
)

// pinner remembers what was learned.
type pinner struct{ got automation.LearnedKeys }

func (p *pinner) LearnHostKeys(_ context.Context, _ automation.TenantID, k automation.LearnedKeys) ([]string, error) {
	p.got = k
	return k.Keys, nil
}

// The way to a target: each hop with its own credential, whose scope has to allow
// it; no grant on the hop is needed; a circle and a hop that is gone are errors.
func TestRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	key, err := vault.NewKey([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(key)
	if err != nil {
		t.Fatal(err)
	}
	c := automation.Credential{
		ID: automation.NewID[automation.CredentialID](), Tenant: tenant, Name: "hop", Kind: automation.CredentialPassword, Username: "jump",
		Scope: automation.CredentialScope{Protocols: []automation.Protocol{automation.ProtocolSSH}, Assets: []string{"bastion1", "bastion2"}}, Version: 1,
	}
	if err := v.Seal(&c, vault.Material{Password: automation.NewSecret([]byte("hunter2hunter2"))}); err != nil {
		t.Fatal(err)
	}
	w.config.Credentials = vault.NewSource(safe{"hop": c}, v)
	learned := &pinner{}
	w.config.HostKeys = learned
	add := func(name, jump string, edit func(*automation.Asset)) {
		a := automation.Asset{
			ID: automation.AssetID(name + "-id"), Tenant: tenant, Name: name, Address: name + ".test", Port: 22, Protocol: automation.ProtocolSSH,
			Credential: c.ID, Version: 3,
		}
		if jump != "" {
			a.SSH.Jump = automation.AssetID(jump + "-id")
		}
		edit(&a)
		w.assets[name] = a
	}
	none := func(*automation.Asset) {}
	add("bastion1", "", func(a *automation.Asset) { a.SSH.Profile, a.SSH.FirstUse = "legacy", new(true) })
	add("bastion2", "bastion1", none)
	add("beyond", "", none) // the credential's scope leaves it out
	add("cloud", "", func(a *automation.Asset) { a.Name, a.Address = "bastion1", "metadata.google.internal" })
	add("round1", "round2", func(a *automation.Asset) { a.Name = "bastion1" })
	add("round2", "round1", func(a *automation.Asset) { a.Name = "bastion2" })
	grant(w, automation.Grant{Function: "look", Targets: []string{"web-1"}})
	route := func(jump string) (hops []hostfuncs.Hop, pinned []string, err error) {
		web := w.assets["web-1"]
		web.SSH.Jump = automation.AssetID(jump + "-id")
		w.assets["web-1"] = web
		err = ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
			target, err := s.Broker.Target(ctx, s, "look", "")
			if err != nil {
				return err
			}
			if !target.Jump {
				t.Error("the target does not say that it has jump hosts")
			}
			if hops, err = s.Broker.Route(ctx, s, target); err != nil {
				return err
			}
			pinned, err = s.Broker.LearnHostKeys(ctx, s, hops[0].Target, hostfuncs.HostKeys{Keys: []string{"k"}, FirstUse: true})
			return err
		})
		return hops, pinned, err
	}
	hops, pinned, err := route("bastion2")
	if err != nil || len(hops) != 2 || hops[0].Target.Name != "bastion1" || hops[1].Target.Name != "bastion2" {
		t.Fatalf("got %+v, %v; want bastion1 and bastion2", hops, err)
	}
	if h := hops[0]; h.Target.SSH.Profile != "legacy" || !h.Target.SSH.FirstUse || string(h.Credential.Password.Reveal()) != "hunter2hunter2" || h.Target.Revision != 3 {
		t.Errorf("the first hop is %+v", h.Target)
	}
	want := automation.LearnedKeys{Asset: "bastion1-id", Run: "r1", Keys: []string{"k"}, First: true}
	if got := learned.got; got.Asset != want.Asset || got.Run != want.Run || !got.First || !slices.Equal(got.Keys, want.Keys) || !slices.Equal(pinned, want.Keys) {
		t.Errorf("learned %+v, want %+v", got, want)
	}
	if err := hops[0].Check(t.Context(), netip.MustParseAddr("10.1.2.3")); err != nil {
		t.Errorf("an ordinary address: %v", err)
	}
	wantDenied(t, hops[0].Check(t.Context(), netip.MustParseAddr("::ffff:169.254.169.254")), "metadata")
	_, _, err = route("beyond")
	wantDenied(t, err, "may not be used on asset", "beyond")
	hops, _, err = route("cloud")
	if err != nil {
		t.Fatal(err)
	}
	wantDenied(t, hops[0].Check(t.Context(), netip.Addr{}), "metadata")
	if _, _, err = route("round1"); err == nil || !strings.Contains(err.Error(), "lead in a circle") {
		t.Errorf("a circle: got %v", err)
	}
	if _, _, err = route("gone"); err == nil || !strings.Contains(err.Error(), "find the jump host") {
		t.Errorf("a hop that is gone: got %v", err)
	}
}
