package service_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

func manifest(name, version string, functions ...string) automation.Manifest {
	m := automation.Manifest{ABI: 1, Name: name, Version: version, Description: "test", Actions: []automation.Action{{
		Name: "act", Description: "acts", Input: json.RawMessage(`{}`), Output: json.RawMessage(`{}`), Effect: automation.EffectPure, Target: true,
	}}}
	for _, f := range functions {
		m.HostFunctions = append(m.HostFunctions, automation.HostFunction{Name: f, Why: "test"})
	}
	return m
}

// artifact is a manifest's JSON; build makes artifacts of one manifest differ.
func artifact(m automation.Manifest, build string) []byte {
	m.Source = build
	b, _ := json.Marshal(m)
	return b
}

func (f *fixture) upload(t testing.TB, wasm []byte) automation.Plugin {
	t.Helper()
	pl, created, err := f.UploadPlugin(t.Context(), admin(), wasm, "")
	if err != nil || !created {
		t.Fatalf("upload: %v, created %v", err, created)
	}
	return pl
}

func TestPluginLife(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	wasm := artifact(manifest("tool", "1.0.0", "ssh_exec", "log"), "")
	pl := f.upload(t, wasm)
	if pl.State != automation.PluginVetted || pl.RowNumber != 1 || len(pl.Grants) != 0 || pl.Size != int64(len(wasm)) {
		t.Errorf("got %+v; want vetted, without grants", pl)
	}
	again, created, err := f.UploadPlugin(ctx, p, wasm, "key")
	if err != nil || created || again.ID != pl.ID {
		t.Errorf("the same artifact: got %v, %v; want the same plugin", created, err)
	}
	_, _, err = f.UploadPlugin(ctx, p, artifact(manifest("tool", "1.0.0"), "other"), "")
	wantCode(t, err, automation.CodeConflict)
	if err == nil || !strings.Contains(err.Error(), "tool@1.0.0") {
		t.Errorf("got %v; want a conflict that names the version", err)
	}
	for _, ref := range []string{string(pl.Digest), "tool@1.0.0"} {
		got, err := f.Plugin(ctx, p, ref)
		if err != nil || got.ID != pl.ID {
			t.Errorf("%s: got %v, %v", ref, got.ID, err)
		}
	}
	for ref, want := range map[string]automation.Code{
		"tol": automation.CodeNotFound, "": automation.CodeNotFound, "tool@2": automation.CodeNotFound, "tool@": automation.CodeNotFound,
		strings.Repeat("0", 64): automation.CodeNotFound, strings.Repeat("A", 64): automation.CodeNotFound,
	} {
		_, err := f.Plugin(ctx, p, ref)
		wantCode(t, err, want)
	}
	grants := []automation.Grant{{Function: "ssh_exec", Targets: []string{"web-1"}, Tags: []string{"eu"}, Credentials: []string{"*"}}}
	active, err := f.ActivatePlugin(ctx, p, pl.Digest, grants, 1)
	if err != nil || active.State != automation.PluginActive || active.RowNumber != 2 || cmp.Diff(grants, active.Grants) != "" {
		t.Errorf("got %+v, %v; want it active with the grants", active, err)
	}
	if e := f.lastAudit(t); e.Action != "plugin.activate" || !bytes.Contains(e.Detail, []byte("web-1")) {
		t.Errorf("got audit entry %+v %s; want the grants in it", e, e.Detail)
	}
	_, err = f.ActivatePlugin(ctx, p, pl.Digest, nil, 1)
	wantCode(t, err, automation.CodeConflict)
	// Again without grants: none are left. The default is none.
	active, err = f.ActivatePlugin(ctx, p, pl.Digest, nil, 0)
	if err != nil || len(active.Grants) != 0 {
		t.Errorf("got %+v, %v; want no grants", active.Grants, err)
	}
	off, err := f.DisablePlugin(ctx, p, pl.Digest, 3)
	if err != nil || off.State != automation.PluginDisabled {
		t.Errorf("got %v, %v; want it disabled", off.State, err)
	}
	if again, err := f.DisablePlugin(ctx, p, pl.Digest, 0); err != nil || again.RowNumber != off.RowNumber {
		t.Errorf("got %v, %v; want nothing changed", again.RowNumber, err)
	}
	_, err = f.DisablePlugin(ctx, p, "x", 0)
	wantCode(t, err, automation.CodeBadRequest)
}

// TestPluginByName: a name alone is enough where it can mean one version only.
func TestPluginByName(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	first := f.upload(t, artifact(manifest("tool", "1.0.0"), "first"))
	got, err := f.Plugin(ctx, p, "tool")
	if err != nil || got.ID != first.ID {
		t.Errorf("one version: got %s, %v; want it", got.ID, err)
	}
	second := f.upload(t, artifact(manifest("tool", "2.0.0"), "second"))
	var e *automation.Error
	if _, err = f.Plugin(ctx, p, "tool"); !errors.As(err, &e) || e.Code != automation.CodeBadRequest || !strings.Contains(e.Allowed, "tool@2.0.0") {
		t.Errorf("two versions, none active: got %v; want their names", err)
	}
	if _, err := f.ActivatePlugin(ctx, p, second.Digest, nil, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Plugin(ctx, p, "tool"); err != nil || got.ID != second.ID {
		t.Errorf("one of two active: got %s, %v; want that", got.ID, err)
	}
	if _, err = f.Plugin(ctx, p, "tool@3.0.0"); !errors.As(err, &e) || e.Code != automation.CodeNotFound || !strings.Contains(e.Allowed, "tool@2.0.0") {
		t.Errorf("no such version: got %v; want those that there are", err)
	}
}

func TestPluginRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for name, c := range map[string]struct {
		wasm []byte
		want automation.Code
	}{
		"empty":   {nil, automation.CodeBadPlugin},
		"garbage": {[]byte("\x00asm"), automation.CodeBadPlugin},
		"30 MB":   {make([]byte, 30<<20), automation.CodeLimit},
	} {
		_, _, err := f.UploadPlugin(t.Context(), admin(), c.wasm, "")
		if automation.CodeOf(err) != c.want {
			t.Errorf("%s: got %v; want %s", name, err, c.want)
		}
	}
	if list, err := f.Plugins(t.Context(), admin()); err != nil || len(list) != 0 {
		t.Errorf("got %d plugins, %v; want none stored", len(list), err)
	}
}

func TestGrantsWithinTheManifest(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pl := f.upload(t, artifact(manifest("tool", "1.0.0", "ssh_exec", "probe_tcp"), ""))
	none := f.upload(t, artifact(manifest("plain", "1.0.0"), ""))
	for name, c := range map[string]struct {
		digest automation.Digest
		grant  automation.Grant
		want   []string
	}{
		"good": {pl.Digest, automation.Grant{
			Function: "probe_tcp", Targets: []string{"*"}, Tags: []string{"a:b"}, Addresses: []string{"*", "10.0.0.0/8", "::1", "a.example.org"}, Credentials: []string{"c"},
		}, nil},
		"not wanted":       {pl.Digest, automation.Grant{Function: "winrm_exec"}, []string{"/grants/0/function"}},
		"another case":     {pl.Digest, automation.Grant{Function: "SSH_exec"}, []string{"/grants/0/function"}},
		"every function":   {pl.Digest, automation.Grant{Function: "*"}, []string{"/grants/0/function"}},
		"no function":      {pl.Digest, automation.Grant{}, []string{"/grants/0/function"}},
		"wants none":       {none.Digest, automation.Grant{Function: "ssh_exec"}, []string{"/grants/0/function"}},
		"pattern":          {pl.Digest, automation.Grant{Function: "ssh_exec", Targets: []string{"web-*"}}, []string{"/grants/0/targets/0"}},
		"star as a tag":    {pl.Digest, automation.Grant{Function: "ssh_exec", Tags: []string{"*"}}, []string{"/grants/0/tags/0"}},
		"prefix with bits": {pl.Digest, automation.Grant{Function: "ssh_exec", Addresses: []string{"10.0.0.1/8"}}, []string{"/grants/0/addresses/0"}},
		"URL":              {pl.Digest, automation.Grant{Function: "ssh_exec", Addresses: []string{"http://a/"}}, []string{"/grants/0/addresses/0"}},
		"credential":       {pl.Digest, automation.Grant{Function: "ssh_exec", Credentials: []string{"A B"}}, []string{"/grants/0/credentials/0"}},
		"long list":        {pl.Digest, automation.Grant{Function: "ssh_exec", Targets: make([]string, 1001)}, []string{"/grants/0/targets"}},
		"all of it": {pl.Digest, automation.Grant{Function: "x", Targets: []string{"?"}, Addresses: []string{"?"}}, []string{
			"/grants/0/function", "/grants/0/targets/0", "/grants/0/addresses/0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.ActivatePlugin(t.Context(), admin(), c.digest, []automation.Grant{c.grant}, 0)
			wantPlaces(t, err, c.want...)
		})
	}
	_, err := f.ActivatePlugin(t.Context(), admin(), pl.Digest, make([]automation.Grant, 201), 0)
	wantPlaces(t, err, "/grants")
}

func TestEnsureBuiltin(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	fresh := false
	ensure := func(wasm []byte) automation.Plugin {
		t.Helper()
		pl, stored, err := f.EnsureBuiltin(ctx, wasm)
		if err != nil {
			t.Fatal(err)
		}
		fresh = stored
		return pl
	}
	state := func(ref string) automation.PluginState {
		t.Helper()
		pl, err := f.Plugin(ctx, p, ref)
		if err != nil {
			t.Fatal(err)
		}
		return pl.State
	}
	m := manifest("linux", "1.0.0", "ssh_exec", "log")
	first := ensure(artifact(m, "a"))
	if !fresh {
		t.Error("it was stored, and the answer is that it was there")
	}
	want := []automation.Grant{{Function: "ssh_exec", Targets: []string{"*"}, Addresses: []string{"*"}}, {Function: "log", Targets: []string{"*"}, Addresses: []string{"*"}}}
	if first.State != automation.PluginActive || cmp.Diff(want, first.Grants) != "" {
		t.Errorf("got %s with %+v; want active with %+v", first.State, first.Grants, want)
	}
	audit := f.lastAudit(t).Seq
	if again := ensure(artifact(m, "a")); fresh || cmp.Diff(first, again) != "" || f.lastAudit(t).Seq != audit {
		t.Error("a second start changed something")
	}
	// What an operator decided stays.
	if _, err := f.ActivatePlugin(ctx, p, first.Digest, want[:1], 0); err != nil {
		t.Fatal(err)
	}
	if again := ensure(artifact(m, "a")); len(again.Grants) != 1 {
		t.Errorf("got grants %+v; want those that the operator gave", again.Grants)
	}
	// A new build of the same version takes the place of the old one.
	second := ensure(artifact(m, "b"))
	if second.State != automation.PluginActive || !strings.HasPrefix(second.Version, "1.0.0+") || state(string(first.Digest)) != automation.PluginDisabled {
		t.Errorf("got %s %s, and the first %s", second.Version, second.State, state(string(first.Digest)))
	}
	// Another version stands beside it.
	m.Version = "1.1.0"
	third := ensure(artifact(m, "c"))
	if third.Version != "1.1.0" || third.State != automation.PluginActive || state(string(second.Digest)) != automation.PluginActive {
		t.Errorf("got %s %s; want both versions active", third.Version, third.State)
	}
	if _, err := f.DisablePlugin(ctx, p, third.Digest, 0); err != nil {
		t.Fatal(err)
	}
	if again := ensure(artifact(m, "c")); again.State != automation.PluginDisabled {
		t.Errorf("got %s; want it to stay disabled", again.State)
	}
	_, _, err := f.EnsureBuiltin(ctx, []byte("x"))
	wantCode(t, err, automation.CodeBadPlugin)
}

func TestUploadKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	if _, _, err := f.UploadPlugin(ctx, p, artifact(manifest("a", "1.0.0"), ""), "k"); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.UploadPlugin(ctx, p, artifact(manifest("b", "1.0.0"), ""), "k")
	wantCode(t, err, automation.CodeConflict)
	_, _, err = service.New(service.Deps{Store: f.store, Vault: f.vault, Registry: manifests{}}).UploadPlugin(ctx, p, nil, "")
	wantCode(t, err, automation.CodeBadPlugin)
}
