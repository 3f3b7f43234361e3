package vault_test

import (
	"context"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/vault"
)

func TestAllows(t *testing.T) {
	t.Parallel()
	ssh := []automation.Protocol{automation.ProtocolSSH}
	web := automation.Asset{Tenant: "default", Name: "web-1", Tags: []string{"web", "eu"}}
	for _, c := range []struct {
		name     string
		scope    automation.CredentialScope
		asset    automation.Asset
		protocol automation.Protocol
		want     bool
	}{
		{"nothing", automation.CredentialScope{}, web, automation.ProtocolSSH, false},
		{"no asset", automation.CredentialScope{Protocols: ssh}, web, automation.ProtocolSSH, false},
		{"no protocol", automation.CredentialScope{Assets: []string{"*"}}, web, automation.ProtocolSSH, false},
		{"its name", automation.CredentialScope{Protocols: ssh, Assets: []string{"web-1"}}, web, automation.ProtocolSSH, true},
		{"every asset", automation.CredentialScope{Protocols: ssh, Assets: []string{"*"}}, web, automation.ProtocolSSH, true},
		{"its tag", automation.CredentialScope{Protocols: ssh, Tags: []string{"db", "eu"}}, web, automation.ProtocolSSH, true},
		{"another name", automation.CredentialScope{Protocols: ssh, Assets: []string{"web-10"}}, web, automation.ProtocolSSH, false},
		{"start of its name", automation.CredentialScope{Protocols: ssh, Assets: []string{"web"}}, web, automation.ProtocolSSH, false},
		{"a pattern is no pattern", automation.CredentialScope{Protocols: ssh, Assets: []string{"web-*"}}, web, automation.ProtocolSSH, false},
		{"another case", automation.CredentialScope{Protocols: ssh, Assets: []string{"WEB-1"}}, web, automation.ProtocolSSH, false},
		{"another tag", automation.CredentialScope{Protocols: ssh, Tags: []string{"we"}}, web, automation.ProtocolSSH, false},
		{"star as a tag", automation.CredentialScope{Protocols: ssh, Tags: []string{"*"}}, web, automation.ProtocolSSH, false},
		{"another protocol", automation.CredentialScope{Protocols: ssh, Assets: []string{"*"}}, web, automation.ProtocolWinRM, false},
		{"protocol none", automation.CredentialScope{Protocols: ssh, Assets: []string{"*"}}, web, automation.ProtocolNone, false},
		{"no name, empty in scope", automation.CredentialScope{Protocols: ssh, Assets: []string{""}}, automation.Asset{}, automation.ProtocolSSH, false},
		{"no tag, empty in scope", automation.CredentialScope{Protocols: ssh, Tags: []string{""}}, automation.Asset{Tags: []string{""}}, automation.ProtocolSSH, false},
	} {
		if got := vault.Allows(c.scope, c.asset, c.protocol); got != c.want {
			t.Errorf("%s: got %v; want %v", c.name, got, c.want)
		}
	}
}

func TestCheckSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := automation.Credential{Tenant: "default", Name: "c", Scope: automation.CredentialScope{Protocols: []automation.Protocol{"ssh"}, Assets: []string{"a"}}}
	for name, want := range map[string]struct {
		asset    automation.Asset
		protocol automation.Protocol
		text     string
	}{
		"tenant":   {automation.Asset{Tenant: "other", Name: "a"}, "ssh", "different tenants"},
		"protocol": {automation.Asset{Tenant: "default", Name: "a"}, "winrm", `add "winrm" to the protocols`},
		"asset":    {automation.Asset{Tenant: "default", Name: "b"}, "ssh", `add "b" to the assets`},
	} {
		err := vault.Check(c, want.asset, want.protocol)
		if automation.CodeOf(err) != automation.CodeDenied || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: got %v; want denied with %q", name, err, want.text)
		}
	}
	if err := vault.Check(c, automation.Asset{Tenant: "default", Name: "a"}, "ssh"); err != nil {
		t.Errorf("got %v; want it allowed", err)
	}
}

// shelf is a store of credentials in memory that, like a hostile or broken one,
// gives what it has without looking at the tenant.
type shelf map[string]automation.Credential

func (s shelf) Credential(_ context.Context, _ automation.TenantID, id automation.CredentialID) (automation.Credential, error) {
	return s.CredentialByName(context.Background(), "", string(id))
}

func (s shelf) CredentialByName(_ context.Context, _ automation.TenantID, name string) (automation.Credential, error) {
	if c, ok := s[name]; ok {
		return c, nil
	}
	return automation.Credential{}, &automation.Error{Code: automation.CodeNotFound, Message: "no such credential"}
}

func TestSourceChecksBeforeItOpens(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	c := sealed(t, v)
	source := vault.NewSource(shelf{"web": c, string(c.ID): c}, v)
	asset := automation.Asset{Tenant: "default", Name: "web-1"}
	for _, ref := range []string{"web", string(c.ID)} {
		got, err := source.Open(t.Context(), "default", ref, asset, automation.ProtocolSSH)
		if err != nil || string(got.Password.Reveal()) != canary || got.Username != "root" || got.Sealed != nil {
			t.Errorf("%s: got %v, %v; want the opened credential", ref, got, err)
		}
	}
	for name, try := range map[string]struct {
		tenant automation.TenantID
		ref    string
		asset  automation.Asset
		proto  automation.Protocol
		want   automation.Code
	}{
		"another asset":    {"default", "web", automation.Asset{Tenant: "default", Name: "db-1"}, "ssh", automation.CodeDenied},
		"another protocol": {"default", "web", asset, "none", automation.CodeDenied},
		"another tenant":   {"other", "web", automation.Asset{Tenant: "other", Name: "web-1"}, "ssh", automation.CodeDenied},
		"run of another":   {"other", "web", asset, "ssh", automation.CodeDenied},
		"asset of another": {"default", "web", automation.Asset{Tenant: "other", Name: "web-1"}, "ssh", automation.CodeDenied},
		"unknown":          {"default", "none", asset, "ssh", automation.CodeNotFound},
		"no tenant":        {"", "web", automation.Asset{Name: "web-1"}, "ssh", automation.CodeDenied},
	} {
		got, err := source.Open(t.Context(), try.tenant, try.ref, try.asset, try.proto)
		if automation.CodeOf(err) != try.want || !got.Password.Empty() {
			t.Errorf("%s: got %v; want %s and no secret", name, err, try.want)
		}
	}
	// A scope that was widened behind the host's back does not open.
	wide := c
	wide.Scope.Assets = []string{"*"}
	source = vault.NewSource(shelf{"web": wide}, v)
	if _, err := source.Open(t.Context(), "default", "web", automation.Asset{Tenant: "default", Name: "db-1"}, "ssh"); err == nil {
		t.Error("a widened scope opened")
	}
}
