package vault

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
)

// Credentials is what a Source reads; store.Credentials has it.
type Credentials interface {
	Credential(ctx context.Context, tenant automation.TenantID, id automation.CredentialID) (automation.Credential, error)
	CredentialByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Credential, error)
}

// Opened is a credential with its secrets in the clear. Whoever asked for it
// wipes the material when the connection has it.
type Opened struct {
	automation.Credential
	Material
}

// Source gives credentials to those who open connections. It reads the store at
// every call, so a credential that was changed or deleted is so for the next
// connection, and it is safe for concurrent use.
type Source struct {
	store Credentials
	vault *Vault
}

// NewSource returns a source over a store and a vault.
func NewSource(st Credentials, v *Vault) *Source { return &Source{store: st, vault: v} }

// Open returns the credential that ref names (an identifier or a name) for one
// asset and protocol. It checks the tenant and the scope again before it opens
// the seal, whatever was checked when the asset was stored: denied when they do
// not allow it, not_found when the tenant has no such credential.
func (s *Source) Open(ctx context.Context, tenant automation.TenantID, ref string, a automation.Asset, p automation.Protocol) (Opened, error) {
	c, err := s.find(ctx, tenant, ref)
	if err != nil {
		return Opened{}, fmt.Errorf("find credential %q: %w", ref, err)
	}
	if c.Tenant != tenant || a.Tenant != tenant {
		return Opened{}, &automation.Error{
			Code: automation.CodeDenied, Phase: automation.PhaseBefore,
			Message: "the credential, the asset and the run belong to different tenants",
		}
	}
	if err := Check(c, a, p); err != nil {
		return Opened{}, err
	}
	m, err := s.vault.Open(c)
	if err != nil {
		return Opened{}, err
	}
	c.Sealed = nil
	return Opened{c, m}, nil
}

func (s *Source) find(ctx context.Context, tenant automation.TenantID, ref string) (automation.Credential, error) {
	if id, err := automation.ParseID[automation.CredentialID](ref); err == nil {
		return s.store.Credential(ctx, tenant, id)
	}
	return s.store.CredentialByName(ctx, tenant, ref)
}
