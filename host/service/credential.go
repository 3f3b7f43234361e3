package service

import (
	"context"
	"fmt"
	"strings"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/vault"
)

// CredentialRequest is a credential with its secrets, on the way in. Secrets are
// never on a way out.
type CredentialRequest struct {
	Name     string
	Kind     automation.CredentialKind
	Username string
	// What it logs in with. PrivateKey (PEM) and, where the key has one, Passphrase
	// belong to ssh_key; PublicKey (which of the agent's keys: a fingerprint, or type
	// and base64) to ssh_agent; Certificate to both. Password, OneTimeSeed and Answers
	// belong to every kind: a server may ask for more than a key. In an update what is
	// empty stays as it is, but the passphrase and the certificate of a key that is
	// replaced.
	Password    automation.Secret
	PrivateKey  automation.Secret
	Passphrase  automation.Secret
	Certificate string
	PublicKey   string
	OneTimeSeed automation.Secret
	Answers     []automation.PromptAnswer
	// Remove names parts that an update takes away: password, passphrase, certificate,
	// public_key, one_time_seed, answers. What the kind needs can't be taken away.
	Remove []string
	// Scope says where the credential may be used; it may not be empty.
	Scope automation.CredentialScope
}

// CreateCredential seals and stores a credential. The same key with the same
// request gives the credential of the first time and false.
func (s *Service) CreateCredential(ctx context.Context, p automation.Principal, r CredentialRequest, key string) (automation.Credential, bool, error) {
	if err := s.authorise(p, opCredentialCreate); err != nil {
		return automation.Credential{}, false, err
	}
	problems := checkCredential(r)
	if e := checkKey(key); e != nil {
		problems = append(automation.Errors{e}, problems...)
	}
	problems = append(problems, nothingToRemove(r)...)
	problems = append(problems, missingSecret(r)...)
	problems = append(problems, checkCodes(material(r))...)
	if err := problems.OrNil(); err != nil {
		return automation.Credential{}, false, err
	}
	c := automation.Credential{
		ID: automation.NewID[automation.CredentialID](), Tenant: p.Tenant, Name: r.Name, Kind: r.Kind,
		Username: r.Username, Scope: normaliseScope(r.Scope), Version: 1,
	}
	act := s.act(p, opCredentialCreate, string(c.ID), key)
	c.Created, c.Updated = act.At, act.At
	act.Request = s.credentialDigest(r)
	act.Detail = credentialDetail(c, true)
	if err := s.vault.Seal(&c, material(r)); err != nil {
		return automation.Credential{}, false, fault(err)
	}
	out, created, err := s.store.CreateCredential(ctx, c, act)
	return unsealed(out), created, nameTaken(err, "a credential")
}

// UpdateCredential replaces a credential's user name, scope and, when the
// request has them, single parts of its secrets, takes away those that it names in
// Remove, and seals it anew. All that is wrong is said at once, and nothing changed. Name and kind stay: grants and
// assets know the credential by them. version is as for UpdateAsset. The change
// is refused when an asset uses the credential that the new scope leaves out.
func (s *Service) UpdateCredential(ctx context.Context, p automation.Principal, ref string, r CredentialRequest, version int64) (automation.Credential, error) {
	if err := s.authorise(p, opCredentialUpdate); err != nil {
		return automation.Credential{}, err
	}
	old, err := s.findCredential(ctx, p.Tenant, ref)
	if err != nil {
		return automation.Credential{}, err
	}
	if err := checkVersion("credential", old.Version, version); err != nil {
		return automation.Credential{}, err
	}
	r, problems := fillUpdate(r, old)
	parts := s.partsAfter(old, r)
	defer parts.before.Wipe()
	problems = append(append(problems, checkCredential(r)...), parts.problems...)
	if err := problems.OrNil(); err != nil {
		return automation.Credential{}, err
	}
	if parts.err != nil {
		return automation.Credential{}, fault(parts.err)
	}
	c := old
	c.Username, c.Scope, c.Version = r.Username, normaliseScope(r.Scope), old.Version+1
	if err := s.checkUsers(ctx, c); err != nil {
		return automation.Credential{}, err
	}
	act := s.act(p, opCredentialUpdate, string(c.ID), "")
	c.Updated = act.At
	act.Detail = changeDetail(c, r)
	if err := s.vault.Seal(&c, parts.now); err != nil {
		return automation.Credential{}, fault(err)
	}
	out, err := s.store.UpdateCredential(ctx, c, act)
	return unsealed(out), fault(err)
}

// DeleteCredential removes a credential that no asset uses; else it is a
// conflict that names the assets. version is as for UpdateAsset.
func (s *Service) DeleteCredential(ctx context.Context, p automation.Principal, ref string, version int64) error {
	if err := s.authorise(p, opCredentialDelete); err != nil {
		return err
	}
	c, err := s.findCredential(ctx, p.Tenant, ref)
	if err != nil {
		return err
	}
	if err := checkVersion("credential", c.Version, version); err != nil {
		return err
	}
	users, err := s.usersOf(ctx, c)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return &automation.Error{
			Code: automation.CodeConflict, Message: fmt.Sprintf("credential %q is used by %s", c.Name, assetNames(users)),
			Suggestion: "give these assets another credential first",
		}
	}
	act := s.act(p, opCredentialDelete, string(c.ID), "")
	act.Detail = detail(map[string]any{"name": c.Name})
	return fault(s.store.DeleteCredential(ctx, p.Tenant, c.ID, act))
}

// Credential returns the credential that ref names (an identifier or a name),
// without its secrets and without its seal.
func (s *Service) Credential(ctx context.Context, p automation.Principal, ref string) (automation.Credential, error) {
	if err := s.authorise(p, opCredentialRead); err != nil {
		return automation.Credential{}, err
	}
	c, err := s.findCredential(ctx, p.Tenant, ref)
	return unsealed(c), err
}

// Credentials returns credentials by name (Page.After is a name), as Credential does.
func (s *Service) Credentials(ctx context.Context, p automation.Principal, page automation.Page) ([]automation.Credential, error) {
	if err := s.authorise(p, opCredentialRead); err != nil {
		return nil, err
	}
	if err := refused(checkPage(&page)); err != nil {
		return nil, err
	}
	list, err := s.store.ListCredentials(ctx, p.Tenant, page)
	for i := range list {
		list[i] = unsealed(list[i])
	}
	return list, fault(err)
}

func (s *Service) findCredential(ctx context.Context, tenant automation.TenantID, ref string) (automation.Credential, error) {
	if id, err := automation.ParseID[automation.CredentialID](ref); err == nil {
		c, err := s.store.Credential(ctx, tenant, id)
		return c, fault(err)
	}
	if !inventory.IsName(ref) {
		return automation.Credential{}, notFound("credential")
	}
	c, err := s.store.CredentialByName(ctx, tenant, ref)
	return c, fault(err)
}

// usersOf returns the assets that use a credential as their own.
func (s *Service) usersOf(ctx context.Context, c automation.Credential) ([]automation.Asset, error) {
	all, err := inventory.All(ctx, s.store, c.Tenant)
	if err != nil {
		return nil, fault(err)
	}
	var out []automation.Asset
	for _, a := range all {
		if a.Credential == c.ID {
			out = append(out, a)
		}
	}
	return out, nil
}

// checkUsers checks that the assets that use c are within its scope.
func (s *Service) checkUsers(ctx context.Context, c automation.Credential) error {
	users, err := s.usersOf(ctx, c)
	if err != nil {
		return err
	}
	var left []automation.Asset
	for _, a := range users {
		if vault.Check(c, a, a.Protocol) != nil {
			left = append(left, a)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeConflict, Pointer: "/scope",
		Message:    fmt.Sprintf("the new scope leaves out %s, which use credential %q", assetNames(left), c.Name),
		Suggestion: "keep them in the scope, or give them another credential first",
	}
}

// assetNames names up to ten assets for a message.
func assetNames(list []automation.Asset) string {
	const most = 10
	names := make([]string, 0, most)
	for _, a := range list[:min(len(list), most)] {
		names = append(names, a.Name)
	}
	noun := "assets "
	if len(list) == 1 {
		noun = "asset "
	}
	text := noun + strings.Join(names, ", ")
	if len(list) > most {
		text += fmt.Sprintf(" and %d more", len(list)-most)
	}
	return text
}
