package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// pins are public keys.
type pins []xssh.PublicKey

func parsePins(e Endpoint, what string, lines []string) (pins, error) {
	var p pins
	for i, line := range lines {
		key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before,
				"%s %d of %s cannot be read; it is a type and base64, as ssh-keyscan prints them after the name: %w", what, i+1, e.place(), err)
		}
		p = append(p, key)
	}
	return p, nil
}

func (p pins) String() string {
	var out []string
	for _, k := range p {
		out = append(out, fingerprint(k))
	}
	return strings.Join(out, ", ")
}

func fingerprint(k xssh.PublicKey) string {
	return xssh.FingerprintSHA256(bare(k)) + " (" + k.Type() + ")"
}

// validity tells from when to when a certificate is valid.
func validity(c *xssh.Certificate) string {
	at := func(unix uint64) string { return time.Unix(int64(min(unix, 1<<62)), 0).UTC().Format(time.RFC3339) } //nolint:gosec // bounded
	if c.ValidBefore == xssh.CertTimeInfinity {
		return "from " + at(c.ValidAfter) + " on"
	}
	return "from " + at(c.ValidAfter) + " until " + at(c.ValidBefore)
}

// hostKeyCheck remembers what a server showed.
type hostKeyCheck struct {
	endpoint Endpoint
	trust    *trust

	mu     sync.Mutex // the callback runs in a goroutine of x/crypto's
	passed bool
	pinned bool // by a pinned key, so that its other keys may be learned
	err    *hostfuncs.Error
}

// ok reports whether the server showed a trusted key.
func (h *hostKeyCheck) ok() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.passed
}

// byPin reports whether it was a pinned key.
func (h *hostKeyCheck) byPin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pinned
}

// failed returns why the key that the server showed is not taken, or nil.
func (h *hostKeyCheck) failed() *hostfuncs.Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// callback returns x/crypto's HostKeyCallback: it runs before any authentication.
func (h *hostKeyCheck) callback(ctx context.Context) xssh.HostKeyCallback {
	return func(_ string, _ net.Addr, key xssh.PublicKey) error {
		err := h.verdict(ctx, key)
		h.mu.Lock()
		defer h.mu.Unlock()
		if err != nil {
			h.err = err
			return err
		}
		h.passed, h.pinned = true, h.trust.pins.has(bare(key))
		return nil
	}
}

// verdict returns nil for a key that is taken.
func (h *hostKeyCheck) verdict(ctx context.Context, key xssh.PublicKey) *hostfuncs.Error {
	err := h.trust.check(h.endpoint, key)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnknownKey) && h.trust.firstUse:
		return h.firstUse(ctx, key)
	case errors.Is(err, errUnknownKey):
		return hostfuncs.Errorf(hostfuncs.HostKeyUnknown, hostfuncs.Before,
			"no host key is pinned for %s, which offers %s; no credential was sent. Compare that with the machine's own (ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub); if it is the same, pin it: %s",
			h.endpoint.place(), fingerprint(key), h.pinCommand(key))
	case errors.Is(err, errOtherKey):
		return h.mismatch(key, h.trust.pins)
	}
	hint := "let the authority sign the machine's key anew, or compare the key with the machine's own and pin it: " + h.pinCommand(key)
	if errors.Is(err, errRevoked) {
		hint = "give the machine new keys, or take the entry out of the asset's revoked ones if it was a mistake"
	}
	return hostfuncs.Errorf(hostfuncs.HostKeyMismatch, hostfuncs.Before,
		"%s offers the host key %s, which is not taken: %w; no credential was sent; %s", h.endpoint.place(), fingerprint(key), err, hint)
}

// firstUse lets the first key be stored, and takes what is stored then: of two
// first uses at a time one wins, and both go on with its key.
func (h *hostKeyCheck) firstUse(ctx context.Context, key xssh.PublicKey) *hostfuncs.Error {
	stored, err := h.endpoint.Learn(ctx, hostfuncs.HostKeys{Keys: []string{authorizedKey(bare(key))}, FirstUse: true})
	if err != nil {
		return hostfuncs.Errorf(hostfuncs.HostKeyUnknown, hostfuncs.Before,
			"%s offers the host key %s, which could not be stored as its first: %w; no credential was sent", h.endpoint.place(), fingerprint(key), err)
	}
	pinned, err := parsePins(h.endpoint, "pinned host key", stored)
	if err != nil {
		return asError(err)
	}
	if !pinned.has(bare(key)) {
		return h.mismatch(key, pinned)
	}
	return nil
}

func (h *hostKeyCheck) mismatch(key xssh.PublicKey, pinned pins) *hostfuncs.Error {
	return hostfuncs.Errorf(hostfuncs.HostKeyMismatch, hostfuncs.Before,
		"%s offers the host key %s, but pinned is %s; no credential was sent. Either the machine was installed anew or something stands between: compare with the machine's own key (ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub), and only if it is the same pin it: %s",
		h.endpoint.place(), fingerprint(key), pinned, h.pinCommand(key))
}

func (h *hostKeyCheck) pinCommand(key xssh.PublicKey) string {
	return fmt.Sprintf("opsconductor asset update %s --host-key '%s'", h.endpoint.Name, authorizedKey(bare(key)))
}

func authorizedKey(k xssh.PublicKey) string {
	return strings.TrimSpace(string(xssh.MarshalAuthorizedKey(k)))
}
