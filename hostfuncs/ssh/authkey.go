package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"opsconductor.dev/hostfuncs/ssh/krl"
)

// kindAgent is the kind of credential whose key an agent holds.
const kindAgent = "ssh_agent"

// readKeys puts the credential's keys into a: its own, or those of the agent.
func (p *Pool) readKeys(ctx context.Context, a *auth) error {
	e := a.endpoint
	var signers []xssh.Signer
	if pem := reveal(e.Credential.PrivateKey); len(pem) > 0 {
		signer, err := parseKey(pem, reveal(e.Credential.Passphrase))
		if err != nil {
			return fmt.Errorf("the private key: %w", err)
		}
		signers = []xssh.Signer{signer}
		a.kinds = append(a.kinds, "a key ("+signer.PublicKey().Type()+")")
	}
	if e.Credential.Kind == kindAgent {
		held, closeAgent, err := p.agentKeys(ctx, e)
		if err != nil {
			return err
		}
		a.closeKeys = closeAgent
		signers = held
		a.kinds = append(a.kinds, fmt.Sprintf("%d keys of the agent", len(held)))
	}
	list, err := e.revocations()
	if err == nil {
		signers, err = unrevoked(signers, list)
	}
	if err == nil {
		a.keys, err = e.fit(signers, list)
	}
	if err != nil {
		a.closeKeys()
	}
	return err
}

// fit limits keys to the signatures of the endpoint's profile, and puts the
// certificate, where there is one and list does not revoke it, before all of them.
func (e Endpoint) fit(signers []xssh.Signer, list *krl.List) ([]xssh.Signer, error) {
	var out []xssh.Signer
	var types []string
	for _, s := range signers {
		types = append(types, s.PublicKey().Type())
		as, ok := s.(xssh.AlgorithmSigner)
		names := e.Profile.signatures(bare(s.PublicKey()).Type())
		switch {
		case len(names) == 0:
			continue
		case ok && bare(s.PublicKey()).Type() == xssh.KeyAlgoRSA:
			limited, err := limit(as, names)
			if err != nil {
				return nil, fmt.Errorf("the key signs by no algorithm of profile %s", e.Profile)
			}
			out = append(out, limited...)
			continue
		}
		out = append(out, s)
	}
	if len(signers) > 0 && len(out) == 0 {
		return nil, fmt.Errorf("profile %s takes no key of type %s", e.Profile, strings.Join(types, ", "))
	}
	if e.Credential.Certificate == "" {
		return out, nil
	}
	c, err := e.userCertificate(time.Now())
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(out, func(s xssh.Signer) bool { return string(s.PublicKey().Marshal()) == string(c.Key.Marshal()) })
	if at < 0 {
		return nil, errors.New("the certificate is for another key than the credential has")
	}
	if err := goodCertificate(c, list); err != nil {
		return nil, err
	}
	signer, err := xssh.NewCertSigner(c, out[at])
	if err != nil {
		return nil, errors.New("the certificate and the key cannot be used together")
	}
	return append([]xssh.Signer{signer}, out...), nil
}

// limit returns an RSA key that signs by the given algorithms; where SHA-1 is one,
// it is an offer of its own, since servers say that they take all and then do not.
func limit(s xssh.AlgorithmSigner, names []string) ([]xssh.Signer, error) {
	var out []xssh.Signer
	sha1 := slices.Index(names, xssh.KeyAlgoRSA)
	if sha1 >= 0 {
		names = slices.Delete(slices.Clone(names), sha1, sha1+1)
	}
	strong, err := xssh.NewSignerWithAlgorithms(s, names)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller words it
	}
	out = append(out, strong)
	if sha1 >= 0 {
		weak, err := xssh.NewSignerWithAlgorithms(s, []string{xssh.KeyAlgoRSA})
		if err != nil {
			return out, nil //nolint:nilerr // an agent may not do SHA-1
		}
		out = append(out, weak)
	}
	return out, nil
}

// userCertificate reads the credential's certificate.
func (e Endpoint) userCertificate(now time.Time) (*xssh.Certificate, error) {
	key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(e.Credential.Certificate))
	if err != nil {
		return nil, errors.New("the certificate cannot be read; it is the line of the file KEY-cert.pub")
	}
	c, ok := key.(*xssh.Certificate)
	if !ok {
		return nil, errors.New("the certificate is a plain public key; it is the line of the file KEY-cert.pub")
	}
	return c, e.certifies(c, now)
}

// certifies returns why a server would only refuse a certificate: its time, its
// principals, its type.
func (e Endpoint) certifies(c *xssh.Certificate, now time.Time) error {
	at := uint64(max(now.Unix(), 0))
	switch {
	case c.CertType != xssh.UserCert:
		return errors.New("the certificate is a host's, not a user's")
	case at < c.ValidAfter:
		return fmt.Errorf("the certificate is not valid yet; it is valid %s", validity(c))
	case at >= c.ValidBefore: // no time is CertTimeInfinity
		return fmt.Errorf("the certificate has expired; it was valid %s; let the authority sign the key anew", validity(c))
	case len(c.ValidPrincipals) == 0:
		return errors.New("the certificate has no principals, and OpenSSH takes none without; let the authority sign the key with the user's name (ssh-keygen -n)")
	case !slices.Contains(c.ValidPrincipals, e.Credential.Username):
		return fmt.Errorf("the certificate is for %.300s, and the credential logs in as %s; let the authority sign the key for that name too", strings.Join(c.ValidPrincipals, ", "), e.Credential.Username)
	}
	return nil
}

// parseKey reads a PEM private key, encrypted or not. Its errors never hold what
// was read.
func parseKey(pem, passphrase []byte) (xssh.Signer, error) {
	signer, err := xssh.ParsePrivateKey(pem)
	var locked *xssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		if err != nil {
			return nil, errors.New("it is not a PEM private key of type ed25519, ecdsa or rsa")
		}
		return signer, nil
	}
	if len(passphrase) == 0 {
		return nil, errors.New("it is encrypted and the credential has no passphrase")
	}
	signer, err = xssh.ParsePrivateKeyWithPassphrase(pem, passphrase)
	if err != nil {
		return nil, errors.New("the credential's passphrase does not open it")
	}
	return signer, nil
}

// agentKeys returns the keys of the deployment's agent, the right one first (and
// alone) where the credential names it. The agent is asked to sign while the
// connection is opened, and is never forwarded.
func (p *Pool) agentKeys(ctx context.Context, e Endpoint) ([]xssh.Signer, func(), error) {
	if p.opt.Agent == "" {
		return nil, nil, errors.New("its key is in an SSH agent, and this host has none; start the host with --ssh-agent SOCKET")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.opt.Agent)
	if err != nil {
		return nil, nil, errors.New("the SSH agent of this host does not answer at its socket; start it, or correct --ssh-agent")
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	end := func() { stop(); _ = conn.Close() }
	if err := conn.SetDeadline(time.Now().Add(p.opt.HandshakeTimeout)); err != nil {
		end()
		return nil, nil, errors.New("the SSH agent of this host cannot be used")
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		end()
		return nil, nil, errors.New("the SSH agent of this host does not list its keys; it may be locked")
	}
	signers, err = e.choose(signers)
	if err != nil {
		end()
		return nil, nil, err
	}
	return signers, end, nil
}

// choose returns those of an agent's keys and certificates that the credential asks for
// and that a server may take.
func (e Endpoint) choose(signers []xssh.Signer) ([]xssh.Signer, error) {
	var out []xssh.Signer
	var why error // one of the certificates is of no use
	for _, s := range signers {
		s = newHeld(s)
		if !e.wants(s.PublicKey()) {
			continue
		}
		if c, ok := s.PublicKey().(*xssh.Certificate); ok {
			if err := e.certifies(c, time.Now()); err != nil {
				why = err
				continue
			}
		}
		out = append(out, s)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case why != nil:
		return nil, fmt.Errorf("the SSH agent of this host has no key for it, and %w", why)
	case e.Credential.PublicKey != "":
		return nil, errors.New("the SSH agent of this host does not have the key that the credential names; add it (ssh-add)")
	}
	return nil, errors.New("the SSH agent of this host has no keys; add one (ssh-add)")
}

// held is a key of an agent's, which tells a certificate from a key.
type held struct {
	xssh.AlgorithmSigner

	public xssh.PublicKey
}

// newHeld reads what an agent says of a key; one of a kind that is not known stays as it is.
func newHeld(s xssh.Signer) xssh.Signer {
	public, err := xssh.ParsePublicKey(s.PublicKey().Marshal())
	as, ok := s.(xssh.AlgorithmSigner)
	if err != nil || !ok {
		return s
	}
	return held{as, public}
}

// PublicKey returns the key, or the certificate.
func (h held) PublicKey() xssh.PublicKey { return h.public }

// wants reports whether an agent's key is one that the credential asks for.
func (e Endpoint) wants(k xssh.PublicKey) bool {
	named := e.Credential.PublicKey
	if named == "" || strings.TrimRight(named, "=") == xssh.FingerprintSHA256(bare(k)) {
		return true
	}
	want, _, _, _, err := xssh.ParseAuthorizedKey([]byte(named))
	return err == nil && (pins{bare(want)}).has(bare(k))
}
