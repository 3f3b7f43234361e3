package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestJumpAndFirstUse: an asset behind a jump host, whose host key is pinned at
// first use; then its key is another one.
func TestJumpAndFirstUse(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	bastion, srv, other := sshd(t), sshd(t), sshd(t)
	host.addCredential(t, "bastion-key", bastion.User, bastion.ClientKey)
	host.addCredential(t, "key", srv.User, srv.ClientKey)
	known := write(t, fmt.Sprintf("[%s]:%d %s\n", bastion.Host, bastion.Port, bastion.HostKeys[0]))
	host.must(t, "asset", "create", "bastion", "--address", bastion.Host, "--port", fmt.Sprint(bastion.Port), "--known-hosts", known, "--credential", "bastion-key")
	host.must(t, "asset", "create", "web", "--address", srv.Host, "--port", fmt.Sprint(srv.Port), "--tag", "demo", "--credential", "key", "--jump", "bastion", "--first-use", "--ssh-profile", "modern")
	file := write(t, `
schema: opsconductor/v1
name: jump
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: say, uses: linux.command@1, for_each: {in: targets}, with: {argv: [sh, -c, "echo $SSH_CONNECTION"]}}
`)
	submit := func() (run string, a answer) {
		run = runID(t, host.must(t, "run", "submit", file, "--output", "json"))
		return run, host.call(t, "run", "wait", run)
	}
	run, a := submit()
	if a.code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s\n%s", a.code, a.out, a.err, host.must(t, "run", "get", run))
	}
	shown := host.must(t, "asset", "show", "web")
	if !strings.Contains(shown, srv.HostKeys[0]) {
		t.Errorf("the first key is not pinned:\n%s", shown)
	}
	if log := host.must(t, "audit", "list", "--output", "json"); !strings.Contains(log, "asset.first_host_key") || !strings.Contains(log, "run "+run) {
		t.Errorf("the audit log does not have it:\n%s", log)
	}
	host.must(t, "asset", "update", "web", "--port", fmt.Sprint(other.Port))
	run, a = submit()
	if e := host.items(t, run)["say/web"].Error; a.code != exitRunFailed || e == nil || e.Code != "host_key_mismatch" {
		t.Errorf("another key: exit code %d, %+v", a.code, e)
	}
	if a := host.call(t, "asset", "update", "bastion", "--jump", "web"); a.code == exitOK || !strings.Contains(a.err, "through the asset itself") {
		t.Errorf("a circle: %d %s", a.code, a.err)
	}
	if a := host.call(t, "asset", "delete", "bastion"); a.code == exitOK || !strings.Contains(a.err, "jump host of asset web") {
		t.Errorf("deleting the jump host: %d %s", a.code, a.err)
	}
}

// TestFirstUseOfTheDeployment: with --ssh-first-use allow an asset that says nothing
// has its key pinned, and one that forbids it has not; by default none has.
func TestFirstUseOfTheDeployment(t *testing.T) {
	t.Parallel()
	srv := sshd(t)
	file := write(t, `
schema: opsconductor/v1
name: first
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: say, uses: linux.command@1, for_each: {in: targets}, with: {argv: ["true"]}}
`)
	for setting, want := range map[string]map[string]string{
		"allow":  {"silent": "succeeded", "never": "failed", "once": "succeeded", "back": "succeeded"},
		"refuse": {"silent": "failed", "never": "failed", "once": "succeeded", "back": "failed"},
	} {
		host := startDev(t, filepath.Join(t.TempDir(), "host"), "--ssh-first-use", setting)
		for name, flag := range map[string]string{"silent": "", "never": "--first-use=false", "once": "--first-use", "back": "--first-use=false"} {
			host.addCredential(t, name, srv.User, srv.ClientKey) // with one in common they would share a connection
			args := []string{"asset", "create", name, "--address", srv.Host, "--port", fmt.Sprint(srv.Port), "--tag", "demo", "--credential", name}
			if flag != "" {
				args = append(args, flag)
			}
			host.must(t, args...)
		}
		host.must(t, "asset", "update", "back", "--first-use=default")
		run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
		host.call(t, "run", "wait", run)
		items := host.items(t, run)
		for name, state := range want {
			got := items["say/"+name]
			if got.State != state || state == "failed" && (got.Error == nil || got.Error.Code != "host_key_unknown") {
				t.Errorf("%s, %s: %s, %+v; want %s", setting, name, got.State, got.Error, state)
			}
			if pinned := strings.Contains(host.must(t, "asset", "show", name), srv.HostKeys[0]); pinned != (state == "succeeded") {
				t.Errorf("%s, %s: pinned %t", setting, name, pinned)
			}
		}
	}
}
