package sshtest

import (
	"context"
	"net/netip"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
)

// Plain is a secret of a test.
type Plain []byte

// Reveal implements hostfuncs.Secret.
func (s Plain) Reveal() []byte { return s }

// Allow is a check that forbids no address.
func Allow(context.Context, netip.Addr) error { return nil }

// Endpoint is the server under a name, with its host keys pinned and the key that
// may log in.
func (s *Server) Endpoint(name string) ssh.Endpoint {
	return ssh.Endpoint{
		Tenant: "default", Name: name, Host: s.Host, Port: s.Port, HostKeys: s.HostKeys, Check: Allow,
		Credential: hostfuncs.Credential{Name: "key", Version: 1, Kind: "ssh_key", Username: s.User, PrivateKey: Plain(s.ClientKey)},
	}
}

// Endpoint is the server under a name, with its host key pinned and its password.
func (f *Fake) Endpoint(name string) ssh.Endpoint {
	return ssh.Endpoint{
		Tenant: "default", Name: name, Host: f.Host, Port: f.Port, HostKeys: []string{f.HostKey}, Check: Allow,
		Credential: hostfuncs.Credential{Name: "pass", Version: 1, Kind: "password", Username: "tester", Password: Plain(Password)},
	}
}
