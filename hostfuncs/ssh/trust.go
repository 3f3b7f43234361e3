package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh/krl"
)

// trust is what an endpoint may show to be taken for itself.
type trust struct {
	profile     Profile
	pins        pins
	authorities pins
	revoked     revoked
	firstUse    bool
}

// revoked is what is never taken.
type revoked struct {
	keys    pins
	prints  []string // SHA256:…
	serials []uint64
	list    *krl.List // nil: there is none
}

// newTrust reads what an endpoint trusts.
func newTrust(e Endpoint) (*trust, error) {
	if !e.Profile.valid() {
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s has an unknown SSH profile; known are modern, compatible and legacy", e.place())
	}
	t := &trust{profile: e.Profile, firstUse: e.Trust.FirstUse && e.Learn != nil}
	var err error
	if t.pins, err = parsePins(e, "pinned host key", e.HostKeys); err != nil {
		return nil, err
	}
	if t.authorities, err = parsePins(e, "host authority", e.Trust.Authorities); err != nil {
		return nil, err
	}
	for i, line := range e.Trust.Revoked {
		if err := t.revoked.add(line); err != nil {
			return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before,
				"entry %d of what is revoked for %s cannot be read; it is a type and base64, SHA256:… or serial:N: %w", i+1, e.place(), err)
		}
	}
	if t.revoked.list, err = e.revocations(); err != nil {
		return nil, err
	}
	return t, nil
}

func (r *revoked) add(line string) error {
	if n, ok := strings.CutPrefix(line, "serial:"); ok {
		serial, err := strconv.ParseUint(n, 10, 64)
		if err != nil {
			return errors.New("not a serial number")
		}
		r.serials = append(r.serials, serial)
		return nil
	}
	if strings.HasPrefix(line, "SHA256:") {
		r.prints = append(r.prints, strings.TrimRight(line, "="))
		return nil
	}
	key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return errors.New("not a public key")
	}
	r.keys = append(r.keys, key)
	return nil
}

// has reports whether a key is revoked by itself or by its fingerprint.
func (r revoked) has(k xssh.PublicKey) bool {
	return r.list.Key(k.Marshal()) || r.keys.has(k) || slices.Contains(r.prints, xssh.FingerprintSHA256(k))
}

// anything reports whether some key could be taken at all.
func (t *trust) anything() bool { return len(t.pins) > 0 || len(t.authorities) > 0 || t.firstUse }

// algorithms returns the signature algorithms to offer, derived from what is
// trusted: a server with keys of several types would else choose one that is not
// (golang/go#29286). With an authority those of certificates come first, and then
// plain ones too, so that a server without a certificate still shows its key.
func (t *trust) algorithms() []string {
	var out []string
	if len(t.authorities) > 0 {
		out = t.profile.certificates()
	}
	for _, key := range t.pins {
		out = append(out, t.profile.signatures(key.Type())...)
	}
	if len(t.pins) == 0 || len(t.authorities) > 0 {
		out = append(out, t.profile.table().hostKeys...)
	}
	var once []string
	for _, a := range out {
		if !slices.Contains(once, a) {
			once = append(once, a)
		}
	}
	return once
}

// bare returns the key of a certificate, or the key itself.
func bare(k xssh.PublicKey) xssh.PublicKey {
	if c, ok := k.(*xssh.Certificate); ok {
		return c.Key
	}
	return k
}

// refused returns why a key that is trusted by something may not be taken all the
// same; "" when nothing speaks against it.
func (t *trust) refused(key xssh.PublicKey) string {
	if t.revoked.has(bare(key)) {
		return "its host key is revoked"
	}
	c, ok := key.(*xssh.Certificate)
	switch {
	case !ok:
		return ""
	case t.revoked.has(c.SignatureKey):
		return "the authority that signed its certificate is revoked"
	case t.revoked.list.Certificate(c.SignatureKey.Marshal(), c.Serial, c.KeyId):
		return fmt.Sprintf("its certificate, number %d, is revoked by the revocation list", c.Serial)
	case slices.Contains(t.revoked.serials, c.Serial) && t.authorities.has(c.SignatureKey):
		return fmt.Sprintf("its certificate, number %d, is revoked", c.Serial)
	}
	return ""
}

// certified returns nil when an authority of the trust vouches for the
// certificate and the endpoint, else why not.
func (t *trust) certified(e Endpoint, c *xssh.Certificate) error {
	switch {
	case c.CertType != xssh.HostCert:
		return errors.New("it shows a user's certificate, not a host's")
	case !t.authorities.has(c.SignatureKey):
		return fmt.Errorf("its certificate is signed by %s, and trusted are the authorities %s", fingerprint(c.SignatureKey), t.authorities)
	case c.Signature.Format == xssh.KeyAlgoRSA && t.profile != Legacy:
		return errors.New("its certificate is signed with SHA-1, which profile legacy alone takes")
	}
	name, ok := principal(e, c.ValidPrincipals)
	if !ok {
		return fmt.Errorf("its certificate is for %.300s, and not for %s", strings.Join(c.ValidPrincipals, ", "), strings.Join(e.names(), " or "))
	}
	var check xssh.CertChecker
	if err := check.CheckCert(name, c); err != nil {
		return fmt.Errorf("its certificate is not good: %w; it is valid %s", err, validity(c))
	}
	return nil
}

// names are what a certificate may call the endpoint: its address and, as
// OpenSSH's HostKeyAlias, its name.
func (e Endpoint) names() []string {
	out := []string{strings.ToLower(strings.TrimSuffix(e.Host, "."))}
	if e.Name != "" && e.Name != out[0] {
		out = append(out, e.Name)
	}
	return out
}

// principal returns the principal that fits the endpoint. A certificate without
// principals is for every host, as OpenSSH has it; * and ? are wildcards.
func principal(e Endpoint, list []string) (string, bool) {
	for _, p := range list {
		for _, name := range e.names() {
			if ok, err := path.Match(strings.ToLower(p), name); err == nil && ok {
				return p, true
			}
		}
	}
	return "", len(list) == 0
}

// errRevoked marks a key that is revoked.
var errRevoked = errors.New("revoked")

// check returns nil when a key may be taken, errUnknownKey when nothing is
// trusted yet, and else why not.
func (t *trust) check(e Endpoint, key xssh.PublicKey) error {
	if why := t.refused(key); why != "" {
		return fmt.Errorf("%w: %s", errRevoked, why)
	}
	if t.pins.has(bare(key)) {
		return nil
	}
	if !t.pins.any() && !t.authorities.any() {
		return errUnknownKey
	}
	c, ok := key.(*xssh.Certificate)
	if !ok && t.authorities.any() {
		return errors.New("it shows a key without a certificate")
	}
	if !ok || !t.authorities.any() {
		return errOtherKey
	}
	return t.certified(e, c)
}

var (
	errUnknownKey = errors.New("no host key is trusted yet")
	errOtherKey   = errors.New("not a pinned key")
)

func (p pins) any() bool { return len(p) > 0 }

func (p pins) has(key xssh.PublicKey) bool {
	return slices.ContainsFunc(p, func(k xssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) })
}
