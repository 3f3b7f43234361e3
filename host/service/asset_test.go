package service_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

func sshAsset(name string) service.AssetRequest {
	return service.AssetRequest{Name: name, Address: "10.0.0.1", Protocol: automation.ProtocolSSH, OS: "linux", Tags: []string{"web"}}
}

func (f *fixture) asset(t testing.TB, r service.AssetRequest) automation.Asset {
	t.Helper()
	a, created, err := f.CreateAsset(t.Context(), admin(), r, "")
	if err != nil || !created {
		t.Fatalf("create asset %s: %v, created %v", r.Name, err, created)
	}
	return a
}

func TestAssetLife(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	a := f.asset(t, sshAsset("web-1"))
	if a.Version != 1 || a.Port != 22 || a.ID == "" || !a.Created.Equal(f.clock.Now()) {
		t.Errorf("got %+v; want version 1, port 22, the clock's time", a)
	}
	for _, ref := range []string{"web-1", string(a.ID)} {
		got, err := f.Asset(ctx, p, ref)
		if diff := cmp.Diff(a, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", ref, err, diff)
		}
	}
	f.clock.add(time.Minute)
	r := sshAsset("web-1")
	r.Port, r.Tags = 2222, []string{"db"}
	b, err := f.UpdateAsset(ctx, p, "web-1", r, 1)
	if err != nil || b.Version != 2 || b.Port != 2222 || !b.Created.Equal(a.Created) || !b.Updated.Equal(f.clock.Now()) {
		t.Fatalf("got %+v, %v; want version 2 with the change", b, err)
	}
	if e := f.lastAudit(t); e.Action != "asset.update" || e.Object != string(a.ID) || e.By != p.Name || !strings.Contains(string(e.Detail), `"changed":["port","tags"]`) {
		t.Errorf("got audit entry %+v %s; want asset.update with the changed fields", e, e.Detail)
	}
	_, err = f.UpdateAsset(ctx, p, "web-1", r, 1)
	wantCode(t, err, automation.CodeConflict)
	if err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("got %v; want a conflict that tells the version", err)
	}
	wantCode(t, f.DeleteAsset(ctx, p, "web-1", 1), automation.CodeConflict)
	if c, err := f.UpdateAsset(ctx, p, "web-1", r, 0); err != nil || c.Version != 3 {
		t.Errorf("without a version: got %v, %v; want version 3", c.Version, err)
	}
	if err := f.DeleteAsset(ctx, p, string(a.ID), 3); err != nil {
		t.Errorf("delete: %v", err)
	}
	_, err = f.Asset(ctx, p, "web-1")
	wantCode(t, err, automation.CodeNotFound)
	wantCode(t, f.DeleteAsset(ctx, p, "web-1", 0), automation.CodeNotFound)
	if v, err := f.VerifyAudit(ctx, p); v.Entries != 4 || !v.Intact || len(v.Head) != 32 || err != nil {
		t.Errorf("got %+v, %v; want 4 audit entries: refused changes leave none", v, err)
	}
}

func TestAssetKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	a, created, err := f.CreateAsset(ctx, p, sshAsset("web-1"), "key-1")
	if err != nil || !created {
		t.Fatal(err)
	}
	again, created, err := f.CreateAsset(ctx, p, sshAsset("web-1"), "key-1")
	if err != nil || created || again.ID != a.ID {
		t.Errorf("same key, same request: got %v, %v, %v; want the same asset", again.ID, created, err)
	}
	_, _, err = f.CreateAsset(ctx, p, sshAsset("web-2"), "key-1")
	wantCode(t, err, automation.CodeConflict)
	other := admin() // another token with the same name
	if b, created, err := f.CreateAsset(ctx, other, sshAsset("web-2"), "key-1"); err != nil || !created || b.ID == a.ID {
		t.Errorf("the key of another token: got %v, %v; want an asset of its own", created, err)
	}
	_, _, err = f.CreateAsset(ctx, p, sshAsset("web-1"), "")
	wantPlaces(t, err, "/name")
	wantCode(t, err, automation.CodeConflict)
	for _, key := range []string{"a b", "ä", strings.Repeat("x", 256), "a\n"} {
		_, _, err = f.CreateAsset(ctx, p, sshAsset("web-3"), key)
		wantCode(t, err, automation.CodeBadRequest)
	}
}

func TestAssetRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	_, _, err := f.CreateAsset(ctx, p, service.AssetRequest{Port: -1, Credential: "none", Tags: []string{""}}, "a b")
	wantPlaces(t, err, "", "/name", "/address", "/protocol", "/port", "/tags/0", "/credential")
	if list, err := f.Assets(ctx, p, automation.Page{}); len(list) != 0 || err != nil {
		t.Errorf("got %v, %v; want nothing stored", list, err)
	}
	for _, ref := range []string{"", "no", "../x", "*", "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b", strings.Repeat("x", 1<<20)} {
		_, err := f.Asset(ctx, p, ref)
		wantCode(t, err, automation.CodeNotFound)
	}
	for _, limit := range []int{-1, 1001} {
		_, err := f.Assets(ctx, p, automation.Page{Limit: limit})
		wantCode(t, err, automation.CodeBadRequest)
	}
}

// TestAssetCredential holds an asset to its credential's scope, from both sides.
func TestAssetCredential(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	c := f.credential(t, password("web", automation.CredentialScope{Protocols: ssh(), Assets: []string{"web-1"}, Tags: []string{"eu"}}))
	r := sshAsset("web-1")
	r.Credential = "web"
	a := f.asset(t, r)
	if a.Credential != c.ID {
		t.Errorf("got credential %q; want %q", a.Credential, c.ID)
	}
	outside := sshAsset("db-1")
	outside.Credential = string(c.ID)
	_, _, err := f.CreateAsset(ctx, p, outside, "")
	wantPlaces(t, err, "/credential")
	if err == nil || !strings.Contains(err.Error(), `add "db-1" to the assets of its scope`) {
		t.Errorf("got %v; want to be told what the scope lacks", err)
	}
	outside.Tags = []string{"eu"}
	f.asset(t, outside)
	moved := r
	moved.Protocol = automation.ProtocolWinRM
	_, err = f.UpdateAsset(ctx, p, "web-1", moved, 0)
	wantPlaces(t, err, "/credential")
	renamed := r
	renamed.Name = "web-2"
	_, err = f.UpdateAsset(ctx, p, "web-1", renamed, 0)
	wantPlaces(t, err, "/credential")

	// A narrower scope may not leave out who uses it; a deletion even less.
	_, err = f.UpdateCredential(ctx, p, "web", service.CredentialRequest{Scope: automation.CredentialScope{Protocols: ssh(), Tags: []string{"eu"}}}, 0)
	wantCode(t, err, automation.CodeConflict)
	if err == nil || !strings.Contains(err.Error(), "asset web-1,") || strings.Contains(err.Error(), "db-1") {
		t.Errorf("got %v; want it to name web-1 alone", err)
	}
	err = f.DeleteCredential(ctx, p, "web", 0)
	wantCode(t, err, automation.CodeConflict)
	if err == nil || !strings.Contains(err.Error(), "assets db-1, web-1") {
		t.Errorf("got %v; want it to name both assets", err)
	}
	for _, name := range []string{"web-1", "db-1"} {
		if err := f.DeleteAsset(ctx, p, name, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.DeleteCredential(ctx, p, "web", 0); err != nil {
		t.Errorf("unused: %v", err)
	}
}

func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx := t.Context()
	c := f.credential(t, password("web", automation.CredentialScope{Protocols: ssh(), Assets: []string{"*"}}))
	r := sshAsset("web-1")
	a := f.asset(t, r)
	tok, _, err := f.CreateToken(ctx, admin(), service.TokenRequest{Name: "x", Role: automation.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	other := admin()
	other.Tenant = "other"
	check := func(what string, err error) {
		t.Helper()
		if automation.CodeOf(err) != automation.CodeNotFound {
			t.Errorf("%s: got %v; want not_found", what, err)
		}
	}
	for _, ref := range []string{string(a.ID), a.Name} {
		_, err = f.Asset(ctx, other, ref)
		check("asset", err)
		_, err = f.UpdateAsset(ctx, other, ref, r, 0)
		check("update asset", err)
		check("delete asset", f.DeleteAsset(ctx, other, ref, 0))
	}
	for _, ref := range []string{string(c.ID), c.Name} {
		_, err = f.Credential(ctx, other, ref)
		check("credential", err)
		_, err = f.UpdateCredential(ctx, other, ref, service.CredentialRequest{Username: "x"}, 0)
		check("update credential", err)
		check("delete credential", f.DeleteCredential(ctx, other, ref, 0))
		r.Credential = ref
		_, _, err = f.CreateAsset(ctx, other, r, "")
		wantPlaces(t, err, "/credential")
	}
	check("revoke token", f.RevokeToken(ctx, other, tok.ID))
	if list, err := f.Assets(ctx, other, automation.Page{}); len(list) != 0 || err != nil {
		t.Errorf("got %v, %v; want none of the other tenant", list, err)
	}
	if list, err := f.Audit(ctx, other, 0, 0); len(list) != 0 || err != nil {
		t.Errorf("got %v, %v; want no audit entries of the other tenant", list, err)
	}
}

func TestAssetsPage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for i := range 5 {
		f.asset(t, sshAsset(fmt.Sprintf("web-%d", 4-i)))
	}
	var names []string
	page := automation.Page{Limit: 2}
	for {
		list, err := f.Assets(t.Context(), principal(automation.RoleSubmitter), page)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, a := range list {
			names = append(names, a.Name)
		}
		page.After = list[len(list)-1].Name
	}
	if got := strings.Join(names, " "); got != "web-0 web-1 web-2 web-3 web-4" {
		t.Errorf("got %s", got)
	}
}

func TestAssetVarsStayOutOfTheAudit(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := sshAsset("web-1")
	r.Vars = map[string]any{"note": "canary-value"}
	f.asset(t, r)
	r.Vars = map[string]any{"note": "canary-other"}
	if _, err := f.UpdateAsset(t.Context(), admin(), "web-1", r, 0); err != nil {
		t.Fatal(err)
	}
	list, err := f.Audit(t.Context(), admin(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(list); strings.Contains(string(b), "canary") {
		t.Errorf("the audit log has the value: %s", b)
	}
}
