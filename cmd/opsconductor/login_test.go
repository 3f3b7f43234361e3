package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// tool runs one of OpenSSH's programs.
func tool(t *testing.T, env string, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// secretFile writes a file that OpenSSH takes as private.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// keyAgent starts OpenSSH's agent with a key in it, and returns its socket.
func keyAgent(t *testing.T, key string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "ssh-agent", "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "the agent's socket", func() bool { _, err := os.Stat(socket); return err == nil })
	tool(t, "SSH_AUTH_SOCK="+socket, "ssh-add", key)
	return socket
}

// TestLogins: a certificate of an authority, a key in an agent, and a key with
// prompts and one-time codes after it, from the command line to real servers; and
// nothing of it in what comes out.
func TestLogins(t *testing.T) {
	t.Parallel()
	const pin, seed = "canary-4711-pin", "JBSWY3DPEHPK3PXPJBSWY3DP"
	ca, certified, held, first := secretFile(t, sshtest.NewKey()), secretFile(t, sshtest.NewKey()), secretFile(t, sshtest.NewKey()), secretFile(t, sshtest.NewKey())
	public := func(key string) string { return tool(t, "", "ssh-keygen", "-y", "-f", key) }
	srv, err := sshtest.Start(context.WithoutCancel(t.Context()), sshtest.Config{
		Dir: t.TempDir(), Options: []string{"TrustedUserCAKeys " + secretFile(t, public(ca)+"\n")}, Authorized: []string{public(held)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Stop() })
	fake, err := sshtest.StartFake(sshtest.FakeConfig{FirstKey: public(first), Asks: []sshtest.Ask{{Prompt: "Your PIN: ", Want: pin}, {Prompt: "Verification code: "}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Stop)
	if err := os.WriteFile(certified+".pub", []byte(public(certified)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "", "ssh-keygen", "-q", "-s", ca, "-I", "test", "-n", srv.User, "-V", "+1h", certified+".pub")
	dir := filepath.Join(t.TempDir(), "host")
	host := startDev(t, dir, "--log-level", "debug", "--ssh-agent", keyAgent(t, held))
	host.must(t, "credential", "create", "certified", "--username", srv.User, "--key-file", certified, "--certificate-file", certified+"-cert.pub", "--asset", "*")
	digest := strings.Fields(tool(t, "", "ssh-keygen", "-lf", held))[1]
	host.must(t, "credential", "create", "held", "--username", srv.User, "--public-key", digest, "--asset", "*")
	host.must(t, "credential", "create", "prompted", "--username", "tester", "--key-file", first, "--asset", "*",
		"--one-time-seed-file", secretFile(t, seed+"\n"), "--answers-file", secretFile(t, `[{"prompt": "*pin*", "text": "wrong"}]`))
	host.mustWith(t, fmt.Sprintf(`[{"prompt": "*pin*", "text": %q}]`, pin), "credential", "update", "prompted", "--answers-file", "-")
	host.addAsset(t, target{"by-certificate", srv.Host, srv.Port, srv.HostKeys}, "certified")
	host.addAsset(t, target{"by-agent", srv.Host, srv.Port, srv.HostKeys}, "held")
	host.addAsset(t, target{"by-prompts", fake.Host, fake.Port, []string{fake.HostKey}}, "prompted")
	run := runID(t, host.must(t, "run", "submit", write(t, `
schema: opsconductor/v1
name: logins
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: say, uses: linux.command@1, for_each: {in: targets}, with: {argv: ["true"]}}
`), "--output", "json"))
	if a := host.call(t, "run", "wait", run); a.code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s", a.code, a.err, host.must(t, "run", "items", run, "--output", "json"))
	}
	if given := fake.Passwords(); len(given) != 2 || given[0] != pin || len(given[1]) != 6 {
		t.Errorf("the prompts were given %d answers", len(given))
	}
	if a := host.callWith(t, "{"+pin, "credential", "update", "prompted", "--answers-file", "-"); a.code != exitUsage || strings.Contains(a.err, pin) {
		t.Errorf("answers that are no JSON: %d %s", a.code, a.err)
	}
	out := host.must(t, "credential", "list", "--output", "json") + host.must(t, "audit", "list", "--output", "json") + host.must(t, "run", "get", run, "--output", "json")
	if err := host.stop(t); err != nil {
		t.Fatal(err)
	}
	out += host.log.String()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			out += string(b)
		}
	}
	line, err := os.ReadFile(certified + "-cert.pub")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{pin, seed, strings.Fields(string(line))[1]} {
		if strings.Contains(out, secret) {
			t.Errorf("%.10s… came out", secret)
		}
	}
}
