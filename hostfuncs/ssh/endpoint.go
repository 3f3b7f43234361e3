package ssh

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"opsconductor.dev/hostfuncs"
)

// Endpoint is a server, and as whom to log in.
type Endpoint struct {
	Tenant string
	// Name is what the target is called in errors.
	Name string
	// Host is a name or an IP address; Port 0 is 22.
	Host string
	Port int
	// HostKeys are the pinned keys, each a type and base64, as in authorized_keys.
	HostKeys []string
	// Trust says what else of host keys is taken and what is not.
	Trust Trust
	// Profile is which algorithms may be used; "" is Compatible.
	Profile    Profile
	Credential hostfuncs.Credential
	// Via are the jump hosts on the way, the first of which is dialled from here, at
	// most MaxHops. Each has its own host keys, credential and check; its own Via is
	// not looked at.
	Via []Endpoint
	// Learn stores host keys, for Trust.FirstUse and Trust.Rotate; nil: none are.
	Learn hostfuncs.Learn
	// Revision rises when what is known of the target changes: connections that were
	// opened by an older one and differ from it are closed.
	Revision int64
	// Check is asked about every address before it is dialled, and about the
	// address of a pooled connection before that is used.
	Check hostfuncs.Check

	tunnels bool    // it is a jump host
	actor   *Become // who acts on files; nil: who logs in
}

// Trust says which host keys are taken beside pinned ones.
type Trust struct {
	// Authorities are public keys whose certificates for the endpoint's host (or its
	// name) are taken.
	Authorities []string
	// Revoked are keys, fingerprints ("SHA256:…") and serial numbers ("serial:7") of
	// the authorities' certificates that are never taken.
	Revoked []string
	// KRL is a key revocation list of OpenSSH; empty: there is none. What it revokes of
	// hosts and authorities is not taken, and a credential's key or certificate that it
	// revokes is not offered.
	KRL []byte
	// FirstUse: without a pinned key and an authority, the first key is taken, once
	// Endpoint.Learn has stored it.
	FirstUse bool
	// Rotate: keys that the server proves to have are given to Endpoint.Learn.
	Rotate bool
}

func (e Endpoint) port() int {
	if e.Port == 0 {
		return 22
	}
	return e.Port
}

// place names the endpoint in errors.
func (e Endpoint) place() string {
	at := hostfuncs.HostPort(e.Host, e.port())
	if e.Name != "" {
		at = fmt.Sprintf("%s (%s)", e.Name, at)
	}
	way := []string{at}
	for _, hop := range slices.Backward(e.Via) {
		way = append(way, cmp.Or(hop.Name, hop.Host))
	}
	return strings.Join(way, " through ")
}

// key is what two endpoints have in common that may share a connection.
func (e Endpoint) key() string {
	via := make([]string, 0, len(e.Via))
	for i := range e.Via {
		via = append(via, e.Via[i].key())
	}
	h := sha256.New()
	for _, list := range [][]string{
		{
			e.Tenant, hostfuncs.HostPort(e.Host, e.port()), e.Credential.Name, fmt.Sprint(e.Credential.Version), e.Credential.Kind,
			e.Credential.Username, e.Profile.String(), fmt.Sprint(e.Trust.FirstUse, e.Trust.Rotate, e.tunnels), string(e.Trust.KRL),
		},
		e.HostKeys, e.Trust.Authorities, e.Trust.Revoked, via,
	} {
		fmt.Fprintf(h, "%d;", len(list))
		for _, part := range list {
			fmt.Fprintf(h, "%d:%s,", len(part), part)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// server names the machine that is dialled, as those behind different jump hosts
// are different ones.
func (e Endpoint) server() string {
	way := []string{hostfuncs.HostPort(e.Host, e.port())}
	for _, hop := range slices.Backward(e.Via) {
		way = append(way, hostfuncs.HostPort(hop.Host, hop.port()))
	}
	return strings.Join(way, " through ")
}

// validate returns what is wrong with the endpoint itself.
func (e Endpoint) validate() error {
	switch {
	case e.Host == "" || strings.ContainsAny(e.Host, "\x00 \t\r\n"):
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "target %s has no usable address; set one in the inventory", e.Name)
	case e.port() < 1 || e.port() > 65535:
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "target %s: port %d is not between 1 and 65535", e.Name, e.Port)
	case e.Check == nil:
		return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "target %s: nobody can say whether its addresses may be dialled", e.Name)
	case len(e.Via) > MaxHops:
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "target %s is behind %d jump hosts, and %d is the most", e.Name, len(e.Via), MaxHops)
	case e.Credential.Username == "":
		return hostfuncs.Errorf(hostfuncs.AuthFailed, hostfuncs.Before, "credential %s has no user name to log in to %s with", e.Credential.Name, e.place())
	}
	for _, hop := range e.Via {
		hop.Via = nil
		if err := hop.validate(); err != nil {
			he := *asError(err)
			he.Message = "a jump host of " + e.Name + ": " + he.Message
			return &he
		}
	}
	return nil
}
