package interop_test

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// store keeps the host keys that are learned.
type store struct {
	mu   sync.Mutex
	keys []string
}

func (s *store) learn(_ context.Context, k hostfuncs.HostKeys) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, k.Keys...)
	return append([]string(nil), s.keys...), nil
}

func (s *store) get() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.keys...)
}

// trust are user and host authorities, with a revoked and a rotated key.
func trust() []row {
	mismatch := func(words ...string) func(*testing.T, *ssh.Pool, ssh.Endpoint) {
		return func(t *testing.T, p *ssh.Pool, e ssh.Endpoint) {
			t.Helper()
			wantError(t, p, e, hostfuncs.HostKeyMismatch, hostfuncs.Before, append(words, "no credential was sent", "web1")...)
		}
	}
	good := func(t *testing.T, p *ssh.Pool, e ssh.Endpoint) { t.Helper(); echo(t, p, e, "trusted") }
	return []row{
		{"host CA", func(t *testing.T) { hostAuthority(t, "", good) }},
		{"host CA, revoked key", func(t *testing.T) { hostAuthority(t, "key", mismatch("its host key is revoked")) }},
		{"host CA, revoked certificate", func(t *testing.T) { hostAuthority(t, "serial", mismatch("its certificate, number 7, is revoked")) }},
		{"host CA, revoked authority", func(t *testing.T) {
			hostAuthority(t, "authority", mismatch("the authority that signed its certificate is revoked"))
		}},
		{"host CA, another authority", func(t *testing.T) { hostAuthority(t, "other", mismatch("trusted are the authorities")) }},
		{"host CA, certificate in a KRL", func(t *testing.T) {
			hostAuthority(t, "krl", mismatch("its certificate, number 7, is revoked by the revocation list"))
		}},
		{"host CA, another certificate in a KRL", func(t *testing.T) { hostAuthority(t, "other krl", good) }},
		{"user CA", func(t *testing.T) { userAuthority(t, "") }},
		{"user CA, revoked key", func(t *testing.T) { userAuthority(t, "tried publickey", "web1") }},
		{"host key, rotated", rotated},
		{"host key, changed", func(t *testing.T) {
			e := server(t).Endpoint("web1")
			e.HostKeys = []string{public(t, sshtest.NewKey())}
			mismatch("pinned is SHA256:", "opsconductor asset update web1 --host-key")(t, pool(t, patient()), e)
		}},
		{"host key, not pinned", func(t *testing.T) {
			e := server(t).Endpoint("web1")
			e.HostKeys = nil
			wantError(t, pool(t, patient()), e, hostfuncs.HostKeyUnknown, hostfuncs.Before, "no host key is pinned", "no credential was sent")
		}},
		{"client key, wrong", func(t *testing.T) {
			e := server(t).Endpoint("web1")
			e.Credential.PrivateKey = sshtest.Plain(sshtest.NewKey())
			wantError(t, pool(t, patient()), e, hostfuncs.AuthFailed, hostfuncs.Before, "tried publickey", "the server offers publickey", "credential key")
		}},
	}
}

// hostAuthority is an sshd with a certificate; revoked says what of it is not taken.
func hostAuthority(t *testing.T, revoked string, then func(*testing.T, *ssh.Pool, ssh.Endpoint)) {
	t.Helper()
	ca, key := sshtest.NewKey(), sshtest.NewKey()
	cert := certificate(t, ca, key, xssh.HostCert, "web1")
	srv := serverWith(t, sshtest.Config{HostKeys: []string{key}, Options: []string{"HostCertificate " + file(t, "host-cert.pub", cert+"\n")}})
	e := srv.Endpoint("web1")
	e.HostKeys, e.Trust.Authorities = nil, []string{public(t, ca)}
	switch revoked {
	case "key":
		e.Trust.Revoked = []string{public(t, key)}
	case "serial":
		e.Trust.Revoked = []string{"serial:7"}
	case "krl", "other krl":
		e.Trust.KRL = revocationList(t, public(t, ca), map[string]string{"krl": "serial: 1-9", "other krl": "serial: 8-9"}[revoked])
	case "authority":
		e.Trust.Revoked = []string{public(t, ca)}
	case "other":
		e.Trust.Authorities = []string{public(t, sshtest.NewKey())}
	}
	then(t, pool(t, patient()), e)
}

// revocationList makes one by ssh-keygen, of an authority's certificates.
func revocationList(t *testing.T, ca, spec string) []byte {
	t.Helper()
	list := file(t, "krl", "")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-k", "-f", list, "-s", file(t, "ca.pub", ca+"\n"), file(t, "spec", spec+"\n")).CombinedOutput(); err != nil { //nolint:gosec // the test's own words
		t.Fatalf("ssh-keygen -k: %v: %s", err, out)
	}
	b, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// userAuthority is an sshd that takes certificates of an authority, and, when there
// are words of an error, has the key revoked.
func userAuthority(t *testing.T, words ...string) {
	t.Helper()
	ca, key := sshtest.NewKey(), sshtest.NewKey()
	options := []string{"TrustedUserCAKeys " + file(t, "ca.pub", public(t, ca)+"\n")}
	if words[0] != "" {
		options = append(options, "RevokedKeys "+file(t, "revoked", public(t, key)+"\n"))
	}
	srv := server(t, options...)
	e := srv.Endpoint("web1")
	e.Credential.PrivateKey, e.Credential.Certificate = sshtest.Plain(key), certificate(t, ca, key, xssh.UserCert, srv.User)
	if words[0] == "" {
		echo(t, pool(t, patient()), e, "certified")
		return
	}
	wantError(t, pool(t, patient()), e, hostfuncs.AuthFailed, hostfuncs.Before, words...)
}

// rotated: a server with keys of three kinds proves them, and is known by another
// one later. OpenSSH 9 proves its RSA key by SHA-1 here, which is not taken.
func rotated(t *testing.T) {
	conf := sshtest.Config{HostKeys: []string{sshtest.NewKey(), rsaKey(t), ecdsaKey(t)}} // as Debian makes them
	srv := serverWith(t, conf)
	s := &store{}
	e := srv.Endpoint("web1")
	e.HostKeys, e.Trust.Rotate, e.Learn = srv.HostKeys[:1], true, s.learn
	p := pool(t, patient())
	echo(t, p, e, "by the first key")
	eventually(t, "a key is learned", func() bool { return len(s.get()) > 0 })
	e.HostKeys, e.Trust.Rotate = s.get(), false
	if !slices.Contains(e.HostKeys, srv.HostKeys[2]) {
		t.Errorf("learned is %.40q, want the ECDSA key", e.HostKeys)
	}
	t.Logf("learned %.20q", e.HostKeys)
	echo(t, p, e, "by the second key")
}

// certificate is one of number 7 for a private key's public half, as a line.
func certificate(t *testing.T, ca, private string, kind uint32, principal string) string {
	t.Helper()
	authority, err := xssh.ParsePrivateKey([]byte(ca))
	if err != nil {
		t.Fatal(err)
	}
	key, err := xssh.ParsePrivateKey([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	c := &xssh.Certificate{
		Key: key.PublicKey(), Serial: 7, CertType: kind, KeyId: "interop", ValidPrincipals: []string{principal},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()), //nolint:gosec // after 1970
	}
	if err := c.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(xssh.MarshalAuthorizedKey(c)))
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	sshtest.Eventually(t, what, holds)
}
