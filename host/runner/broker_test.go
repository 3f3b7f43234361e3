package runner_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/runner"
	"opsconductor.dev/host/vault"
	"opsconductor.dev/hostfuncs"
)

// ask runs look under a session and returns what the broker question gave.
func ask(w *world, question func(ctx context.Context, s *hostfuncs.Session) error) error {
	w.tb.Helper()
	var got error
	asked := false
	w.look = func(ctx context.Context, s *hostfuncs.Session) (any, error) {
		asked, got = true, question(ctx, s)
		return map[string]any{}, nil
	}
	o := w.execute(w.tb.Context(), w.attempt("look", `{"request":{}}`, pure))
	if !asked {
		w.tb.Fatalf("the host function was not called: %+v", o.Error)
	}
	return got
}

func wantDenied(tb testing.TB, err error, words ...string) {
	tb.Helper()
	var e *hostfuncs.Error
	if !errors.As(err, &e) || e.Code != hostfuncs.Denied || e.Phase != hostfuncs.Before || e.Retryable {
		tb.Fatalf("got %#v, want denied, before, not retryable", err)
	}
	for _, word := range words {
		if !strings.Contains(e.Message, word) {
			tb.Errorf("the denial %q does not say %q", e.Message, word)
		}
	}
}

func grant(w *world, grants ...automation.Grant) {
	w.set(func(p *automation.Plugin) { p.Grants = grants })
}

func TestMetadataAddressesAreNeverReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	for _, s := range []string{
		"169.254.169.254", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254",
		"64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0",
		"2002:a9fe:a9fe::1", "fd00:ec2::254", "fd00:ec2::254%eth0", "100.100.100.200", "::ffff:100.100.100.200", "169.254.170.2",
	} {
		addr := netip.MustParseAddr(s)
		if !runner.IsMetadata(addr) {
			t.Errorf("%s is not taken for a metadata address", s)
		}
		err := ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
			return s.Broker.Address(ctx, s, "look", "innocent.example", addr)
		})
		wantDenied(t, err, "metadata")
	}
	for _, s := range []string{"169.254.169.253", "10.0.0.1", "::1", "64:ff9b::10.0.0.1", "2001:db8::1"} {
		if runner.IsMetadata(netip.MustParseAddr(s)) {
			t.Errorf("%s is taken for a metadata address", s)
		}
	}
	// The item's own target is no way there either.
	w.assets["web-1"] = automation.Asset{ID: "a1", Tenant: tenant, Name: "web-1", Address: "10.0.0.1"}
	grant(w, automation.Grant{Function: "look", Targets: []string{"*"}})
	wantDenied(t, ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
		return s.Broker.Address(ctx, s, "look", "10.0.0.1", netip.MustParseAddr("169.254.169.254"))
	}), "metadata")
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	for _, tc := range []struct {
		grants     []string
		host, addr string
		ok         bool
	}{
		{[]string{"*"}, "example.com", "192.0.2.1", true},
		{[]string{"192.0.2.0/24"}, "example.com", "192.0.2.1", true},
		{[]string{"192.0.2.0/24"}, "example.com", "::ffff:192.0.2.1", true},
		{[]string{"192.0.2.0/24"}, "example.com", "192.0.3.1", false},
		{[]string{"192.0.2.1"}, "example.com", "192.0.2.1", true},
		{[]string{"192.0.2.1"}, "192.0.2.1", "192.0.2.2", false},
		{[]string{"example.com"}, "Example.COM.", "192.0.2.1", true},
		{[]string{"example.com"}, "evil-example.com", "192.0.2.1", false},
		{[]string{"2001:db8::/32"}, "x", "2001:db8::1", true},
		{nil, "example.com", "192.0.2.1", false},
		{nil, "10.0.0.1", "10.0.0.1", false}, // the target, but the function is not granted on it
	} {
		grant(w, automation.Grant{Function: "look", Addresses: tc.grants})
		err := ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
			return s.Broker.Address(ctx, s, "look", tc.host, netip.MustParseAddr(tc.addr))
		})
		if tc.ok && err != nil {
			t.Errorf("%v for %s at %s: %v", tc.grants, tc.host, tc.addr, err)
		}
		if !tc.ok {
			wantDenied(t, err, `"function":"look"`, tc.host[:1], "/activate")
		}
	}
	grant(w, automation.Grant{Function: "look", Targets: []string{"web-1"}})
	if err := ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
		return s.Broker.Address(ctx, s, "look", "10.0.0.1", netip.MustParseAddr("10.0.0.1"))
	}); err != nil {
		t.Errorf("the item's own target: %v", err)
	}
	wantDenied(t, ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
		return s.Broker.Address(ctx, s, "look", "10.0.0.2", netip.MustParseAddr("10.0.0.2"))
	}))
}

func TestTargets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	w.assets["db-1"] = automation.Asset{ID: "a2", Tenant: tenant, Name: "db-1", Address: "10.0.0.2", Port: 2222, Tags: []string{"db"}, HostKeys: []string{"ssh-ed25519 AAAA"}}
	target := func(name string) (hostfuncs.Target, error) {
		var got hostfuncs.Target
		err := ask(w, func(ctx context.Context, s *hostfuncs.Session) (err error) {
			got, err = s.Broker.Target(ctx, s, "look", name)
			return err
		})
		return got, err
	}
	grant(w, automation.Grant{Function: "look", Targets: []string{"web-1"}})
	if got, err := target(""); err != nil || got.Name != "web-1" || got.Address != "10.0.0.1" {
		t.Errorf("the item's own target: got %+v, %v", got, err)
	}
	_, err := target("db-1")
	wantDenied(t, err, `"targets":["db-1"]`, "opsconductor plugin activate demo@1.0.0", "--grant 'look:targets=db-1'")
	err = ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
		return s.Broker.Address(ctx, s, "look", "x'; rm -rf /", netip.MustParseAddr("192.0.2.1"))
	})
	wantDenied(t, err, "POST /v1/plugins/")
	if strings.Contains(err.Error(), "--grant") {
		t.Errorf("a command line with a name that is not fit for one: %v", err)
	}
	grant(w, automation.Grant{Function: "look", Tags: []string{"db"}})
	if got, err := target("db-1"); err != nil || got.Port != 2222 || len(got.HostKeys) != 1 {
		t.Errorf("by tag: got %+v, %v", got, err)
	}
	_, err = target("") // the plan's own tags don't count, the asset's do
	wantDenied(t, err)
	grant(w, automation.Grant{Function: "act", Targets: []string{"*"}}, automation.Grant{Function: "look", Targets: []string{"nothing"}})
	_, err = target("db-1") // another function's grant
	wantDenied(t, err)
	grant(w, automation.Grant{Function: "look", Targets: []string{"*"}})
	w.assets["web-1"] = automation.Asset{ID: "other", Tenant: tenant, Name: "web-1", Address: "10.6.6.6"}
	_, err = target("")
	wantDenied(t, err, "another one than the plan's")
	if _, err := target("gone"); err == nil {
		t.Error("an asset that does not exist")
	}
}

// safe is a store of credentials.
type safe map[string]automation.Credential

func (s safe) Credential(_ context.Context, _ automation.TenantID, id automation.CredentialID) (automation.Credential, error) {
	for _, c := range s {
		if c.ID == id {
			return c, nil
		}
	}
	return automation.Credential{}, &automation.Error{Code: automation.CodeNotFound, Message: "there is no such credential"}
}

func (s safe) CredentialByName(_ context.Context, _ automation.TenantID, name string) (automation.Credential, error) {
	if c, ok := s[name]; ok {
		return c, nil
	}
	return automation.Credential{}, &automation.Error{Code: automation.CodeNotFound, Message: "there is no such credential"}
}

func TestCredentials(t *testing.T) {
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
	store := safe{}
	add := func(name string, scope automation.CredentialScope) automation.CredentialID {
		c := automation.Credential{
			ID: automation.NewID[automation.CredentialID](), Tenant: tenant, Name: name, Kind: automation.CredentialPassword,
			Username: "root", Scope: scope, Version: 1,
		}
		if err := v.Seal(&c, vault.Material{Password: automation.NewSecret([]byte("hunter2hunter2"))}); err != nil {
			t.Fatal(err)
		}
		store[name] = c
		return c.ID
	}
	sshOn := func(assets ...string) automation.CredentialScope {
		return automation.CredentialScope{Protocols: []automation.Protocol{automation.ProtocolSSH}, Assets: assets}
	}
	own := add("own", sshOn("web-1"))
	add("extra", sshOn("*"))
	add("elsewhere", sshOn("db-1"))
	add("winrm", automation.CredentialScope{Protocols: []automation.Protocol{automation.ProtocolWinRM}, Assets: []string{"*"}})
	w.config.Credentials = vault.NewSource(store, v)
	web := w.assets["web-1"]
	web.Credential = own
	w.assets["web-1"] = web
	open := func(name string) (hostfuncs.Credential, error) {
		var got hostfuncs.Credential
		err := ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
			target, err := s.Broker.Target(ctx, s, "look", "")
			if err != nil {
				return err
			}
			got, err = s.Broker.Credential(ctx, s, "look", target, name)
			return err
		})
		return got, err
	}
	grant(w, automation.Grant{Function: "look", Targets: []string{"web-1"}})
	w.reads = 0
	got, err := open("")
	if w.reads != 1 {
		t.Errorf("target and credential took %d reads of the asset, want one state of it for both", w.reads)
	}
	if err != nil || got.Name != "own" || string(got.Password.Reveal()) != "hunter2hunter2" || got.PrivateKey != nil {
		t.Errorf("the target's own: got %v, %v", got.Name, err)
	}
	_, err = open("extra")
	wantDenied(t, err, `"credentials":["extra"]`)
	grant(w, automation.Grant{Function: "look", Targets: []string{"web-1"}, Credentials: []string{"extra", "elsewhere", "winrm"}})
	if got, err = open("extra"); err != nil || got.Name != "extra" {
		t.Errorf("a granted one: got %v, %v", got.Name, err)
	}
	_, err = open("elsewhere")
	wantDenied(t, err, "may not be used on asset")
	_, err = open("winrm")
	wantDenied(t, err, "protocol ssh")
	// A grant of the credential for one target is none for another.
	grant(w, automation.Grant{Function: "look", Targets: []string{"web-1"}}, automation.Grant{Function: "look", Targets: []string{"db-1"}, Credentials: []string{"*"}})
	_, err = open("extra")
	wantDenied(t, err)
	web.Credential = ""
	w.assets["web-1"] = web
	if _, err = open(""); err == nil || !strings.Contains(err.Error(), "no credential") {
		t.Errorf("a target without one: got %v", err)
	}
}

// careless opens whatever it is asked for: the broker must not rely on it.
type careless struct{ c automation.Credential }

func (s careless) Open(context.Context, automation.TenantID, string, automation.Asset, automation.Protocol) (vault.Opened, error) {
	return vault.Opened{Credential: s.c, Material: vault.Material{Password: automation.NewSecret([]byte("hunter2"))}}, nil
}

func TestScopeIsCheckedByTheBrokerToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pure)
	w.config.Credentials = careless{automation.Credential{Tenant: tenant, Name: "x", Scope: automation.CredentialScope{Protocols: []automation.Protocol{automation.ProtocolSSH}, Assets: []string{"db-1"}}}}
	web := w.assets["web-1"]
	web.Credential = "c"
	w.assets["web-1"] = web
	grant(w, automation.Grant{Function: "look", Targets: []string{"*"}})
	wantDenied(t, ask(w, func(ctx context.Context, s *hostfuncs.Session) error {
		target, err := s.Broker.Target(ctx, s, "look", "")
		if err != nil {
			return err
		}
		_, err = s.Broker.Credential(ctx, s, "look", target, "")
		return err
	}), "may not be used on asset")
}
