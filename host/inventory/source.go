package inventory

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
)

// Assets is what the lookups read; store.Assets has it.
type Assets interface {
	Asset(ctx context.Context, tenant automation.TenantID, id automation.AssetID) (automation.Asset, error)
	AssetByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Asset, error)
	ListAssets(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Asset, error)
}

// Source gives assets as they are now to those who open connections: a host key
// that was taken away or an address that was changed counts from the next
// connection on. It is safe for concurrent use.
type Source struct{ store Assets }

// NewSource returns a source over a store.
func NewSource(st Assets) *Source { return &Source{store: st} }

// Asset returns the asset with a name; not_found when the tenant has none.
func (s *Source) Asset(ctx context.Context, tenant automation.TenantID, name string) (automation.Asset, error) {
	if tenant == "" || !IsName(name) {
		return automation.Asset{}, &automation.Error{Code: automation.CodeNotFound, Message: "there is no such asset"}
	}
	a, err := s.store.AssetByName(ctx, tenant, name)
	if err != nil {
		return automation.Asset{}, fmt.Errorf("find asset %q: %w", name, err)
	}
	return a, nil
}

// AssetByID returns the asset with an identifier; not_found when the tenant has none.
func (s *Source) AssetByID(ctx context.Context, tenant automation.TenantID, id automation.AssetID) (automation.Asset, error) {
	a, err := s.store.Asset(ctx, tenant, id)
	if err != nil {
		return automation.Asset{}, fmt.Errorf("find asset %s: %w", id, err)
	}
	return a, nil
}

const pageSize = 1000

// All returns every asset of a tenant, by name. An asset that is created or
// deleted meanwhile may be in the answer or not; no other is twice or missing.
func All(ctx context.Context, st Assets, tenant automation.TenantID) ([]automation.Asset, error) {
	var out []automation.Asset
	page := automation.Page{Limit: pageSize}
	for {
		list, err := st.ListAssets(ctx, tenant, page)
		if err != nil {
			return nil, fmt.Errorf("list the assets: %w", err)
		}
		out = append(out, list...)
		if len(list) < pageSize {
			return out, nil
		}
		page.After = list[len(list)-1].Name
	}
}
