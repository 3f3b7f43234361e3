package runner

import (
	"context"
	"net/netip"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/hostfuncs"
)

// HostKeyStore pins host keys that assets have shown; *inventory.Learner has it.
type HostKeyStore interface {
	// LearnHostKeys returns what is pinned from then on; denied where the asset does
	// not allow it.
	LearnHostKeys(ctx context.Context, tenant automation.TenantID, k automation.LearnedKeys) ([]string, error)
}

// sshSettings are an asset's, in the words of host functions.
func (b *Broker) sshSettings(a automation.Asset) hostfuncs.SSHSettings {
	return hostfuncs.SSHSettings{
		Profile: a.SSH.Profile, Authorities: a.SSH.Authorities, Revoked: a.SSH.Revoked, KRL: a.SSH.KRL, FirstUse: a.SSH.TakesFirst(b.runner.config.FirstUse), Rotate: a.SSH.Rotate,
	}
}

// Route implements hostfuncs.Broker: the jump hosts that the inventory has for the
// target now, each with its own credential, whose scope has to allow it.
func (b *Broker) Route(ctx context.Context, _ *hostfuncs.Session, t hostfuncs.Target) ([]hostfuncs.Hop, error) {
	a, err := b.asset(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	var hops []hostfuncs.Hop
	for at := a; at.SSH.Jump != ""; {
		if len(hops) == automation.MaxJumps {
			return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "target %s has more than %d jump hosts, or they lead in a circle; mend the assets", quote(t.Name), automation.MaxJumps)
		}
		if at, err = b.runner.config.Assets.AssetByID(ctx, b.attempt.Tenant, at.SSH.Jump); err != nil {
			return nil, translate(err, "find the jump host of target "+quote(t.Name))
		}
		hop, err := b.hop(ctx, at)
		if err != nil {
			return nil, err
		}
		hops = append([]hostfuncs.Hop{hop}, hops...)
	}
	return hops, nil
}

func (b *Broker) hop(ctx context.Context, a automation.Asset) (hostfuncs.Hop, error) {
	if a.Credential == "" || a.Protocol != automation.ProtocolSSH {
		return hostfuncs.Hop{}, hostfuncs.Errorf(hostfuncs.AuthFailed, hostfuncs.Before, "the jump host %s is not reached over SSH, or has no credential; give the asset one", quote(a.Name))
	}
	c, err := b.open(ctx, string(a.Credential), a, automation.ProtocolSSH)
	if err != nil {
		return hostfuncs.Hop{}, err
	}
	return hostfuncs.Hop{
		Target: hostfuncs.Target{
			Name: a.Name, Address: a.Address, Port: a.Port, Protocol: string(a.Protocol), OS: a.OS, HostKeys: a.HostKeys,
			Credential: string(a.Credential), SSH: b.sshSettings(a), Revision: a.Version,
		},
		Credential: c,
		Check: func(_ context.Context, addr netip.Addr) error {
			if IsMetadata(addr) || isMetadataName(a.Address) {
				return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "the jump host %s leads to a cloud metadata service", quote(a.Name))
			}
			return nil
		},
	}, nil
}

// isMetadataName reports whether a name is one by which clouds know their metadata
// services: what a jump host resolves a name to cannot be seen from here.
func isMetadataName(host string) bool {
	switch hostName(host) {
	case "metadata.google.internal", "metadata", "instance-data", "instance-data.ec2.internal", "metadata.azure.internal", "metadata.tencentyun.com":
		return true
	}
	return false
}

// LearnHostKeys implements hostfuncs.Broker.
func (b *Broker) LearnHostKeys(ctx context.Context, _ *hostfuncs.Session, t hostfuncs.Target, keys hostfuncs.HostKeys) ([]string, error) {
	if b.runner.config.HostKeys == nil {
		return nil, hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "this host does not pin host keys by itself")
	}
	a, err := b.asset(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	pinned, err := b.runner.config.HostKeys.LearnHostKeys(ctx, b.attempt.Tenant, automation.LearnedKeys{
		Asset: a.ID, Run: b.attempt.Run, Keys: keys.Keys, First: keys.FirstUse,
	})
	if err != nil {
		return nil, translate(err, "pin the host key of target "+quote(t.Name))
	}
	return pinned, nil
}
