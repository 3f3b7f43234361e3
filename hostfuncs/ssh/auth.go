package ssh

import (
	"context"
	"fmt"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// auth is how to log in with a credential, and what came of it. Each call of next
// gives one offer, so that not more offers are made than a server bears.
type auth struct {
	endpoint Endpoint
	most     int // offers

	keys      []xssh.Signer // not offered yet, the right one first
	password  string
	prompts   *prompts
	closeKeys func()
	kinds     []string // what the credential has: key, password

	offers   int
	keyTries int
	sent     bool     // the password was refused
	tried    []string // methods that were refused
	passed   []string // methods that were not enough by themselves
	offered  []string // by the server, when it last refused
	gaveUp   string   // why no more is offered, beyond what the server takes
}

// maxAuthTries is how many offers one connection makes: OpenSSH's default for
// MaxAuthTries is 6, after which it closes the connection without a word of why.
const maxAuthTries = 5

// newAuth reads a credential. Its errors come before anything is sent.
func (p *Pool) newAuth(ctx context.Context, e Endpoint, extend func(wait func() error) error) (*auth, error) {
	a := &auth{endpoint: e, most: maxAuthTries, closeKeys: func() {}, password: string(reveal(e.Credential.Password))}
	bad := func(err error) error {
		return hostfuncs.Errorf(hostfuncs.AuthFailed, hostfuncs.Before, "credential %s cannot be used for %s: %w; nothing was sent", e.Credential.Name, e.place(), err)
	}
	if err := p.readKeys(ctx, a); err != nil {
		return nil, bad(err)
	}
	var err error
	if a.prompts, err = p.newPrompts(ctx, e, extend); err != nil {
		a.closeKeys()
		return nil, bad(err)
	}
	if a.password != "" {
		a.kinds = append(a.kinds, "a password")
	}
	if a.prompts.code != nil {
		a.kinds = append(a.kinds, "one-time codes")
	}
	if n := len(e.Credential.Answers); n > 0 {
		a.kinds = append(a.kinds, fmt.Sprintf("%d answers to prompts", n))
	}
	if len(a.kinds) == 0 {
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

// next chooses what is offered next: keys, then the password, then answers to
// prompts, each where the server takes it. It is x/crypto's AuthCallback.
func (a *auth) next(c *xssh.ClientAuthContext) (xssh.AuthMethod, error) {
	a.tried, a.passed, a.offered = c.TriedMethods, c.PartialSuccessMethods, c.AllowedMethods
	if n := len(c.TriedMethods); n > 0 && c.TriedMethods[n-1] == "password" {
		a.sent = true
	}
	takes := func(method string) bool { return slices.Contains(c.AllowedMethods, method) }
	if a.offers >= a.most {
		a.gaveUp = fmt.Sprintf("%d offers were made, and a server closes the connection soon after that (MaxAuthTries)%s", a.offers, a.unoffered())
		return nil, nil //nolint:nilnil // x/crypto then ends it with the last error
	}
	a.offers++
	switch {
	case takes("publickey") && len(a.keys) > 0 && (a.keyTries < a.keyShare()):
		key := a.keys[0]
		a.keys, a.keyTries = a.keys[1:], a.keyTries+1
		return xssh.PublicKeys(key), nil
	case takes("password") && a.password != "" && !slices.Contains(c.TriedMethods, "password") && !slices.Contains(c.PartialSuccessMethods, "password"):
		return xssh.Password(a.password), nil
	case takes("keyboard-interactive") && a.prompts.any() && !slices.Contains(c.TriedMethods, "keyboard-interactive"):
		a.prompts.spent = a.sent
		return xssh.KeyboardInteractive(a.prompts.answer), nil
	}
	a.offers--
	if takes("publickey") && len(a.keys) > 0 {
		a.gaveUp = "a server closes the connection after a few offers (MaxAuthTries)" + a.unoffered()
	}
	return nil, nil //nolint:nilnil // x/crypto then ends it with the last error
}

// unoffered tells of the keys that were not offered.
func (a *auth) unoffered() string {
	if len(a.keys) == 0 {
		return ""
	}
	return fmt.Sprintf(", so %d more keys were not offered: name the right one by the credential's public key", len(a.keys))
}

// keyShare is how many keys are offered: all offers but those that the other
// parts of the credential need.
func (a *auth) keyShare() int {
	n := a.most
	if a.password != "" {
		n--
	}
	if a.prompts.any() {
		n--
	}
	return n
}

// failed returns the error of a login that the server has refused.
func (a *auth) failed(e Endpoint, err error) *hostfuncs.Error {
	tried := slices.DeleteFunc(slices.Clone(a.tried), func(m string) bool { return m == "none" })
	text := strings.Join(slices.Compact(tried), ", ")
	if text == "" {
		text = "nothing that it takes"
	}
	if len(a.passed) > 0 {
		text += " after it had taken " + strings.Join(a.passed, ", ") + " and asked for more"
	}
	message := e.place() + " refused user " + e.Credential.Username + " with credential " + e.Credential.Name +
		", which holds " + strings.Join(a.kinds, " and ") + ": tried " + text + "; the server offers " + strings.Join(a.offered, ", ")
	more := slices.DeleteFunc([]string{message, a.prompts.complaint, a.gaveUp}, func(s string) bool { return s == "" })
	return &hostfuncs.Error{Code: hostfuncs.AuthFailed, Phase: hostfuncs.Before, Err: err, Message: strings.Join(more, "; ") + ". " + a.advice(err)}
}

// advice says what to do, by what the server offers.
func (a *auth) advice(err error) string {
	takes := func(method string) bool { return slices.Contains(a.offered, method) }
	none := !slices.ContainsFunc(a.tried, func(m string) bool { return m != "none" })
	words := takes("password") || takes("keyboard-interactive")
	switch {
	case a.prompts.complaint != "":
		return "Give the credential an answer to that prompt, or change what the server asks"
	case strings.Contains(err.Error(), "Too many authentication failures"):
		return "The server had enough of the offers (MaxAuthTries): raise it, or leave only what it takes in the credential"
	case len(a.passed) > 0:
		return "The server wants more than one factor (AuthenticationMethods): put the next one into the same credential"
	case none && takes("publickey") && !words:
		return "The server takes keys alone: use a credential of kind ssh_key"
	case none && words && !takes("publickey"):
		return "The server takes passwords alone: put one into the credential"
	case none && !words && !takes("publickey"):
		return "The server takes none of what this host can do (keys, passwords, answers to prompts)"
	}
	return "Check the user, the credential, and what the server's log says"
}
