package ssh_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// hostCertificate makes an sshd show a certificate of its first host key.
func hostCertificate(t *testing.T, ca, key string, edit func(*xssh.Certificate)) string {
	t.Helper()
	c := certificate(t, ca, key, func(c *xssh.Certificate) {
		c.CertType, c.ValidPrincipals, c.Permissions = xssh.HostCert, []string{"web1"}, xssh.Permissions{}
		edit(c)
	})
	return "HostCertificate " + file(t, "host-cert.pub", line(c)+"\n")
}

func TestHostAuthority(t *testing.T) {
	t.Parallel()
	ca, other, key := sshtest.NewKey(), sshtest.NewKey(), sshtest.NewKey()
	hour := func(n int) uint64 { return uint64(time.Now().Add(time.Duration(n) * time.Hour).Unix()) }
	trusted := ssh.Trust{Authorities: []string{mustPublic(t, ca)}}
	with := func(revoked ...string) ssh.Trust {
		return ssh.Trust{Authorities: trusted.Authorities, Revoked: revoked}
	}
	for name, tc := range map[string]struct {
		signer string
		edit   func(*xssh.Certificate)
		plain  bool // no certificate
		pins   []string
		trust  ssh.Trust
		want   []string
	}{
		"good":                {trust: trusted},
		"for the address":     {trust: trusted, edit: func(c *xssh.Certificate) { c.ValidPrincipals = []string{"127.0.0.1"} }},
		"by a wildcard":       {trust: trusted, edit: func(c *xssh.Certificate) { c.ValidPrincipals = []string{"web?"} }},
		"for all":             {trust: trusted, edit: func(c *xssh.Certificate) { c.ValidPrincipals = nil }},
		"two authorities":     {trust: ssh.Trust{Authorities: []string{mustPublic(t, other), mustPublic(t, ca)}}},
		"pinned, no CA":       {pins: []string{mustPublic(t, key)}},
		"pinned beside a CA":  {trust: trusted, plain: true, pins: []string{mustPublic(t, key)}},
		"another host":        {trust: trusted, edit: func(c *xssh.Certificate) { c.ValidPrincipals = []string{"db1", "db2"} }, want: []string{"is for db1, db2", "not for 127.0.0.1 or web1"}},
		"expired":             {trust: trusted, edit: func(c *xssh.Certificate) { c.ValidAfter, c.ValidBefore = hour(-3), hour(-2) }, want: []string{"expired", "valid from"}},
		"not valid yet":       {trust: trusted, edit: func(c *xssh.Certificate) { c.ValidAfter, c.ValidBefore = hour(2), hour(3) }, want: []string{"not yet valid"}},
		"a user's":            {trust: trusted, edit: func(c *xssh.Certificate) { c.CertType = xssh.UserCert }, want: []string{"no credential was sent"}},
		"another authority":   {trust: trusted, signer: other, want: []string{"signed by " + print(t, other), "trusted are the authorities " + print(t, ca)}},
		"no certificate":      {trust: trusted, plain: true, want: []string{"without a certificate", "pin it: opsconductor asset update web1 --host-key 'ssh-ed25519 "}},
		"revoked key":         {trust: with(mustPublic(t, key)), want: []string{"its host key is revoked", "no credential was sent"}},
		"revoked print":       {trust: with(print(t, key)), want: []string{"its host key is revoked"}},
		"revoked, pinned":     {pins: []string{mustPublic(t, key)}, trust: with(mustPublic(t, key)), plain: true, want: []string{"its host key is revoked"}},
		"revoked authority":   {trust: with(mustPublic(t, ca)), want: []string{"the authority that signed its certificate is revoked"}},
		"revoked number":      {trust: with("serial:7"), want: []string{"its certificate, number 7, is revoked"}},
		"another number":      {trust: with("serial:8", print(t, other))},
		"not for first use":   {trust: ssh.Trust{Authorities: trusted.Authorities, FirstUse: true}, signer: other, want: []string{"trusted are the authorities"}},
		"no sense in revoked": {trust: with("serial:x"), want: []string{"entry 1 of what is revoked"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := sshtest.Config{HostKeys: []string{key}}
			by := tc.signer
			if by == "" {
				by = ca
			}
			if !tc.plain {
				conf.Options = []string{hostCertificate(t, by, key, func(c *xssh.Certificate) {
					if tc.edit != nil {
						tc.edit(c)
					}
				})}
			}
			e := endpoint(server(t, conf))
			e.HostKeys, e.Trust, e.Learn = tc.pins, tc.trust, learner().learn
			_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
			switch {
			case tc.want == nil && err != nil:
				t.Error(err)
			case tc.want != nil && strings.HasPrefix(tc.want[0], "entry"):
				wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, tc.want...)
			case tc.want != nil:
				wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, tc.want...)
			}
		})
	}
}

// keyStore stores host keys as an inventory does: the first one stays.
type keyStore struct {
	mu     sync.Mutex
	keys   []string
	first  int
	rotate int
	err    error
}

func learner() *keyStore { return &keyStore{} }

func (k *keyStore) learn(_ context.Context, keys hostfuncs.HostKeys) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.err != nil:
		return nil, k.err
	case keys.FirstUse:
		k.first++
		if len(k.keys) == 0 {
			k.keys = keys.Keys
		}
	default:
		k.rotate++
		k.keys = append(k.keys, keys.Keys...)
	}
	return append([]string(nil), k.keys...), nil
}

func (k *keyStore) get() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.keys...)
}

func TestFirstUse(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{})
	store := learner()
	e := endpoint(srv)
	e.HostKeys, e.Trust.FirstUse, e.Learn = nil, true, store.learn
	p := pool(t, ssh.Options{SessionsPerConn: 1})
	hammer(t, p, e, 8) // racing first uses agree
	if got := store.get(); len(got) != 1 || got[0] != srv.HostKeys[0] {
		t.Errorf("stored is %q, want %q", got, srv.HostKeys)
	}
	// A second, different key is a mismatch, also in a race that it lost.
	fk := fake(t, sshtest.FakeConfig{})
	stranger := fakeEndpoint(fk)
	stranger.HostKeys, stranger.Trust.FirstUse, stranger.Learn = nil, true, store.learn
	_, err := p.Exec(t.Context(), stranger, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, "pinned is "+fingerprint(t, srv.HostKeys[0]), "no credential was sent")
	// What cannot be stored is not taken.
	store.err = errors.New("the store is away")
	_, err = p.Exec(t.Context(), stranger, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.HostKeyUnknown, hostfuncs.Before, "the store is away", "no credential was sent")
	// Where nobody stores keys there is no first use.
	stranger.Learn = nil
	_, err = p.Exec(t.Context(), stranger, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.HostKeyUnknown, hostfuncs.Before, "no host key is pinned")
	// A revoked key is not a first key.
	stranger.Learn, stranger.Trust.Revoked = learner().learn, []string{fingerprint(t, fk.HostKey)}
	_, err = p.Exec(t.Context(), stranger, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, "revoked")
	if n := len(fk.Passwords()); n > 0 {
		t.Errorf("%d passwords were sent to a server that was not taken", n)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	keys := []string{sshtest.NewKey(), pemKey(t, "ecdsa", ""), pemKey(t, "rsa", "")}
	srv := server(t, sshtest.Config{HostKeys: keys})
	store := learner()
	e := endpoint(srv)
	e.HostKeys, e.Trust.Rotate, e.Learn = srv.HostKeys[:1], true, store.learn
	e.Trust.Revoked = []string{srv.HostKeys[2]}
	p := pool(t, ssh.Options{})
	run(t, p, e, ssh.Command{Argv: []string{"true"}})
	eventually(t, "the second key is learned", func() bool { return len(store.get()) == 1 })
	if got := store.get(); got[0] != srv.HostKeys[1] {
		t.Errorf("learned is %q, want %q alone: the first is pinned, the third revoked", got, srv.HostKeys[1])
	}
	e.HostKeys = store.get() // the machine retires its first key
	run(t, p, e, ssh.Command{Argv: []string{"true"}})
	quiet := e
	quiet.HostKeys, quiet.Trust = srv.HostKeys[:1], ssh.Trust{}
	other := learner()
	quiet.Learn = other.learn
	run(t, p, quiet, ssh.Command{Argv: []string{"true"}})
	_ = p.Close() // what was begun has ended
	if got := other.get(); len(got) > 0 {
		t.Errorf("learned %q though the endpoint does not ask for it", got)
	}
}

// A server that announces a key that it cannot prove to have gives nothing away.
func TestRotationLie(t *testing.T) {
	t.Parallel()
	for name, announced := range map[string][]byte{
		"a key of another": xssh.Marshal(struct{ K []byte }{signer(t, sshtest.NewKey()).PublicKey().Marshal()}),
		"nonsense":         []byte("\x00\x00\x00\x05hello"),
		"cut off":          []byte("\xff\xff\xff\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fake(t, sshtest.FakeConfig{Announce: announced})
			store := learner()
			e := fakeEndpoint(f)
			e.Trust.Rotate, e.Learn = true, store.learn
			p := pool(t, ssh.Options{})
			run(t, p, e, ssh.Command{Argv: []string{"true"}})
			eventually(t, "the server was asked for proof, or not at all", func() bool { return f.Proofs() == 1 || name != "a key of another" })
			_ = p.Close()
			if got := store.get(); len(got) > 0 {
				t.Errorf("learned %q", got)
			}
		})
	}
}
