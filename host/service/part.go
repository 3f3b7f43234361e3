package service

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/vault"
)

// part is one of the secrets of a credential, by the name that requests have for it.
type part struct {
	name string
	has  func(vault.Material) bool
	drop func(*vault.Material)
}

func parts() []part {
	return []part{
		{"password", func(m vault.Material) bool { return !m.Password.Empty() }, func(m *vault.Material) { m.Password = automation.Secret{} }},
		{"private_key", func(m vault.Material) bool { return !m.PrivateKey.Empty() }, func(m *vault.Material) { m.PrivateKey = automation.Secret{} }},
		{"passphrase", func(m vault.Material) bool { return !m.Passphrase.Empty() }, func(m *vault.Material) { m.Passphrase = automation.Secret{} }},
		{"certificate", func(m vault.Material) bool { return m.Certificate != "" }, func(m *vault.Material) { m.Certificate = "" }},
		{"public_key", func(m vault.Material) bool { return m.PublicKey != "" }, func(m *vault.Material) { m.PublicKey = "" }},
		{"one_time_seed", func(m vault.Material) bool { return !m.OneTimeSeed.Empty() }, func(m *vault.Material) { m.OneTimeSeed = automation.Secret{} }},
		{"answers", func(m vault.Material) bool { return len(m.Answers) > 0 }, func(m *vault.Material) { m.Answers = nil }},
	}
}

// partNames are the names of the parts that a material has.
func partNames(m vault.Material) []string {
	out := []string{}
	for _, p := range parts() {
		if p.has(m) {
			out = append(out, p.name)
		}
	}
	return out
}

// partsChange is what an update makes of a credential's secrets.
type partsChange struct {
	before, now vault.Material // they share secrets: before is wiped when now is sealed
	problems    automation.Errors
	err         error // the old seal does not open
}

// partsAfter returns what the request says and, for the rest, what old has, without
// what the request removes. An old seal that does not open any more is given up where
// the request has what the kind needs, and removes nothing.
func (s *Service) partsAfter(old automation.Credential, r CredentialRequest) partsChange {
	var c partsChange
	if c.before, c.err = s.vault.Open(old); c.err != nil {
		if hasSecret(r) && len(missingSecret(r)) == 0 && len(r.Remove) == 0 {
			c.err = nil
			c.now = material(r)
			c.problems = checkCodes(c.now)
		}
		return c
	}
	c.now = merge(material(r), c.before)
	c.problems = checkRemove(r, c.before)
	for _, p := range parts() {
		if slices.Contains(r.Remove, p.name) {
			p.drop(&c.now)
		}
	}
	if len(r.Remove) > 0 || !r.Passphrase.Empty() {
		c.problems = append(c.problems, missingSecret(whole(r, c.now))...)
	}
	c.problems = append(c.problems, checkCodes(c.now)...)
	return c
}

// whole is a request that says all of a credential's secrets.
func whole(r CredentialRequest, m vault.Material) CredentialRequest {
	r.Password, r.PrivateKey, r.Passphrase, r.Certificate = m.Password, m.PrivateKey, m.Passphrase, m.Certificate
	r.PublicKey, r.OneTimeSeed, r.Answers = m.PublicKey, m.OneTimeSeed, m.Answers
	return r
}

// checkRemove checks that what is to be removed is a part that the credential has, said
// once, and not set by the same request.
func checkRemove(r CredentialRequest, old vault.Material) automation.Errors {
	var out automation.Errors
	all := parts()
	names := make([]string, 0, len(all))
	for _, p := range all {
		names = append(names, p.name)
	}
	if len(r.Remove) > len(all) {
		return automation.Errors{{Code: automation.CodeLimit, Pointer: "/remove", Message: "more is removed than a credential has", Allowed: strings.Join(names, ", ")}}
	}
	given := material(r)
	for i, name := range r.Remove {
		bad := func(message, suggestion string) {
			out = append(out, &automation.Error{
				Code: automation.CodeInvalid, Pointer: fmt.Sprintf("/remove/%d", i), Message: message, Allowed: strings.Join(names, ", "), Suggestion: suggestion,
			})
		}
		at := slices.Index(names, name)
		switch {
		case at < 0:
			bad("not a part of a credential", "name a part")
		case slices.Contains(r.Remove[:i], name):
			bad("the part is there twice", "name it once")
		case all[at].has(given):
			bad("the part is both set and removed", "do one of the two: what is set replaces the old one")
		case !all[at].has(old):
			bad("the credential has no such part", "leave it out")
		}
	}
	return out
}

// nothingToRemove refuses that a new credential has parts removed.
func nothingToRemove(r CredentialRequest) automation.Errors {
	if len(r.Remove) == 0 {
		return nil
	}
	return automation.Errors{{Code: automation.CodeInvalid, Pointer: "/remove", Message: "a new credential has nothing to remove", Suggestion: "leave it out"}}
}

// changeDetail is what the audit log has of an update: names of parts, no values.
func changeDetail(c automation.Credential, r CredentialRequest) json.RawMessage {
	set, removed := partNames(material(r)), append([]string{}, r.Remove...)
	slices.Sort(removed)
	return detail(map[string]any{
		"name": c.Name, "kind": c.Kind, "username": c.Username, "scope": c.Scope, "version": c.Version,
		"secret_changed": len(set)+len(removed) > 0, "parts_set": set, "parts_removed": removed,
	})
}
