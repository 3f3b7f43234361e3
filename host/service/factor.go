package service

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/vault"
)

const (
	maxCertificate = 16 << 10 // bytes
	maxSeed        = 1 << 10  // bytes
	maxAnswers     = 20
	maxPrompt      = 200 // bytes
)

func isKind(k automation.CredentialKind) bool {
	return k == automation.CredentialPassword || k == automation.CredentialSSHKey || k == automation.CredentialSSHAgent
}

// checkParts checks that what the request has belongs to its kind.
func checkParts(r CredentialRequest) automation.Errors {
	var out automation.Errors
	if !isKind(r.Kind) {
		return nil
	}
	for _, part := range []struct {
		pointer string
		given   bool
		of      []automation.CredentialKind
	}{
		{"/private_key", !r.PrivateKey.Empty(), []automation.CredentialKind{automation.CredentialSSHKey}},
		{"/passphrase", !r.Passphrase.Empty(), []automation.CredentialKind{automation.CredentialSSHKey}},
		{"/certificate", r.Certificate != "", []automation.CredentialKind{automation.CredentialSSHKey, automation.CredentialSSHAgent}},
		{"/public_key", r.PublicKey != "", []automation.CredentialKind{automation.CredentialSSHAgent}},
	} {
		if part.given && !slices.Contains(part.of, r.Kind) {
			out = append(out, &automation.Error{
				Code: automation.CodeInvalid, Pointer: part.pointer,
				Message: fmt.Sprintf("a credential of kind %s has no such secret", r.Kind), Suggestion: "leave it out, or use kind " + string(part.of[0]),
			})
		}
	}
	if r.Kind == automation.CredentialSSHAgent && slices.ContainsFunc(r.Scope.Protocols, func(p automation.Protocol) bool { return p == automation.ProtocolWinRM }) {
		out = append(out, &automation.Error{
			Code: automation.CodeInvalid, Pointer: "/scope/protocols", Message: "an agent's key logs in over SSH alone", Allowed: "ssh",
		})
	}
	return out
}

// checkFactors checks certificate, public key, seed and answers. Whether they fit
// the key and the server is found out by the protocol that uses them.
func checkFactors(r CredentialRequest) automation.Errors {
	var out automation.Errors
	bad := func(pointer, message, allowed, suggestion string) {
		out = append(out, &automation.Error{Code: automation.CodeInvalid, Pointer: pointer, Message: message, Allowed: allowed, Suggestion: suggestion})
	}
	if r.Certificate != "" && !isCertificate(r.Certificate) {
		bad("/certificate", "not an SSH certificate", "the one line of KEY-cert.pub", "send the file that ssh-keygen -s wrote beside the public key")
	}
	if r.PublicKey != "" && !isAgentKey(r.PublicKey) {
		bad("/public_key", "does not name a key", "SHA256:…, or a public key's type and base64", "ssh-add -l lists the fingerprints of the agent's keys")
	}
	if !r.OneTimeSeed.Empty() && !isSeed(r.OneTimeSeed) {
		bad("/one_time_seed", "not a seed of time-based one-time codes", "base32 of 10 to 128 bytes, or an otpauth://totp URI with 6 to 8 digits and a period of 10 to 120 seconds",
			"send what the QR code of the second factor holds")
	}
	if len(r.Answers) > maxAnswers {
		out = append(out, &automation.Error{Code: automation.CodeLimit, Pointer: "/answers", Message: "too many answers", Allowed: fmt.Sprintf("at most %d", maxAnswers)})
		return out
	}
	for i, a := range r.Answers {
		at := fmt.Sprintf("/answers/%d", i)
		control := strings.ContainsFunc(a.Prompt, func(c rune) bool { return c < ' ' || c == 0x7f })
		if strings.TrimSpace(a.Prompt) == "" || len(a.Prompt) > maxPrompt || !utf8.ValidString(a.Prompt) || control {
			bad(at+"/prompt", "not a pattern of a prompt", fmt.Sprintf("UTF-8 text of at most %d bytes without control characters; * stands for anything", maxPrompt), `like "*PIN*"`)
		}
		if len(a.Text.Reveal()) > maxPassword {
			out = append(out, &automation.Error{Code: automation.CodeLimit, Pointer: at + "/text", Message: "the secret is too long", Allowed: fmt.Sprintf("at most %d bytes", maxPassword)})
		}
	}
	return out
}

// isCertificate reports whether text is one line of a user's or host's certificate.
func isCertificate(text string) bool {
	f := strings.Fields(text)
	if len(text) > maxCertificate || len(f) < 2 || strings.ContainsAny(strings.TrimSpace(text), "\r\n") || !strings.HasSuffix(f[0], "-cert-v01@openssh.com") {
		return false
	}
	blob, err := base64.StdEncoding.DecodeString(f[1])
	return err == nil && len(blob) > 4+len(f[0]) && int(binary.BigEndian.Uint32(blob)) == len(f[0]) && string(blob[4:4+len(f[0])]) == f[0]
}

func isAgentKey(text string) bool {
	if digest, ok := strings.CutPrefix(text, "SHA256:"); ok {
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(digest, "="))
		return err == nil && len(b) == 32
	}
	f := strings.Fields(text)
	return len(f) >= 2 && inventory.CheckHostKey("", f[0]+" "+f[1]) == nil
}

// isSeed reports whether s has the shape of a seed (RFC 6238).
func isSeed(s automation.Secret) bool {
	text := strings.TrimSpace(string(s.Reveal()))
	if len(text) > maxSeed {
		return false
	}
	if strings.HasPrefix(text, "otpauth:") {
		u, err := url.Parse(text)
		if err != nil || u.Host != "totp" {
			return false
		}
		q := u.Query()
		hashes := []string{"", "SHA1", "SHA256", "SHA512"}
		if !within(q.Get("digits"), 6, 8) || !within(q.Get("period"), 10, 120) || !slices.Contains(hashes, strings.ToUpper(q.Get("algorithm"))) {
			return false
		}
		text = q.Get("secret")
	}
	plain := strings.NewReplacer(" ", "", "-", "", "\n", "", "\r", "").Replace(strings.ToUpper(text))
	b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(plain, "="))
	defer clear(b)
	return err == nil && len(b) >= 10 && len(b) <= 128
}

// within reports whether text is a number from low to high, or nothing.
func within(text string, low, high int) bool {
	n, err := strconv.Atoi(text)
	return text == "" || err == nil && n >= low && n <= high
}

func hasSecret(r CredentialRequest) bool {
	for _, s := range []automation.Secret{r.Password, r.PrivateKey, r.Passphrase, r.OneTimeSeed} {
		if !s.Empty() {
			return true
		}
	}
	return r.Certificate != "" || r.PublicKey != "" || len(r.Answers) > 0
}

// missingSecret says what a credential of the request's kind needs and has not.
func missingSecret(r CredentialRequest) automation.Errors {
	switch {
	case r.Kind == automation.CredentialPassword && r.Password.Empty() && r.OneTimeSeed.Empty() && len(r.Answers) == 0:
		return automation.Errors{{
			Code: automation.CodeMissing, Pointer: "/password", Message: "a credential of kind password needs a password, or answers to prompts",
		}}
	case r.Kind == automation.CredentialSSHKey && r.PrivateKey.Empty() && !r.Passphrase.Empty():
		return automation.Errors{{
			Code: automation.CodeMissing, Pointer: "/private_key", Message: "a passphrase without the private key that it belongs to",
			Suggestion: "send the private key with it",
		}}
	case r.Kind == automation.CredentialSSHKey && r.PrivateKey.Empty():
		return automation.Errors{{Code: automation.CodeMissing, Pointer: "/private_key", Message: "a credential of kind ssh_key needs a private key"}}
	}
	return nil
}

// checkCodes checks that an answer by a one-time code has a seed to make it from.
func checkCodes(m vault.Material) automation.Errors {
	var out automation.Errors
	for i, a := range m.Answers {
		if a.Text.Empty() && m.OneTimeSeed.Empty() {
			out = append(out, &automation.Error{
				Code: automation.CodeMissing, Pointer: fmt.Sprintf("/answers/%d/text", i), Message: "an answer without text is the one-time code, and the credential has no seed to make it from",
				Suggestion: "send the answer, or one_time_seed",
			})
		}
	}
	return out
}

func material(r CredentialRequest) vault.Material {
	return vault.Material{
		Password: r.Password, PrivateKey: r.PrivateKey, Passphrase: r.Passphrase,
		Certificate: r.Certificate, PublicKey: r.PublicKey, OneTimeSeed: r.OneTimeSeed, Answers: r.Answers,
	}
}

// merge adds to m what it does not say and old has. Passphrase and certificate
// belong to their key.
func merge(m, old vault.Material) vault.Material {
	if m.PrivateKey.Empty() && m.PublicKey == "" && m.Certificate == "" {
		m.Certificate = old.Certificate
	}
	if m.PrivateKey.Empty() {
		m.PrivateKey = old.PrivateKey
		if m.Passphrase.Empty() {
			m.Passphrase = old.Passphrase
		}
	}
	if m.Password.Empty() {
		m.Password = old.Password
	}
	if m.PublicKey == "" {
		m.PublicKey = old.PublicKey
	}
	if m.OneTimeSeed.Empty() {
		m.OneTimeSeed = old.OneTimeSeed
	}
	if len(m.Answers) == 0 {
		m.Answers = old.Answers
	}
	return m
}

// factorParts are the parts of a request's digest that requests without them do
// not have.
func factorParts(r CredentialRequest) [][]byte {
	if r.Certificate == "" && r.PublicKey == "" && r.OneTimeSeed.Empty() && len(r.Answers) == 0 {
		return nil
	}
	out := [][]byte{[]byte(r.Certificate), []byte(r.PublicKey), r.OneTimeSeed.Reveal()}
	for _, a := range r.Answers {
		out = append(out, []byte(a.Prompt), strconv.AppendBool(nil, a.Visible), a.Text.Reveal())
	}
	return out
}
