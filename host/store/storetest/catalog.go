package storetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func newAsset(name string) automation.Asset {
	return automation.Asset{
		ID: automation.NewID[automation.AssetID](), Tenant: tenant, Name: name, Address: "10.0.0.1", Port: 22,
		Protocol: automation.ProtocolSSH, OS: "linux", Queue: "dmz", Tags: []string{"web", "ü"}, Vars: map[string]any{"a": 1.5, "b": []any{"x", nil}},
		HostKeys: []string{"ssh-ed25519 AAAA"}, SSH: automation.AssetSSH{
			Profile: "legacy", Authorities: []string{"ssh-rsa AAAA"}, Revoked: []string{"serial:7"}, KRL: []byte("SSHKRL\n\x00"), FirstUse: new(true), Rotate: true, Jump: "other",
		}, Created: store.Moment(start()), Updated: store.Moment(start()), Version: 1,
	}
}

func newCredential(name string) automation.Credential {
	return automation.Credential{
		ID: automation.NewID[automation.CredentialID](), Tenant: tenant, Name: name, Kind: automation.CredentialSSHKey, Username: "root",
		Scope: automation.CredentialScope{Protocols: []automation.Protocol{automation.ProtocolSSH}, Assets: []string{"*"}}, Version: 1,
		Created: store.Moment(start()), Updated: store.Moment(start()), Sealed: []byte{0, 1, 255}, KeyID: "k",
	}
}

func newPlugin(name, version, content string) (automation.Plugin, []byte) {
	return automation.Plugin{
		ID: automation.NewID[automation.PluginID](), Tenant: tenant, Name: name, Version: version, Digest: digest(content), Size: int64(len(content)),
		State: automation.PluginVetted, Manifest: automation.Manifest{
			ABI: 1, Name: name, Version: version,
			Actions: []automation.Action{{Name: "run", Input: []byte(`{"type":"object"}`), Output: []byte(`{"z":1,"a":2}`), Effect: automation.EffectOnce}},
		},
		Grants: []automation.Grant{{Function: "ssh_exec", Targets: []string{"*"}}}, Created: store.Moment(start()), Updated: store.Moment(start()), RowNumber: 1,
	}, []byte(content)
}

func newToken(name string) automation.Token {
	hash := sha256.Sum256([]byte(name))
	return automation.Token{
		ID: automation.NewID[automation.TokenID](), Tenant: tenant, Name: name, Role: automation.RoleSubmitter, Hash: hash[:],
		Created: store.Moment(start()), Expires: store.Moment(start().Add(time.Hour)),
	}
}

func assets(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	cred := newCredential("key")
	_, _, err := f.st.CreateCredential(ctx, cred, act("credential.create"))
	f.must(err)
	a := newAsset("web-1")
	a.Credential = cred.ID
	got, created, err := f.st.CreateAsset(ctx, a, act("asset.create"))
	f.must(err)
	equal(t, "created", created, true)
	equal(t, "what CreateAsset returns", got, a)
	bare := automation.Asset{ID: "bare", Tenant: tenant, Name: "Bare", Protocol: automation.ProtocolNone, Created: a.Created, Updated: a.Updated}
	got, _, err = f.st.CreateAsset(ctx, bare, act("asset.create"))
	f.must(err)
	bare.Version = 1
	equal(t, "an asset with nothing set", got, bare)
	got, err = f.st.Asset(ctx, tenant, a.ID)
	f.must(err)
	equal(t, "the asset by its identifier", got, a)
	got, err = f.st.AssetByName(ctx, tenant, "web-1")
	f.must(err)
	equal(t, "the asset by its name", got, a)

	_, _, err = f.st.CreateAsset(ctx, newAsset("web-1"), act("asset.create"))
	wantCode(t, "the name is taken", err, automation.CodeConflict)
	orphan := newAsset("orphan")
	orphan.Credential = "none"
	_, _, err = f.st.CreateAsset(ctx, orphan, act("asset.create"))
	wantCode(t, "a credential that is not there", err, automation.CodeConflict)

	changed := a
	changed.Name, changed.Tags, changed.Vars, changed.Updated = "web-2", nil, nil, store.Moment(start().Add(time.Hour))
	changed.SSH = automation.AssetSSH{Profile: "modern"}
	changed.Created = time.Time{} // is not changed
	got, err = f.st.UpdateAsset(ctx, changed, act("asset.update"))
	f.must(err)
	changed.Version, changed.Created = 2, a.Created
	equal(t, "what UpdateAsset returns", got, changed)
	_, err = f.st.UpdateAsset(ctx, a, act("asset.update"))
	wantCode(t, "a stale version", err, automation.CodeConflict)
	gone := newAsset("gone")
	_, err = f.st.UpdateAsset(ctx, gone, act("asset.update"))
	wantCode(t, "an update of nothing", err, automation.CodeNotFound)
	changed.Name = "Bare"
	_, err = f.st.UpdateAsset(ctx, changed, act("asset.update"))
	wantCode(t, "a rename to a name that is taken", err, automation.CodeConflict)

	wantCode(t, "a credential that is in use", f.st.DeleteCredential(ctx, tenant, cred.ID, act("credential.delete")), automation.CodeConflict)
	f.must(f.st.DeleteAsset(ctx, tenant, a.ID, act("asset.delete")))
	wantCode(t, "deleting again", f.st.DeleteAsset(ctx, tenant, a.ID, act("asset.delete")), automation.CodeNotFound)
	_, err = f.st.Asset(ctx, tenant, a.ID)
	wantCode(t, "a deleted asset", err, automation.CodeNotFound)
	_, err = f.st.AssetByName(ctx, tenant, "web-2")
	wantCode(t, "a deleted asset by name", err, automation.CodeNotFound)
	f.must(f.st.DeleteCredential(ctx, tenant, cred.ID, act("credential.delete")))

	for _, name := range []string{"b", "ä", "a", "Z", "a-1"} {
		_, _, err := f.st.CreateAsset(ctx, newAsset(name), act("asset.create"))
		f.must(err)
	}
	var names []string
	page := automation.Page{Limit: 4}
	for {
		list, err := f.st.ListAssets(ctx, tenant, page)
		f.must(err)
		for _, a := range list {
			names = append(names, a.Name)
		}
		if len(list) < page.Limit {
			break
		}
		page.After = names[len(names)-1]
	}
	equal(t, "names, in byte order", names, []string{"Bare", "Z", "a", "a-1", "b", "ä"})
}

func credentials(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	c := newCredential("key")
	got, created, err := f.st.CreateCredential(ctx, c, act("credential.create"))
	f.must(err)
	equal(t, "created", created, true)
	equal(t, "what CreateCredential returns", got, c)
	got, err = f.st.Credential(ctx, tenant, c.ID)
	f.must(err)
	equal(t, "the credential by its identifier", got, c)
	got, err = f.st.CredentialByName(ctx, tenant, "key")
	f.must(err)
	equal(t, "the credential by its name", got, c)
	_, _, err = f.st.CreateCredential(ctx, newCredential("key"), act("credential.create"))
	wantCode(t, "the name is taken", err, automation.CodeConflict)

	next := c
	next.Version, next.Sealed, next.Updated, next.Username = 2, []byte("new"), store.Moment(start().Add(time.Hour)), "admin"
	got, err = f.st.UpdateCredential(ctx, next, act("credential.update"))
	f.must(err)
	equal(t, "what UpdateCredential returns", got, next)
	_, err = f.st.UpdateCredential(ctx, next, act("credential.update"))
	wantCode(t, "the version that is there already", err, automation.CodeConflict)
	next.Version = 4
	_, err = f.st.UpdateCredential(ctx, next, act("credential.update"))
	wantCode(t, "a version too far", err, automation.CodeConflict)
	next.ID = "none"
	_, err = f.st.UpdateCredential(ctx, next, act("credential.update"))
	wantCode(t, "an update of nothing", err, automation.CodeNotFound)

	second := newCredential("a")
	second.Kind = automation.CredentialSSHAgent
	_, _, err = f.st.CreateCredential(ctx, second, act("credential.create"))
	f.must(err)
	list, err := f.st.ListCredentials(ctx, tenant, automation.Page{Limit: 10})
	f.must(err)
	if len(list) != 2 || list[0].Name != "a" || list[0].Kind != second.Kind || !bytes.Equal(list[1].Sealed, []byte("new")) {
		t.Errorf("credentials: %+v", list)
	}
	list, err = f.st.ListCredentials(ctx, tenant, automation.Page{Limit: 10, After: "a"})
	f.must(err)
	equal(t, "credentials after the first", len(list), 1)
	f.must(f.st.DeleteCredential(ctx, tenant, c.ID, act("credential.delete")))
	_, err = f.st.Credential(ctx, tenant, c.ID)
	wantCode(t, "a deleted credential", err, automation.CodeNotFound)
	wantCode(t, "deleting again", f.st.DeleteCredential(ctx, tenant, c.ID, act("credential.delete")), automation.CodeNotFound)
}

func plugins(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	p, wasm := newPlugin("linux", "1.0.0", "\x00asm one")
	got, created, err := f.st.CreatePlugin(ctx, p, wasm, act("plugin.upload"))
	f.must(err)
	equal(t, "created", created, true)
	equal(t, "what CreatePlugin returns", got, p)
	again, _ := newPlugin("linux", "1.0.0", "\x00asm one")
	got, created, err = f.st.CreatePlugin(ctx, again, wasm, act("plugin.upload"))
	f.must(err)
	if created || got.ID != p.ID {
		t.Errorf("the same artifact again: created %v, %+v; want the stored one", created, got)
	}
	clash, clashWasm := newPlugin("linux", "1.0.0", "\x00asm two")
	_, _, err = f.st.CreatePlugin(ctx, clash, clashWasm, act("plugin.upload"))
	wantCode(t, "the version with another artifact", err, automation.CodeConflict)
	_, err = f.st.Artifact(ctx, tenant, clash.Digest)
	wantCode(t, "the artifact of the refused one", err, automation.CodeNotFound)

	got, err = f.st.Plugin(ctx, tenant, p.Digest)
	f.must(err)
	equal(t, "the plugin by its digest", got, p)
	body, err := f.st.Artifact(ctx, tenant, p.Digest)
	f.must(err)
	equal(t, "the artifact", string(body), string(wasm))

	active := p
	active.State, active.Grants, active.Updated = automation.PluginActive, nil, store.Moment(start().Add(time.Minute))
	active.Name = "ignored"
	got, err = f.st.UpdatePlugin(ctx, active, act("plugin.activate"))
	f.must(err)
	active.Name, active.RowNumber = p.Name, 2
	equal(t, "what UpdatePlugin returns", got, active)
	_, err = f.st.UpdatePlugin(ctx, p, act("plugin.activate"))
	wantCode(t, "a stale row", err, automation.CodeConflict)
	clash.RowNumber = 1
	_, err = f.st.UpdatePlugin(ctx, clash, act("plugin.activate"))
	wantCode(t, "an update of nothing", err, automation.CodeNotFound)

	later, laterWasm := newPlugin("linux", "0.9.0", "\x00asm three")
	later.Created = store.Moment(start().Add(time.Hour))
	first, firstWasm := newPlugin("core", "1.0.0", "\x00asm four")
	_, _, err = f.st.CreatePlugin(ctx, later, laterWasm, act("plugin.upload"))
	f.must(err)
	_, _, err = f.st.CreatePlugin(ctx, first, firstWasm, act("plugin.upload"))
	f.must(err)
	list, err := f.st.ListPlugins(ctx, tenant)
	f.must(err)
	var names []string
	for _, p := range list {
		names = append(names, p.Name+"@"+p.Version)
	}
	equal(t, "plugins by name and creation", names, []string{"core@1.0.0", "linux@1.0.0", "linux@0.9.0"})
}

func tokens(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	tok := newToken("ci")
	got, created, err := f.st.CreateToken(ctx, tok, act("token.create"))
	f.must(err)
	equal(t, "created", created, true)
	equal(t, "what CreateToken returns", got, tok)
	got, err = f.st.TokenByHash(ctx, tok.Hash)
	f.must(err)
	equal(t, "the token by its hash", got, tok)
	_, err = f.st.TokenByHash(ctx, make([]byte, 32))
	wantCode(t, "a hash of nothing", err, automation.CodeNotFound)
	same := newToken("ci")
	_, _, err = f.st.CreateToken(ctx, same, act("token.create"))
	wantCode(t, "a hash that is taken", err, automation.CodeConflict)
	forever := newToken("forever")
	forever.Expires = time.Time{}
	got, _, err = f.st.CreateToken(ctx, forever, act("token.create"))
	f.must(err)
	equal(t, "a token without an end", got, forever)

	revoke := act("token.revoke")
	f.must(f.st.RevokeToken(ctx, tenant, tok.ID, revoke))
	got, err = f.st.TokenByHash(ctx, tok.Hash)
	f.must(err)
	tok.Revoked = store.Moment(revoke.At)
	equal(t, "a revoked token", got, tok)
	revoke.At = revoke.At.Add(time.Hour)
	wantCode(t, "revoking again", f.st.RevokeToken(ctx, tenant, tok.ID, revoke), automation.CodeConflict)
	wantCode(t, "revoking nothing", f.st.RevokeToken(ctx, tenant, "none", revoke), automation.CodeNotFound)
	list, err := f.st.ListTokens(ctx, tenant, automation.Page{Limit: 1})
	f.must(err)
	equal(t, "the first page of tokens", list, []automation.Token{tok})
	list, err = f.st.ListTokens(ctx, tenant, automation.Page{Limit: 10, After: string(tok.ID)})
	f.must(err)
	equal(t, "the second page of tokens", list, []automation.Token{forever})
}

// keys: a repeated idempotency key gives what it made the first time, for every
// method that makes or changes something.
func keys(t *testing.T, b Backend) {
	f := setup(t, b)
	ctx := t.Context()
	for i, request := range []string{"r", "r", "other"} {
		check := func(what string, id, first string, created bool, err error) {
			t.Helper()
			switch {
			case i == 2:
				wantErr(t, what, err, store.ErrKeyReused)
			case err != nil || created != (i == 0) || id != first:
				t.Errorf("%s, time %d: got %s, created %v, %v; want %s", what, i+1, id, created, err, first)
			}
		}
		k := func(action string) automation.Act { return keyed(act(action), "key", request) }
		a := newAsset("web-1")
		a.ID = automation.AssetID(fmt.Sprintf("a%d", i))
		gotA, created, err := f.st.CreateAsset(ctx, a, k("asset.create"))
		check("create an asset", string(gotA.ID), "a0", created, err)
		c := newCredential("key")
		c.ID = automation.CredentialID(fmt.Sprintf("c%d", i))
		gotC, created, err := f.st.CreateCredential(ctx, c, k("credential.create"))
		check("create a credential", string(gotC.ID), "c0", created, err)
		tok := newToken("t")
		tok.ID = automation.TokenID(fmt.Sprintf("t%d", i))
		gotT, created, err := f.st.CreateToken(ctx, tok, k("token.create"))
		check("create a token", string(gotT.ID), "t0", created, err)

		a.ID, a.Address = "a0", "10.0.0.2"
		gotA, err = f.st.UpdateAsset(ctx, a, k("asset.update"))
		check("update an asset", fmt.Sprint(gotA.ID, gotA.Version), "a0"+fmt.Sprint(2), i == 0, err)
		c.ID, c.Version = "c0", 2
		gotC, err = f.st.UpdateCredential(ctx, c, k("credential.update"))
		check("update a credential", fmt.Sprint(gotC.ID, gotC.Version), "c0"+fmt.Sprint(2), i == 0, err)
		check("revoke a token", "", "", i == 0, f.st.RevokeToken(ctx, tenant, "t0", k("token.revoke")))
	}
	for i, request := range []string{"r", "r", "other"} {
		k := func(action string) automation.Act { return keyed(act(action), "key", request) }
		for what, err := range map[string]error{
			"delete an asset":     f.st.DeleteAsset(ctx, tenant, "a0", k("asset.delete")),
			"delete a credential": f.st.DeleteCredential(ctx, tenant, "c0", k("credential.delete")),
		} {
			if (err != nil) != (i == 2) {
				t.Errorf("%s, time %d: %v", what, i+1, err)
			}
		}
	}
	_, _, err := f.st.CreateAsset(ctx, newAsset("web-1"), keyed(act("asset.create"), "key", "r"))
	wantCode(t, "the key of an asset that was deleted since", err, automation.CodeNotFound)
	n, err := store.VerifyAudit(ctx, f.st, tenant)
	f.must(err)
	equal(t, "audit entries: one for each first time", n, int64(8))
}
