package service

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/vault"
)

const (
	maxPassword   = 4 << 10  // bytes
	maxPrivateKey = 64 << 10 // bytes
	maxUsername   = 256      // bytes
	maxScope      = 1000     // entries of each list
)

// checkCredential finds everything that is wrong with a request, except that
// secrets are missing. No message has a value in it.
func checkCredential(r CredentialRequest) automation.Errors {
	var out automation.Errors
	if e := inventory.CheckName("/name", r.Name); e != nil {
		out = append(out, e)
	}
	if !isKind(r.Kind) {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/kind", Message: "not a kind of credential", Allowed: "password, ssh_key, ssh_agent",
		})
	}
	out = append(out, checkUsername(r.Username)...)
	out = append(out, checkSecrets(r)...)
	out = append(out, checkFactors(r)...)
	return append(out, checkScope(r.Scope)...)
}

func checkUsername(name string) automation.Errors {
	if name == "" {
		return automation.Errors{{Code: automation.CodeMissing, Pointer: "/username", Message: "a credential needs a user name"}}
	}
	bad := len(name) > maxUsername || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
	if bad {
		return automation.Errors{{
			Code: automation.CodeInvalid, Pointer: "/username", Message: "the user name is not well formed",
			Allowed: fmt.Sprintf("UTF-8 text of at most %d bytes without control characters", maxUsername),
		}}
	}
	return nil
}

// checkSecrets checks that the secrets fit the kind and their bounds.
func checkSecrets(r CredentialRequest) automation.Errors {
	out := checkParts(r)
	long := func(pointer string, s automation.Secret, most int) {
		if len(s.Reveal()) > most {
			out = append(out, &automation.Error{
				Code: automation.CodeLimit, Pointer: pointer, Message: "the secret is too long", Allowed: fmt.Sprintf("at most %d bytes", most),
			})
		}
	}
	long("/password", r.Password, maxPassword)
	long("/private_key", r.PrivateKey, maxPrivateKey)
	long("/passphrase", r.Passphrase, maxPassword)
	if r.Kind == automation.CredentialSSHKey && !r.PrivateKey.Empty() && len(r.PrivateKey.Reveal()) <= maxPrivateKey {
		if e := checkPEM(r.PrivateKey); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// checkPEM checks the shape of a private key. Whether its passphrase opens it is
// found out by the protocol that uses it.
func checkPEM(s automation.Secret) *automation.Error {
	bad := func(message string) *automation.Error {
		return &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/private_key", Message: message,
			Suggestion: "send the whole private key file, from -----BEGIN … PRIVATE KEY----- to its end line",
		}
	}
	block, rest := pem.Decode(s.Reveal())
	if block == nil {
		if bytes.HasPrefix(bytes.TrimSpace(s.Reveal()), []byte("PuTTY-User-Key-File")) {
			e := bad("a PuTTY key file, not a PEM private key")
			e.Suggestion = "convert it: puttygen key.ppk -O private-openssh -o key.pem"
			return e
		}
		if bytes.HasPrefix(bytes.TrimSpace(s.Reveal()), []byte("ssh-")) {
			return bad("a public key, not a private key")
		}
		return bad("not a PEM private key")
	}
	defer clear(block.Bytes)
	kinds := []string{"OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"}
	if !slices.Contains(kinds, block.Type) {
		e := bad("a PEM block of another kind than a private key")
		e.Allowed = strings.Join(kinds, ", ")
		return e
	}
	if len(block.Bytes) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return bad("the private key is empty, or has text after its end line")
	}
	return nil
}

func checkScope(s automation.CredentialScope) automation.Errors {
	var out automation.Errors
	add := func(code automation.Code, pointer, message, allowed, suggestion string) {
		out = append(out, &automation.Error{Code: code, Pointer: pointer, Message: message, Allowed: allowed, Suggestion: suggestion})
	}
	if len(s.Protocols) == 0 {
		add(automation.CodeMissing, "/scope/protocols", "a credential without a protocol could be used nowhere", "ssh, winrm", `say ["ssh"]`)
	}
	for i, p := range s.Protocols {
		if p != automation.ProtocolSSH && p != automation.ProtocolWinRM {
			add(automation.CodeInvalid, fmt.Sprintf("/scope/protocols/%d", i), "not a protocol that takes credentials", "ssh, winrm", "")
		}
	}
	if len(s.Assets) == 0 && len(s.Tags) == 0 {
		add(automation.CodeMissing, "/scope/assets", "a credential without assets or tags could be used nowhere", "names of assets, or *", `name assets, name tags, or say ["*"] for every asset`)
	}
	if len(s.Assets) > maxScope || len(s.Tags) > maxScope || len(s.Protocols) > maxScope {
		add(automation.CodeLimit, "/scope", "the scope's lists are too long", fmt.Sprintf("at most %d entries", maxScope), "use tags")
		return out
	}
	for i, name := range s.Assets {
		if name != vault.Any && !inventory.IsName(name) {
			add(automation.CodeInvalid, fmt.Sprintf("/scope/assets/%d", i), "not a name of an asset", "a name, or *; patterns are not known here", "use tags for groups of assets")
		}
	}
	for i, tag := range s.Tags {
		if !inventory.IsTag(tag) {
			add(automation.CodeInvalid, fmt.Sprintf("/scope/tags/%d", i), "not a tag", inventory.TagRule, "")
		}
	}
	return out
}

// fillUpdate takes from the stored credential what an update does not say, and
// refuses another name or kind.
func fillUpdate(r CredentialRequest, old automation.Credential) (CredentialRequest, automation.Errors) {
	var out automation.Errors
	fixed := func(pointer, what string) {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: pointer, Message: fmt.Sprintf("the %s of a credential does not change", what),
			Suggestion: "create another credential, and give it to the assets",
		})
	}
	if r.Name != "" && r.Name != old.Name {
		fixed("/name", "name")
	}
	if r.Kind != "" && r.Kind != old.Kind {
		fixed("/kind", "kind")
	}
	r.Name, r.Kind = old.Name, old.Kind
	if r.Username == "" {
		r.Username = old.Username
	}
	if len(r.Scope.Protocols) == 0 && len(r.Scope.Assets) == 0 && len(r.Scope.Tags) == 0 {
		r.Scope = old.Scope
	}
	return r, out
}

// credentialDigest stands for a request with its secrets: keyed, so that the
// stored value is nothing to try passwords against.
func (s *Service) credentialDigest(r CredentialRequest) automation.Digest {
	scope, _ := json.Marshal(r.Scope) // lists of strings always encode
	parts := [][]byte{[]byte(r.Name), []byte(r.Kind), []byte(r.Username), scope, r.Password.Reveal(), r.PrivateKey.Reveal(), r.Passphrase.Reveal()}
	b := joined(append(parts, factorParts(r)...)...)
	defer clear(b)
	return s.vault.Fingerprint(b)
}

func credentialDetail(c automation.Credential, secret bool) json.RawMessage {
	return detail(map[string]any{
		"name": c.Name, "kind": c.Kind, "username": c.Username, "scope": c.Scope, "version": c.Version, "secret_changed": secret,
	})
}

func normaliseScope(s automation.CredentialScope) automation.CredentialScope {
	return automation.CredentialScope{Protocols: sorted(s.Protocols), Assets: sorted(s.Assets), Tags: sorted(s.Tags)}
}

func sorted[S ~string](list []S) []S {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

func unsealed(c automation.Credential) automation.Credential {
	c.Sealed = nil
	return c
}
