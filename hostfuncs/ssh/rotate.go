package ssh

import (
	"context"
	"slices"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// The requests by which OpenSSH tells of its host keys (its PROTOCOL file, section
// 2.5): it names all, and proves by a signature each that it is asked for.
const (
	hostKeysName  = "hostkeys-00@openssh.com"
	hostKeysProve = "hostkeys-prove-00@openssh.com"
)

const (
	maxAnnounced  = 16 // keys
	rotateTimeout = 15 * time.Second
)

// rotation returns what learns the other keys of a server that was trusted by a
// pinned key; nil where the endpoint does not ask for it.
func (p *Pool) rotation(ctx context.Context, e Endpoint, t *trust, conn xssh.Conn, pinned bool) func([]byte) {
	if !pinned || !e.Trust.Rotate || e.Learn == nil {
		return nil
	}
	return func(payload []byte) {
		fresh := newKeys(payload, t)
		if len(fresh) == 0 {
			return
		}
		proven := prove(conn, fresh)
		if len(proven) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotateTimeout)
		defer cancel()
		_, _ = e.Learn(ctx, hostfuncs.HostKeys{Keys: proven}) // what is not stored is told again next time
	}
}

// newKeys reads the announcement and returns what is not pinned, not revoked and
// of an algorithm of the profile.
func newKeys(payload []byte, t *trust) []xssh.PublicKey {
	var out []xssh.PublicKey
	for n := 0; len(payload) > 0 && n < maxAnnounced; n++ {
		var blob struct {
			Key  []byte
			Rest []byte `ssh:"rest"`
		}
		if xssh.Unmarshal(payload, &blob) != nil {
			return nil
		}
		payload = blob.Rest
		key, err := xssh.ParsePublicKey(blob.Key)
		if err != nil || len(t.profile.signatures(key.Type())) == 0 {
			continue
		}
		if _, cert := key.(*xssh.Certificate); cert || t.pins.has(key) || t.revoked.has(key) || pins(out).has(key) {
			continue
		}
		out = append(out, key)
	}
	return out
}

// prove asks for proof of keys and returns those whose signature over this very
// connection is good; none when the server does not answer as it should.
func prove(conn xssh.Conn, keys []xssh.PublicKey) []string {
	var ask []byte
	for _, k := range keys {
		ask = append(ask, xssh.Marshal(struct{ Key []byte }{k.Marshal()})...)
	}
	ok, answer, err := conn.SendRequest(hostKeysProve, true, ask)
	if err != nil || !ok {
		return nil
	}
	var out []string
	for _, k := range keys {
		var part struct {
			Signature []byte
			Rest      []byte `ssh:"rest"`
		}
		var sig xssh.Signature
		if xssh.Unmarshal(answer, &part) != nil || xssh.Unmarshal(part.Signature, &sig) != nil {
			return nil
		}
		answer = part.Rest
		signed := xssh.Marshal(struct {
			Name    string
			Session []byte
			Key     []byte
		}{hostKeysProve, conn.SessionID(), k.Marshal()})
		if sig.Format == xssh.KeyAlgoRSA { // by SHA-1, as OpenSSH 9 does where the key exchange was by another kind of key: no proof, and no lie
			continue
		}
		if k.Verify(signed, &sig) != nil {
			return nil // one lie is enough
		}
		out = append(out, authorizedKey(k))
	}
	slices.Sort(out)
	return out
}
