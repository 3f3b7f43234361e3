package ssh_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// account is a user of this machine, made for a test and removed with it.
type account struct{ name, password string }

// needs skips a test that has to be root, and fails where a program is missing.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("users of this machine can be made by root only: run the tests as root")
	}
	for _, p := range append(programs, "useradd", "userdel", "chpasswd") {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%s is missing: run scripts/setup.sh", p)
		}
	}
}

// mayMount reports whether this process may mount a file system, in a namespace of
// its own.
func mayMount(t *testing.T) bool {
	t.Helper()
	return os.Geteuid() == 0 && exec.CommandContext(t.Context(), "unshare", "-m", "--propagation", "private", "mount", "--bind", "/bin/sh", "/bin/sh").Run() == nil
}

// system runs a program of the machine; it has to succeed.
func system(t *testing.T, stdin string, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), argv[0], argv[1:]...) //nolint:gosec // the test's own words
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
}

// accountsLock is held while the machine's list of users changes, by all tests
// that run on it.
func accountsLock(t *testing.T) func() {
	t.Helper()
	unlock, err := sshtest.LockAccounts()
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

// newAccount makes a user with a password and a login shell.
func newAccount(t *testing.T, shell string) account {
	t.Helper()
	a := sshtest.User(t, shell)
	return account{a.Name, a.Password}
}

// sudoers adds lines to what sudo allows.
func sudoers(t *testing.T, lines ...string) {
	t.Helper()
	remove, err := sshtest.Sudoers(lines...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
}

// doasRules adds lines to what doas allows, and takes them out again. There is one
// file, so tests of several packages share it.
func doasRules(t *testing.T, lines ...string) {
	t.Helper()
	const file = "/etc/doas.conf"
	change := func(f func([]string) []string) {
		defer accountsLock(t)()
		old, _ := os.ReadFile(file)
		rules := f(strings.Split(strings.TrimSuffix(string(old), "\n"), "\n"))
		rules = slices.DeleteFunc(rules, func(l string) bool { return l == "" || slices.ContainsFunc(strings.Fields(l), sshtest.Orphaned) })
		if len(rules) == 0 {
			_ = os.Remove(file)
			return
		}
		// In one piece: doas may read it at any moment, for another test.
		fresh := file + ".opsconductor"
		if err := errors.Join(os.WriteFile(fresh, []byte(strings.Join(rules, "\n")+"\n"), 0o400), os.Rename(fresh, file)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		change(func(rules []string) []string {
			return slices.DeleteFunc(rules, func(l string) bool { return slices.Contains(lines, l) })
		})
	})
	change(func(rules []string) []string { return append(rules, lines...) })
}

// accountServer starts an sshd into which every user of the machine may log in
// with the server's client key.
func accountServer(t *testing.T, options ...string) *sshtest.Server {
	t.Helper()
	return accountServerOf(t, sshtest.Config{Options: options})
}

// accountServerOf is accountServer with more settings.
func accountServerOf(t *testing.T, c sshtest.Config) *sshtest.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "opsconductor-keys-") //nolint:usetesting // other users read it, and the test's own folder is closed to them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the users read it
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	c.Options = append(c.Options, "AuthorizedKeysFile "+keys)
	srv := server(t, c)
	pub, err := sshtest.PublicKey(srv.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keys, []byte(pub+"\n"), 0o644); err != nil { //nolint:gosec // the users read it
		t.Fatal(err)
	}
	return srv
}

// as returns the endpoint for a user.
func as(srv *sshtest.Server, a account) ssh.Endpoint {
	e := endpoint(srv)
	e.Credential.Username = a.name
	return e
}

// becoming starts a server with an account that may become any user by sudo and doas,
// with its own password, and another account, by su.
func becoming(t *testing.T) (srv *sshtest.Server, user, other account) {
	t.Helper()
	needs(t, "sudo", "doas", "su")
	srv = accountServer(t)
	user, other = newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL")
	doasRules(t, "permit "+user.name)
	return srv, user, other
}
