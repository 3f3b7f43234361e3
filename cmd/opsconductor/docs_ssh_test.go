package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// TestCommandsOfTheSSHPage runs the commands of the page in a shell, against a
// host, beside the files that they name.
func TestCommandsOfTheSSHPage(t *testing.T) {
	t.Parallel()
	commands, answers := blocks(t, "docs/ssh.md", "sh"), blocks(t, "docs/ssh.md", "json")
	if len(commands) < 4 || len(answers) != 1 {
		t.Fatalf("the page has %d blocks of commands and %d of answers", len(commands), len(answers))
	}
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	dir := t.TempDir()
	key, ca := filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "host_ca")
	put := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(key, sshtest.NewKey())
	put(ca, sshtest.NewKey())
	put(key+".pub", tool(t, "", "ssh-keygen", "-y", "-f", key)+"\n")
	put(ca+".pub", tool(t, "", "ssh-keygen", "-y", "-f", ca)+"\n")
	tool(t, "", "ssh-keygen", "-q", "-s", ca, "-I", "test", "-n", "deploy", key+".pub")
	public := strings.Join(strings.Fields(tool(t, "", "ssh-keygen", "-y", "-f", ca))[:2], " ")
	put(filepath.Join(dir, "known_hosts"), "10.0.0.7 "+public+"\n203.0.113.5 "+public+"\n")
	tool(t, "", "ssh-keygen", "-q", "-k", "-f", filepath.Join(dir, "revoked_keys"), ca+".pub")
	put(filepath.Join(dir, "seed.txt"), "JBSWY3DPEHPK3PXPJBSWY3DP\n")
	put(filepath.Join(dir, "answers.json"), answers[0])
	put(filepath.Join(dir, "enable.txt"), "enable-me\n")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-eu", "-c", "opsconductor() { \"$SELF\" \"$@\"; }\n"+strings.Join(commands, "\n"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1", "SELF="+self, "OPSCONDUCTOR_DIR="+host.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shown := host.must(t, "asset", "show", "web-1")
	if list := host.must(t, "asset", "show", "web-2"); !strings.Contains(list, "revocation list") {
		t.Errorf("web-2 is without its revocation list:\n%s", list)
	}
	host.must(t, "asset", "update", "web-2", "--revoke-krl", "")
	if list := host.must(t, "asset", "show", "web-2"); strings.Contains(list, "revocation list") {
		t.Errorf("web-2 has its revocation list still:\n%s", list)
	}
	if a := host.call(t, "asset", "update", "web-2", "--revoke-krl", ca); a.code == exitOK || !strings.Contains(a.err, "/ssh/krl") || strings.Contains(a.err, "PRIVATE") {
		t.Errorf("a private key as revocation list: exit code %d, %s", a.code, a.err)
	}
	if a := host.call(t, "credential", "update", "two-factors", "--remove", "answers", "--remove", "passphrases"); a.code == exitOK || !strings.Contains(a.err, "/remove/0") || !strings.Contains(a.err, "/remove/1") {
		t.Errorf("a part that is gone, and one that is none: exit code %d, %s", a.code, a.err)
	}
	if log := host.must(t, "audit", "list", "--output", "json"); !strings.Contains(log, `"parts_removed"`) {
		t.Error("the audit log does not name the part that was removed")
	}
	for _, want := range []string{public, "modern", "jump"} {
		if !strings.Contains(shown, want) {
			t.Errorf("web-1 is without %q:\n%s", want, shown)
		}
	}
}
