package ssh_test

import (
	"os"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// The key that logs in signs by the profile's algorithms, whatever else the server would
// take: by SHA-1 with profile legacy alone.
func TestKeySignsByProfile(t *testing.T) {
	t.Parallel()
	key := pemKey(t, "rsa", "")
	for _, profile := range []ssh.Profile{ssh.Modern, "", ssh.Compatible, ssh.Legacy} {
		d, e := serveDesk(t, func(_ *desk, c *xssh.ServerConfig) {
			c.PublicKeyAuthAlgorithms = []string{xssh.KeyAlgoRSA}
			c.PublicKeyCallback = func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return nil, nil } //nolint:nilnil // taken
		})
		e.Profile, e.Credential.PrivateKey = profile, secret(key)
		_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
		if _, passed := d.seen(); passed != (profile == ssh.Legacy) {
			t.Errorf("profile %q logs in: %t (%v)", profile, passed, err)
		}
	}
}

// A certificate is offered before its key, which is offered too.
func TestCertificateFirst(t *testing.T) {
	t.Parallel()
	ca := sshtest.NewKey()
	both := server(t, sshtest.Config{Options: []string{"TrustedUserCAKeys " + file(t, "ca.pub", mustPublic(t, ca)+"\n"), "LogLevel VERBOSE"}})
	plain := server(t, sshtest.Config{Options: []string{"LogLevel VERBOSE"}})
	for srv, want := range map[*sshtest.Server]string{both: "ED25519-CERT", plain: "ED25519"} {
		e := endpoint(srv)
		e.Credential.Certificate = line(certificate(t, ca, srv.ClientKey, func(c *xssh.Certificate) { c.ValidPrincipals = []string{srv.User} }))
		run(t, pool(t, ssh.Options{}), e, truth)
		log, err := os.ReadFile(srv.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		_, accepted, _ := strings.Cut(string(log), "Accepted publickey for ")
		if _, by, _ := strings.Cut(accepted, "ssh2: "); !strings.HasPrefix(by, want+" ") {
			t.Errorf("it was let in by %.60q, want %s", by, want)
		}
	}
}

// agentOf starts an agent that holds a key by itself, where plain, and with certificates.
func agentOf(t *testing.T, key string, plain bool, certs ...*xssh.Certificate) string {
	t.Helper()
	ring := agent.NewKeyring()
	raw, err := xssh.ParseRawPrivateKey([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if plain {
		certs = append([]*xssh.Certificate{nil}, certs...)
	}
	for _, c := range certs {
		if err := ring.Add(agent.AddedKey{PrivateKey: raw, Certificate: c}); err != nil {
			t.Fatal(err)
		}
	}
	return serveAgent(t, ring)
}

// A certificate that an agent holds logs in, beside its key or without that, unless it is
// revoked or of no use: then it is not offered.
func TestAgentCertificate(t *testing.T) {
	t.Parallel()
	ca, key, rsaKey := sshtest.NewKey(), sshtest.NewKey(), pemKey(t, "rsa", "")
	srv := server(t, sshtest.Config{Options: []string{"TrustedUserCAKeys " + file(t, "ca.pub", mustPublic(t, ca)+"\n")}})
	made := func(key string, edit func(*xssh.Certificate)) *xssh.Certificate {
		return certificate(t, ca, key, func(c *xssh.Certificate) { c.ValidPrincipals = []string{srv.User}; edit(c) })
	}
	good := made(key, func(*xssh.Certificate) {})
	expired := made(key, func(c *xssh.Certificate) { c.ValidBefore = c.ValidAfter + 1 })
	for name, tc := range map[string]struct {
		socket, named string
		krl           []byte
		want          []string // of the error; nil: it logs in
	}{
		"beside its key":         {socket: agentOf(t, key, true, good)},
		"alone":                  {socket: agentOf(t, key, false, good)},
		"of RSA":                 {socket: agentOf(t, rsaKey, false, made(rsaKey, func(*xssh.Certificate) {}))},
		"named by its key":       {socket: agentOf(t, key, true, good), named: mustPublic(t, key)},
		"named by a fingerprint": {socket: agentOf(t, key, true, good), named: print(t, key) + "="},
		"named by itself":        {socket: agentOf(t, key, true, good), named: line(good)},
		"named is another":       {socket: agentOf(t, key, true, good), named: mustPublic(t, rsaKey), want: []string{"does not have the key"}},
		"another one expired":    {socket: agentOf(t, key, false, expired, good)},
		"expired":                {socket: agentOf(t, key, false, expired), want: []string{"has no key for it, and the certificate has expired", "nothing was sent"}},
		"revoked":                {socket: agentOf(t, key, false, good), krl: revocationList(t, mustPublic(t, ca), "serial: 7"), want: []string{"the certificate, number 7, is revoked", "nothing was sent"}},
		"revoked, with its key":  {socket: agentOf(t, key, true, good), krl: revocationList(t, mustPublic(t, ca), "serial: 7"), want: []string{"tried publickey"}},
		"its key is revoked":     {socket: agentOf(t, key, false, good), krl: revocationList(t, "", "key: "+mustPublic(t, key)), want: []string{"its key is revoked", "nothing was sent"}},
		"its authority is":       {socket: agentOf(t, key, false, good), krl: revocationList(t, "", "key: "+mustPublic(t, ca)), want: []string{"the authority that signed the certificate is revoked"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(srv)
			e.Credential = hostfuncs.Credential{Name: "agent", Version: 1, Kind: "ssh_agent", Username: srv.User, PublicKey: tc.named}
			e.Trust.KRL = tc.krl
			_, err := pool(t, ssh.Options{Agent: tc.socket}).Exec(t.Context(), e, truth)
			if tc.want != nil {
				wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, tc.want...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
