package service

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/vault"
)

// AssetRequest is what a caller says of an asset; an update says all of it.
type AssetRequest struct {
	Name     string              `json:"name"`
	Address  string              `json:"address"`
	Port     int                 `json:"port,omitempty"` // 0: the protocol's own
	Protocol automation.Protocol `json:"protocol"`
	OS       string              `json:"os,omitempty"`
	Tags     []string            `json:"tags,omitempty"`
	Vars     map[string]any      `json:"vars,omitempty"`
	HostKeys []string            `json:"host_keys,omitempty"`
	// Credential is the identifier or the name of a credential; "": none.
	Credential string `json:"credential,omitempty"`
	// SSH says how it is reached over SSH; its Jump is the identifier or the name of
	// an asset.
	SSH automation.AssetSSH `json:"ssh,omitzero"`
	// KnownHosts are lines of a known_hosts file: what they say of the asset's address
	// is added to HostKeys and SSH.
	KnownHosts string `json:"known_hosts,omitempty"`
	// Queue is the task queue of attempts on the asset; "": the default one.
	Queue string `json:"queue,omitempty"`
}

// CreateAsset stores an asset. Its credential must exist, and allow the asset by
// its scope. The same key with the same request gives the asset of the first
// time and false.
func (s *Service) CreateAsset(ctx context.Context, p automation.Principal, r AssetRequest, key string) (automation.Asset, bool, error) {
	if err := s.authorise(p, opAssetCreate); err != nil {
		return automation.Asset{}, false, err
	}
	a, err := s.checkAsset(ctx, p.Tenant, r, "", checkKey(key))
	if err != nil {
		return automation.Asset{}, false, err
	}
	a.ID, a.Version = automation.NewID[automation.AssetID](), 1
	act := s.act(p, opAssetCreate, string(a.ID), key)
	a.Created, a.Updated = act.At, act.At
	act.Request = digestJSON(r)
	act.Detail = detail(map[string]any{"name": a.Name})
	out, created, err := s.store.CreateAsset(ctx, a, act)
	return out, created, nameTaken(err, "an asset")
}

// UpdateAsset replaces what is known of an asset. version is the version that
// the change is made from; 0 stands for whatever it is now. An asset that has
// another version by now is a conflict that tells it.
func (s *Service) UpdateAsset(ctx context.Context, p automation.Principal, ref string, r AssetRequest, version int64) (automation.Asset, error) {
	if err := s.authorise(p, opAssetUpdate); err != nil {
		return automation.Asset{}, err
	}
	old, err := s.findAsset(ctx, p.Tenant, ref)
	if err != nil {
		return automation.Asset{}, err
	}
	if err := checkVersion("asset", old.Version, version); err != nil {
		return automation.Asset{}, err
	}
	a, err := s.checkAsset(ctx, p.Tenant, r, old.ID, nil)
	if err != nil {
		return automation.Asset{}, err
	}
	if err := s.checkBehind(ctx, old, a.Protocol == automation.ProtocolSSH && a.Credential != ""); err != nil {
		return automation.Asset{}, err
	}
	a.ID, a.Created, a.Version = old.ID, old.Created, old.Version
	act := s.act(p, opAssetUpdate, string(a.ID), "")
	a.Updated = act.At
	act.Detail = detail(map[string]any{"name": a.Name, "changed": changedFields(old, a)})
	out, err := s.store.UpdateAsset(ctx, a, act)
	return out, fault(err)
}

// DeleteAsset removes an asset. Plans that were made with it keep its name, and
// their attempts on it are denied. version is as for UpdateAsset.
func (s *Service) DeleteAsset(ctx context.Context, p automation.Principal, ref string, version int64) error {
	if err := s.authorise(p, opAssetDelete); err != nil {
		return err
	}
	a, err := s.findAsset(ctx, p.Tenant, ref)
	if err != nil {
		return err
	}
	if err := checkVersion("asset", a.Version, version); err != nil {
		return err
	}
	if err := s.checkBehind(ctx, a, false); err != nil {
		return err
	}
	act := s.act(p, opAssetDelete, string(a.ID), "")
	act.Detail = detail(map[string]any{"name": a.Name})
	return fault(s.store.DeleteAsset(ctx, p.Tenant, a.ID, act))
}

// Asset returns the asset that ref names: an identifier or a name.
func (s *Service) Asset(ctx context.Context, p automation.Principal, ref string) (automation.Asset, error) {
	if err := s.authorise(p, opAssetRead); err != nil {
		return automation.Asset{}, err
	}
	return s.findAsset(ctx, p.Tenant, ref)
}

// Assets returns assets by name (Page.After is a name).
func (s *Service) Assets(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Asset, error) {
	if err := s.authorise(p, opAssetRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	out, err := s.store.ListAssets(ctx, p.Tenant, page)
	return out, fault(err)
}

// checkAsset validates a request and resolves its credential; what earlier found
// joins the list of problems.
func (s *Service) checkAsset(ctx context.Context, tenant automation.TenantID, r AssetRequest, self automation.AssetID, earlier *automation.Error) (automation.Asset, error) {
	a := inventory.Normalise(automation.Asset{
		Tenant: tenant, Name: r.Name, Address: r.Address, Port: r.Port, Protocol: r.Protocol, OS: r.OS,
		Tags: r.Tags, Vars: r.Vars, HostKeys: r.HostKeys, Queue: r.Queue, SSH: r.SSH,
	})
	a, problems := inventory.AddKnownHosts(a, r.KnownHosts)
	problems = append(inventory.Validate(a), problems...)
	jump, err := s.checkJump(ctx, &a, self)
	if err != nil {
		return automation.Asset{}, err
	}
	problems = append(problems, jump...)
	if earlier != nil {
		problems = append(automation.Errors{earlier}, problems...)
	}
	if r.Credential != "" {
		c, err := s.findCredential(ctx, tenant, r.Credential)
		switch {
		case isCode(err, automation.CodeNotFound):
			problems = append(problems, &automation.Error{
				Code: automation.CodeUnknownName, Pointer: "/credential", Message: "there is no credential of that name",
				Suggestion: "list the credentials, or create it first",
			})
		case err != nil:
			return automation.Asset{}, err
		default:
			a.Credential = c.ID
			if err := vault.Check(c, a, a.Protocol); err != nil {
				e := *automation.AsError(err)
				e.Code, e.Pointer, e.Phase = automation.CodeInvalid, "/credential", ""
				problems = append(problems, &e)
			}
		}
	}
	return a, problems.OrNil()
}

func (s *Service) findAsset(ctx context.Context, tenant automation.TenantID, ref string) (automation.Asset, error) {
	if id, err := automation.ParseID[automation.AssetID](ref); err == nil {
		a, err := s.store.Asset(ctx, tenant, id)
		return a, fault(err)
	}
	if !inventory.IsName(ref) {
		return automation.Asset{}, notFound("asset")
	}
	a, err := s.store.AssetByName(ctx, tenant, ref)
	return a, fault(err)
}

// changedFields names what differs between two records of an asset, not the values.
func changedFields(old, now automation.Asset) []string {
	differs := map[string]bool{
		"name": old.Name != now.Name, "address": old.Address != now.Address, "port": old.Port != now.Port,
		"protocol": old.Protocol != now.Protocol, "os": old.OS != now.OS, "tags": !slices.Equal(old.Tags, now.Tags),
		"vars": !reflect.DeepEqual(old.Vars, now.Vars), "host_keys": !slices.Equal(old.HostKeys, now.HostKeys),
		"credential": old.Credential != now.Credential, "ssh": !reflect.DeepEqual(old.SSH, now.SSH), "queue": old.Queue != now.Queue,
	}
	maps.DeleteFunc(differs, func(_ string, d bool) bool { return !d })
	return slices.Sorted(maps.Keys(differs))
}
