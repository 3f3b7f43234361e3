package ssh_test

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// What a real server announces is learned where a pinned key has vouched for it, and
// only what is not revoked and proven by more than SHA-1 (by which sshd proves an RSA key
// to who has not asked for one): that is no lie, so the rest of the keys counts.
func TestRotationTakes(t *testing.T) {
	t.Parallel()
	ca := sshtest.NewKey()
	keys := []string{sshtest.NewKey(), pemKey(t, "rsa", ""), pemKey(t, "ecdsa", "")}
	srv := server(t, sshtest.Config{HostKeys: keys, Options: []string{hostCertificate(t, ca, keys[0], func(*xssh.Certificate) {})}})
	for name, tc := range map[string]struct {
		edit func(e *ssh.Endpoint)
		want []string
	}{
		"pinned":           {func(*ssh.Endpoint) {}, srv.HostKeys[2:]},
		"pinned beside CA": {func(e *ssh.Endpoint) { e.Trust.Authorities = []string{mustPublic(t, ca)} }, []string{srv.HostKeys[2], srv.HostKeys[1]}},
		"revoked":          {func(e *ssh.Endpoint) { e.Trust.Revoked = srv.HostKeys[2:] }, nil},
		"by CA alone":      {func(e *ssh.Endpoint) { e.HostKeys, e.Trust.Authorities = nil, []string{mustPublic(t, ca)} }, nil},
		"by first use":     {func(e *ssh.Endpoint) { e.HostKeys, e.Trust.FirstUse = nil, true }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(srv)
			var learned []string
			e.Trust.Rotate, e.HostKeys = true, srv.HostKeys[:1]
			e.Learn = func(ctx context.Context, k hostfuncs.HostKeys) ([]string, error) {
				if !k.FirstUse && ctx.Err() == nil {
					learned = append(learned, k.Keys...)
				}
				return k.Keys, nil
			}
			tc.edit(&e)
			p := pool(t, ssh.Options{})
			run(t, p, e, truth)
			run(t, p, e, truth) // so the announcement, which comes first, has been read
			_ = p.Close()       // what was begun has ended
			if !slices.Equal(learned, tc.want) {
				t.Errorf("learned %q, want %q", learned, tc.want)
			}
		})
	}
}

// announce makes a desk tell of keys, and sign for each by the key that is given for it.
func (d *desk) announce(t *testing.T, keys, by []string) {
	t.Helper()
	var blobs []byte
	for _, k := range keys {
		blobs = append(blobs, xssh.Marshal(struct{ K []byte }{signer(t, k).PublicKey().Marshal()})...)
	}
	d.ready = make(chan struct{})
	d.then = func(conn *xssh.ServerConn, requests <-chan *xssh.Request) {
		defer close(d.ready)
		_, _, _ = conn.SendRequest("hostkeys-00@openssh.com", false, blobs)
		for r := range requests {
			if r.Type != "hostkeys-prove-00@openssh.com" {
				_ = r.Reply(false, nil)
				continue
			}
			var proof []byte
			for i, k := range keys {
				sig, err := signer(t, by[i]).Sign(rand.Reader, xssh.Marshal(struct {
					Name         string
					Session, Key []byte
				}{r.Type, conn.SessionID(), signer(t, k).PublicKey().Marshal()}))
				if err != nil {
					t.Error(err)
				}
				proof = append(proof, xssh.Marshal(struct{ S []byte }{xssh.Marshal(sig)})...)
			}
			_ = r.Reply(true, proof)
			return
		}
	}
}

// A server that lies of one of its keys is believed in none; one that does not is in
// all, whose order is not its own.
func TestRotationOneLie(t *testing.T) {
	t.Parallel()
	first, second := pemKey(t, "ecdsa", ""), sshtest.NewKey()
	if mustPublic(t, first) < mustPublic(t, second) {
		first, second = second, first
	}
	for name, by := range map[string][]string{"true": {first, second}, "the first": {second, second}, "the second": {first, first}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := learner()
			d, e := serveDesk(t, func(d *desk, c *xssh.ServerConfig) {
				c.PasswordCallback = anybody
				d.announce(t, []string{first, second}, by)
			})
			e.Credential.Password, e.Trust.Rotate, e.Learn = secret("open sesame"), true, store.learn
			p := pool(t, ssh.Options{})
			_, _ = p.Exec(t.Context(), e, truth)
			_ = p.Close()
			var want []string
			if name == "true" {
				want = []string{mustPublic(t, second), mustPublic(t, first)}
			}
			if got := store.get(); !slices.Equal(got, want) {
				t.Errorf("learned %q, want %q", got, want)
			}
			if _, passed := d.seen(); !passed {
				t.Error("nobody logged in")
			}
		})
	}
}

// Of what is announced a server is asked to prove only what could be of use.
func TestAnnouncedOfUse(t *testing.T) {
	t.Parallel()
	key, ca := sshtest.NewKey(), sshtest.NewKey()
	pub := signer(t, key).PublicKey()
	hardware := xssh.Marshal(struct{ Name, Key, Application string }{xssh.KeyAlgoSKED25519, strings.Repeat("k", 32), "ssh:"})
	cert := certificate(t, ca, key, func(c *xssh.Certificate) { c.CertType = xssh.HostCert })
	for name, tc := range map[string]struct {
		blobs [][]byte
		edit  func(e *ssh.Endpoint)
		want  int
	}{
		"a key":         {[][]byte{pub.Marshal()}, func(*ssh.Endpoint) {}, 1},
		"twice":         {[][]byte{pub.Marshal(), pub.Marshal()}, func(*ssh.Endpoint) {}, 1},
		"pinned":        {[][]byte{pub.Marshal()}, func(e *ssh.Endpoint) { e.HostKeys = []string{line(pub)} }, 0},
		"revoked":       {[][]byte{pub.Marshal()}, func(e *ssh.Endpoint) { e.Trust.Revoked = []string{print(t, key)} }, 0},
		"a certificate": {[][]byte{cert.Marshal()}, func(*ssh.Endpoint) {}, 0},
		"of no profile": {[][]byte{hardware, pub.Marshal()}, func(*ssh.Endpoint) {}, 1},
		"no key":        {[][]byte{[]byte("hello"), pub.Marshal()}, func(*ssh.Endpoint) {}, 1},
		"cut off":       {[][]byte{pub.Marshal(), nil}, func(*ssh.Endpoint) {}, 0},
	} {
		var payload []byte
		for _, b := range tc.blobs {
			if payload = append(payload, xssh.Marshal(struct{ K []byte }{b})...); b == nil {
				payload = payload[:len(payload)-1]
			}
		}
		e := ssh.Endpoint{Name: "web1", HostKeys: []string{mustPublic(t, sshtest.NewKey())}}
		tc.edit(&e)
		if got, err := ssh.Announced(e, payload); err != nil || got != tc.want {
			t.Errorf("%s: %d are looked at (%v), want %d", name, got, err, tc.want)
		}
	}
}
