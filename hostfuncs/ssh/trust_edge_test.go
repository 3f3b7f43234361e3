package ssh_test

import (
	"context"
	"crypto/rand"
	"net/netip"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// What is trusted beside a certificate, and how names and fingerprints are written.
func TestHostAuthorityEdges(t *testing.T) {
	t.Parallel()
	ca, key, rsaKey := sshtest.NewKey(), sshtest.NewKey(), pemKey(t, "rsa", "")
	caPub, pub := mustPublic(t, ca), mustPublic(t, key)
	other := []string{mustPublic(t, sshtest.NewKey())}
	for name, tc := range map[string]struct {
		principal string
		edit      func(e *ssh.Endpoint)
		want      []string // of the error; nil: it is taken
	}{
		"a name in capitals":     {principal: "WEB1", edit: func(*ssh.Endpoint) {}},
		"an address in capitals": {principal: "localhost", edit: func(e *ssh.Endpoint) { e.Host, e.Name = "LocalHost.", "other" }},
		"revoked, padded":        {edit: func(e *ssh.Endpoint) { e.Trust.Revoked = []string{print(t, key) + "="} }, want: []string{"its host key is revoked"}},
		"pinned, and another authority's number is revoked": {edit: func(e *ssh.Endpoint) {
			e.HostKeys, e.Trust = []string{pub}, ssh.Trust{Authorities: other, Revoked: []string{"serial:7"}}
		}},
		"pinned is another type": {edit: func(e *ssh.Endpoint) { e.HostKeys, e.Trust = []string{mustPublic(t, rsaKey)}, ssh.Trust{} }, want: []string{"pinned is " + print(t, rsaKey)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(server(t, sshtest.Config{HostKeys: []string{key}, Options: []string{hostCertificate(t, ca, key, func(c *xssh.Certificate) {
				if tc.principal != "" {
					c.ValidPrincipals = []string{tc.principal}
				}
			})}}))
			e.HostKeys, e.Trust = nil, ssh.Trust{Authorities: []string{caPub}}
			tc.edit(&e)
			_, err := pool(t, ssh.Options{Dialer: hostfuncs.Dialer{Lookup: loopback}}).Exec(t.Context(), e, truth)
			if tc.want != nil {
				wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, tc.want...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// loopback is a name server that knows one address.
func loopback(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// sha1Signer signs by SHA-1, as old authorities do.
type sha1Signer struct{ xssh.AlgorithmSigner }

func (s sha1Signer) Algorithms() []string { return []string{xssh.KeyAlgoRSA} }

// Certificates that no sshd would show: one whose signature is not the authority's, one
// that is signed with SHA-1, and one for the empty name.
func TestHostCertificateForged(t *testing.T) {
	t.Parallel()
	ca, key := pemKey(t, "rsa", ""), sshtest.NewKey()
	old, err := xssh.NewSignerWithAlgorithms(signer(t, ca).(xssh.AlgorithmSigner), []string{xssh.KeyAlgoRSA}) //nolint:forcetypeassert // an RSA key
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		spoil func(c *xssh.Certificate)
		edit  func(e *ssh.Endpoint)
		want  string // "": it is taken
	}{
		"good":              {spoil: func(*xssh.Certificate) {}},
		"with another name": {spoil: func(c *xssh.Certificate) { c.KeyId = "edited" }, want: "signature does not verify"},
		"signed by somebody else": {spoil: func(c *xssh.Certificate) {
			resign(t, c, signer(t, sshtest.NewKey()))
			c.SignatureKey = signer(t, ca).PublicKey()
		}, want: "signature does not verify"},
		"signed with SHA-1":         {spoil: func(c *xssh.Certificate) { resign(t, c, sha1Signer{old}) }, want: "signed with SHA-1, which profile legacy alone takes"},
		"signed with SHA-1, of old": {spoil: func(c *xssh.Certificate) { resign(t, c, sha1Signer{old}) }, edit: func(e *ssh.Endpoint) { e.Profile = ssh.Legacy }},
		"for no name":               {spoil: func(c *xssh.Certificate) { c.ValidPrincipals = []string{""}; resign(t, c, signer(t, ca)) }, edit: func(e *ssh.Endpoint) { e.Name = "" }, want: "and not for 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, e := serveDesk(t, func(_ *desk, c *xssh.ServerConfig) {
				c.PasswordCallback = anybody
				cert := certificate(t, ca, key, func(c *xssh.Certificate) { c.CertType, c.ValidPrincipals = xssh.HostCert, []string{"desk1"} })
				tc.spoil(cert)
				s, err := xssh.NewCertSigner(cert, signer(t, key))
				if err != nil {
					t.Fatal(err)
				}
				c.AddHostKey(s)
			})
			e.HostKeys, e.Trust.Authorities, e.Credential.Password = nil, []string{mustPublic(t, ca)}, secret("open sesame")
			if tc.edit != nil {
				tc.edit(&e)
			}
			_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
			if tc.want == "" {
				wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "refuses every session")
				return
			}
			wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, tc.want, "no credential was sent")
			if n := d.count("password"); n > 0 {
				t.Error("the password was sent")
			}
		})
	}
}

func resign(t *testing.T, c *xssh.Certificate, by xssh.Signer) {
	t.Helper()
	if err := c.SignCert(rand.Reader, by); err != nil {
		t.Fatal(err)
	}
}
