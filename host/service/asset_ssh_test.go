package service_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGRcDoKjIHV0HNqrFhzhqMJPiQKGCwQOLgTn3N2gJ3Fj"

// A way of jump hosts is checked when the asset is changed: names, circles,
// length; and a jump host stays one while it is needed.
func TestJumpHosts(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, p := t.Context(), admin()
	f.credential(t, password("key", automation.CredentialScope{Protocols: []automation.Protocol{automation.ProtocolSSH}, Assets: []string{"*"}}))
	asset := func(name, jump string) service.AssetRequest {
		r := sshAsset(name)
		r.Credential, r.SSH.Jump = "key", automation.AssetID(jump)
		return r
	}
	one := f.asset(t, asset("j1", ""))
	for i := 2; i <= 5; i++ {
		f.asset(t, asset(fmt.Sprint("j", i), fmt.Sprint("j", i-1)))
	}
	web := f.asset(t, asset("web", "j5")) // five hops
	if got, err := f.Asset(ctx, p, string(web.SSH.Jump)); err != nil || got.Name != "j5" {
		t.Errorf("the jump is %s, %v; want j5", got.Name, err)
	}
	bare := asset("bare", "")
	bare.Credential = ""
	f.asset(t, bare)
	win := asset("win", "")
	win.Protocol, win.Credential = automation.ProtocolWinRM, ""
	f.asset(t, win)
	for name, want := range map[string]string{
		"web": "at most 5", "nobody": "no asset of that name", "bare": "no credential", "win": "not reached over SSH", "self": "no asset of that name",
	} {
		_, _, err := f.CreateAsset(ctx, p, asset("self", name), "")
		wantPlaces(t, err, "/ssh/jump")
		if err == nil || !strings.Contains(err.Error()+allowed(err), want) {
			t.Errorf("through %s: got %v, want %q", name, err, want)
		}
	}
	for _, through := range []string{"j1", "j3", string(one.ID)} { // circles of one and of three
		_, err := f.UpdateAsset(ctx, p, "j1", asset("j1", through), 0)
		wantPlaces(t, err, "/ssh/jump")
	}
	wantCode(t, f.DeleteAsset(ctx, p, "j3", 0), automation.CodeConflict)
	_, err := f.UpdateAsset(ctx, p, "j3", bare, 0)
	wantCode(t, err, automation.CodeConflict)
	if _, err := f.UpdateAsset(ctx, p, "web", asset("web", ""), 0); err != nil {
		t.Error(err)
	}
	if err := f.DeleteAsset(ctx, p, "j5", 0); err != nil {
		t.Errorf("a jump host that nothing needs: %v", err)
	}
}

// All that is wrong is said at once, each with its place.
func TestAssetSSHProblems(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := sshAsset("web")
	r.SSH = automation.AssetSSH{
		Profile: "ancient", Authorities: []string{hostKey, "ssh-dss AAAA"}, Revoked: []string{hostKey, "serial:7", "serial:-1", "SHA256:short", "x"}, Jump: "nobody",
	}
	r.KnownHosts = "10.0.0.1 nonsense\n# a comment\n\n@who 10.0.0.1 " + hostKey + "\n10.0.0.1 ssh-ed25519 AAAA\n"
	_, _, err := f.CreateAsset(t.Context(), admin(), r, "")
	wantPlaces(t, err, "/ssh/profile", "/ssh/authorities/1", "/ssh/revoked/2", "/ssh/revoked/3", "/ssh/revoked/4", "/known_hosts", "/known_hosts", "/known_hosts", "/ssh/jump")
	r = sshAsset("win")
	r.Protocol, r.SSH.Rotate = automation.ProtocolWinRM, true
	_, _, err = f.CreateAsset(t.Context(), admin(), r, "")
	wantPlaces(t, err, "/ssh")
	r = sshAsset("web")
	r.KnownHosts = "other.test " + hostKey
	_, _, err = f.CreateAsset(t.Context(), admin(), r, "")
	wantPlaces(t, err, "/known_hosts")
	r.KnownHosts += "\n10.0.0.* " + hostKey + " comment\n@cert-authority * " + hostKey + "\n@revoked 10.0.0.1,web " + hostKey
	a := f.asset(t, r)
	if !slices.Equal(a.HostKeys, []string{hostKey}) || !slices.Equal(a.SSH.Authorities, []string{hostKey}) || !slices.Equal(a.SSH.Revoked, []string{hostKey}) {
		t.Errorf("got %v, %+v; want the key in all three places", a.HostKeys, a.SSH)
	}
}

// allowed joins what errors say is allowed.
func allowed(err error) string {
	var list automation.Errors
	out := ""
	if errors.As(err, &list) {
		for _, e := range list {
			out += " " + e.Allowed
		}
	}
	return out
}
