package ssh

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// pins are the host keys that an endpoint may show.
type pins []xssh.PublicKey

func parsePins(e Endpoint) (pins, error) {
	var p pins
	for i, line := range e.HostKeys {
		key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before,
				"pinned host key %d of %s cannot be read; it is a type and base64, as ssh-keyscan prints them after the name: %w", i+1, e.place(), err)
		}
		p = append(p, key)
	}
	return p, nil
}

// algorithms returns the signature algorithms to offer, derived from the pinned
// keys: a server with keys of several types would else choose one that is not
// pinned. nil: no key is pinned.
func (p pins) algorithms() []string {
	var out []string
	for _, key := range p {
		add := []string{key.Type()}
		if key.Type() == xssh.KeyAlgoRSA {
			add = []string{xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSASHA256}
		}
		for _, a := range add {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

func (p pins) has(key xssh.PublicKey) bool {
	return slices.ContainsFunc(p, func(k xssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) })
}

func (p pins) String() string {
	var out []string
	for _, k := range p {
		out = append(out, fingerprint(k))
	}
	return strings.Join(out, ", ")
}

func fingerprint(k xssh.PublicKey) string {
	return xssh.FingerprintSHA256(k) + " (" + k.Type() + ")"
}

// hostKeyCheck remembers what a server showed.
type hostKeyCheck struct {
	endpoint Endpoint
	pins     pins

	mu     sync.Mutex // the callback runs in a goroutine of x/crypto's
	passed bool
	err    *hostfuncs.Error
}

// ok reports whether the server showed a pinned key.
func (h *hostKeyCheck) ok() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.passed
}

// failed returns why the key that the server showed is not taken, or nil.
func (h *hostKeyCheck) failed() *hostfuncs.Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// callback is x/crypto's HostKeyCallback: it runs before any authentication.
func (h *hostKeyCheck) callback(_ string, _ net.Addr, key xssh.PublicKey) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.pins.has(key):
		h.passed = true
		return nil
	case len(h.pins) == 0:
		h.err = hostfuncs.Errorf(hostfuncs.HostKeyUnknown, hostfuncs.Before,
			"no host key is pinned for %s, which offers %s; no credential was sent. Compare that with the machine's own (ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub); if it is the same, pin it: opsconductor asset update %s --host-key '%s'",
			h.endpoint.place(), fingerprint(key), h.endpoint.Name, authorizedKey(key))
	default:
		h.err = h.mismatch(key)
	}
	return h.err
}

func (h *hostKeyCheck) mismatch(key xssh.PublicKey) *hostfuncs.Error {
	return hostfuncs.Errorf(hostfuncs.HostKeyMismatch, hostfuncs.Before,
		"%s offers the host key %s, but pinned is %s; no credential was sent. Either the machine was installed anew or something stands between: compare with the machine's own key (ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub), and only if it is the same pin it: opsconductor asset update %s --host-key '%s'",
		h.endpoint.place(), fingerprint(key), h.pins, h.endpoint.Name, authorizedKey(key))
}

func authorizedKey(k xssh.PublicKey) string {
	return strings.TrimSpace(string(xssh.MarshalAuthorizedKey(k)))
}
