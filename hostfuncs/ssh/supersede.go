package ssh

// identity is what stays the same of an endpoint when its credential or the asset
// is changed, and in which state of both it is.
type identity struct {
	tenant, name, credential string
	tunnels                  bool
	version, revision        int64
}

func (e Endpoint) identity() identity {
	return identity{e.Tenant, e.Name, e.Credential.Name, e.tunnels, e.Credential.Version, e.Revision}
}

// older reports whether i is the same endpoint in a state before other's.
func (i identity) older(other identity) bool {
	same := i.tenant == other.tenant && i.name == other.name && i.credential == other.credential && i.tunnels == other.tunnels && i.name != ""
	return same && i.version <= other.version && i.revision <= other.revision && i != other
}

// supersede lets no new session onto connections that an older state of the
// endpoint opened, and closes those that are idle: a credential that was changed,
// a host key that was taken away, another address. Under p.mu.
func (p *Pool) supersede(now identity) {
	for _, g := range p.groups {
		if !g.of.older(now) {
			continue
		}
		for _, c := range g.conns {
			c.retired = true
			if c.inFlight == 0 {
				p.busy(c)
				c.abort()
			}
		}
	}
}
