package service

import (
	"context"
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
)

// checkJump resolves the asset that a is reached through, and checks the way to it:
// over SSH, not longer than MaxJumps, and never through a itself. self is the
// identifier that a has already, "" for a new one.
func (s *Service) checkJump(ctx context.Context, a *automation.Asset, self automation.AssetID) (automation.Errors, error) {
	if a.SSH.Jump == "" {
		return nil, nil
	}
	bad := func(message, suggestion string) automation.Errors {
		return automation.Errors{{Code: automation.CodeInvalid, Pointer: "/ssh/jump", Message: message, Suggestion: suggestion}}
	}
	at, err := s.findAsset(ctx, a.Tenant, string(a.SSH.Jump))
	if isCode(err, automation.CodeNotFound) {
		return automation.Errors{{
			Code: automation.CodeUnknownName, Pointer: "/ssh/jump", Message: "there is no asset of that name to go through", Suggestion: "list the assets, or create it first",
		}}, nil
	}
	if err != nil {
		return nil, err
	}
	a.SSH.Jump = at.ID
	for hops := 1; ; hops++ {
		switch {
		case at.ID == self || at.Name == a.Name:
			return bad("the way to the asset leads through the asset itself", "name another jump host, or take the one in the middle away"), nil
		case at.Protocol != automation.ProtocolSSH:
			return bad(fmt.Sprintf("asset %q is not reached over SSH, so nothing can go through it", at.Name), "name an asset with protocol ssh"), nil
		case at.Credential == "":
			return bad(fmt.Sprintf("asset %q has no credential to log in with", at.Name), "give the jump host a credential whose scope allows it"), nil
		case hops > automation.MaxJumps:
			return automation.Errors{{
				Code: automation.CodeLimit, Pointer: "/ssh/jump", Message: "too many jump hosts are on the way", Allowed: fmt.Sprintf("at most %d", automation.MaxJumps),
			}}, nil
		case at.SSH.Jump == "":
			return nil, nil
		}
		if at, err = s.store.Asset(ctx, a.Tenant, at.SSH.Jump); err != nil {
			return bad("a jump host on the way to it is gone", "give the jump host itself another one"), nil
		}
	}
}

// checkBehind refuses that an asset which others are reached through is no longer
// one, or is deleted.
func (s *Service) checkBehind(ctx context.Context, a automation.Asset, stays bool) error {
	if stays {
		return nil
	}
	all, err := inventory.All(ctx, s.store, a.Tenant)
	if err != nil {
		return fault(err)
	}
	var behind []automation.Asset
	for _, other := range all {
		if other.SSH.Jump == a.ID && other.ID != a.ID {
			behind = append(behind, other)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeConflict, Message: fmt.Sprintf("asset %q is the jump host of %s", a.Name, assetNames(behind)),
		Suggestion: "give these assets another way first",
	}
}
