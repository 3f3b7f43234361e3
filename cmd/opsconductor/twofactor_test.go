package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// TestTwoFactorsOnOpenSSH: a real sshd asks for a key and then, by PAM, for the
// account's password; a credential with one of the two, or with a wrong answer, fails
// the item and says what is missing, and one with both runs the command.
func TestTwoFactorsOnOpenSSH(t *testing.T) {
	t.Parallel()
	a := sshtest.User(t, "/bin/sh")
	key := secretFile(t, sshtest.NewKey())
	srv := sshtest.Serve(t, sshtest.Config{Options: []string{
		"UsePAM yes", "KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive",
		"AuthorizedKeysCommand /bin/echo " + tool(t, "", "ssh-keygen", "-y", "-f", key), "AuthorizedKeysCommandUser root", "AuthorizedKeysFile none",
	}})
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	login := func(name string, more ...string) {
		t.Helper()
		host.must(t, append([]string{"credential", "create", name, "--username", a.Name, "--key-file", key, "--asset", "*"}, more...)...)
		host.addAsset(t, target{name, srv.Host, srv.Port, srv.HostKeys}, name)
	}
	answers := func(text string) string {
		return secretFile(t, fmt.Sprintf(`[{"prompt": "password*", "text": %q}]`, text))
	}
	login("both", "--answers-file", answers(a.Password))
	login("by-password", "--password-file", secretFile(t, a.Password))
	login("key-alone")
	login("wrong", "--answers-file", answers("not this one"))
	run := runID(t, host.must(t, "run", "submit", write(t, `
schema: opsconductor/v1
name: logins
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: say, uses: linux.command@1, for_each: {in: targets}, with: {argv: ["id", "-un"]}}
`), "--output", "json"))
	host.call(t, "run", "wait", run)
	items := host.items(t, run)
	for _, name := range []string{"say/both", "say/by-password"} {
		if got := items[name]; got.State != "succeeded" || !strings.Contains(string(got.Output), a.Name) {
			t.Errorf("%s: %s, %s, %+v; want it to run as %s", name, got.State, got.Output, got.Error, a.Name)
		}
	}
	for _, name := range []string{"say/key-alone", "say/wrong"} {
		got := items[name]
		if got.State != "failed" || got.Error == nil || got.Error.Code != "auth_failed" || !strings.Contains(got.Error.Message, "after it had taken publickey and asked for more") {
			t.Errorf("%s: %s, %+v; want auth_failed after the key was taken", name, got.State, got.Error)
		}
	}
	if out := host.must(t, "run", "items", run, "--output", "json"); strings.Contains(out, a.Password) || strings.Contains(out, "not this one") {
		t.Error("a password came out")
	}
}
