package sshtest

import (
	"context"
	"fmt"
	"net"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
)

// Bare is a connection of x/crypto/ssh with nothing around it: what this project's
// client is measured beside.
type Bare struct{ client *xssh.Client }

// DialBare connects to an endpoint and logs in, by its first pinned host key and
// its private key or password. It ends when ctx is done before that.
func DialBare(ctx context.Context, e ssh.Endpoint) (*Bare, error) {
	key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(e.HostKeys[0]))
	if err != nil {
		return nil, fmt.Errorf("read a host key: %w", err)
	}
	conf := &xssh.ClientConfig{User: e.Credential.Username, HostKeyCallback: xssh.FixedHostKey(key), HostKeyAlgorithms: []string{key.Type()}}
	if e.Credential.PrivateKey != nil {
		signer, err := xssh.ParsePrivateKey(e.Credential.PrivateKey.Reveal())
		if err != nil {
			return nil, fmt.Errorf("read a private key: %w", err)
		}
		conf.Auth = append(conf.Auth, xssh.PublicKeys(signer))
	}
	if e.Credential.Password != nil {
		conf.Auth = append(conf.Auth, xssh.Password(string(e.Credential.Password.Reveal())))
	}
	addr := hostfuncs.HostPort(e.Host, e.Port)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c, chans, reqs, err := xssh.NewClientConn(conn, addr, conf)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return &Bare{xssh.NewClient(c, chans, reqs)}, nil
}

// Run runs a command, which has to succeed.
func (b *Bare) Run(command string) error {
	s, err := b.client.NewSession()
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Run(command); err != nil {
		return fmt.Errorf("run %s: %w", command, err)
	}
	return nil
}

// Close ends the connection.
func (b *Bare) Close() error { return b.client.Close() }

// Client is the connection itself, for what else is to be measured on it.
func (b *Bare) Client() *xssh.Client { return b.client }
