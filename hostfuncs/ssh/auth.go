package ssh

import (
	"errors"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// auth is how to log in with a credential, and what came of it.
type auth struct {
	methods []xssh.AuthMethod
	tried   []string // by us, in order; from x/crypto
	offered []string // by the server, when it last refused
	kinds   []string // what the credential has: key, password
}

// newAuth reads a credential: its key when it has one, then its password.
func newAuth(e Endpoint) (*auth, error) {
	a := &auth{}
	if pem := reveal(e.Credential.PrivateKey); len(pem) > 0 {
		signer, err := parseKey(pem, reveal(e.Credential.Passphrase))
		if err != nil {
			return nil, hostfuncs.Errorf(hostfuncs.AuthFailed, hostfuncs.Before, "the private key of credential %s cannot be used for %s: %w; nothing was sent", e.Credential.Name, e.place(), err)
		}
		a.kinds = append(a.kinds, "a key ("+signer.PublicKey().Type()+")")
		a.methods = append(a.methods, xssh.PublicKeys(signer))
	}
	if pass := reveal(e.Credential.Password); len(pass) > 0 {
		a.kinds = append(a.kinds, "a password")
		a.methods = append(a.methods, xssh.Password(string(pass)), xssh.KeyboardInteractive(answerOnce(string(pass))))
	}
	if len(a.methods) == 0 {
		return nil, hostfuncs.Errorf(hostfuncs.AuthFailed, hostfuncs.Before, "credential %s has neither a private key nor a password to log in to %s with", e.Credential.Name, e.place())
	}
	return a, nil
}

func reveal(s hostfuncs.Secret) []byte {
	if s == nil {
		return nil
	}
	return s.Reveal()
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

// answerOnce answers one hidden prompt, which is how servers ask for a password
// by keyboard-interactive (RFC 4256). More prompts, or a visible one, are not a
// question for the password.
func answerOnce(password string) xssh.KeyboardInteractiveChallenge {
	asked := false
	return func(_, _ string, questions []string, echos []bool) ([]string, error) {
		if len(questions) == 0 {
			return nil, nil
		}
		if asked || len(questions) != 1 || echos[0] {
			return nil, errors.New("the server asks for more than a password")
		}
		asked = true
		return []string{password}, nil
	}
}

// observe notes what the server accepts; it never chooses a method itself.
func (a *auth) observe(c *xssh.ClientAuthContext) (xssh.AuthMethod, error) {
	a.tried, a.offered = c.TriedMethods, c.AllowedMethods
	return nil, nil
}

// failed returns the error of a login that the server has refused.
func (a *auth) failed(e Endpoint, err error) *hostfuncs.Error {
	var tried []string
	for _, m := range a.tried {
		if m != "none" {
			tried = append(tried, m)
		}
	}
	text := strings.Join(tried, ", ")
	if text == "" {
		text = "nothing that it takes"
	}
	return &hostfuncs.Error{
		Code: hostfuncs.AuthFailed, Phase: hostfuncs.Before, Err: err,
		Message: e.place() + " refused user " + e.Credential.Username + " with credential " + e.Credential.Name +
			", which holds " + strings.Join(a.kinds, " and ") + ": tried " + text + "; the server offers " +
			strings.Join(a.offered, ", ") + ". Check the user, the credential, and what the server's log says",
	}
}
