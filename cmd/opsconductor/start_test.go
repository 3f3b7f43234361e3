package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fails runs the program and returns what it wrote to stderr; it has to end by
// itself with an error.
func fails(t *testing.T, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := program(ctx, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("%s: exit code %d, want %d\n%s", strings.Join(args, " "), got, want, errs.String())
	}
	if len(out) != 0 {
		t.Errorf("%s: stdout %q, want nothing", strings.Join(args, " "), out)
	}
	return errs.String()
}

func TestSecondDevOnTheSameFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	host := startDev(t, dir)
	said := fails(t, exitError, "dev", "--dir", dir, "--listen", "127.0.0.1:0")
	if !strings.Contains(said, "another opsconductor (process ") || !strings.Contains(said, "try: ") {
		t.Errorf("it says:\n%s", said)
	}
	host.must(t, "asset", "list") // the first one is unharmed
}

func TestDevListensOnThisMachineAlone(t *testing.T) {
	t.Parallel()
	said := fails(t, exitError, "dev", "--dir", filepath.Join(t.TempDir(), "host"), "--listen", "0.0.0.0:0")
	if !strings.Contains(said, "loopback") {
		t.Errorf("it says:\n%s", said)
	}
}

// TestServeNeedsItsKey: no key, an empty one, one that others can read, and
// another deployment's key are refused; none of them is made or changed.
func TestServeNeedsItsKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	host := startDev(t, dir)
	if a := host.callWith(t, "secret", "credential", "create", "c", "--username", "u", "--password-stdin", "--asset", "*"); a.code != exitOK {
		t.Fatal(a.err)
	}
	if err := host.stop(t); err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		name = filepath.Join(files, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	other := startDev(t, filepath.Join(t.TempDir(), "other"))
	for _, c := range []struct{ name, key, want string }{
		{"none", "", "--key-file is not set"},
		{"missing", filepath.Join(files, "missing"), "key file"},
		{"empty", file("empty", "", 0o600), "is empty"},
		{"open to others", file("open", strings.Repeat("A", 43)+"=", 0o644), "others"},
		{"another's", filepath.Join(other.dir, "vault.key"), "sealed under key"},
	} {
		args := []string{"serve", "--dir", filepath.Join(t.TempDir(), "state"), "--listen", "127.0.0.1:0", "--database-url", filepath.Join(dir, "opsconductor.db")}
		if c.key != "" {
			args = append(args, "--key-file", c.key)
		}
		if said := fails(t, exitError, args...); !strings.Contains(said, c.want) {
			t.Errorf("%s: it says:\n%s", c.name, said)
		}
	}
	if _, err := os.Stat(filepath.Join(files, "missing")); !os.IsNotExist(err) {
		t.Error("serve made a key")
	}
}

// TestDevRefusesANewKeyForOldSecrets: when the key is gone, dev does not make
// another one that can't open what the old one sealed.
func TestDevRefusesANewKeyForOldSecrets(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	host := startDev(t, dir)
	if a := host.callWith(t, "secret", "credential", "create", "c", "--username", "u", "--password-stdin", "--asset", "*"); a.code != exitOK {
		t.Fatal(a.err)
	}
	if err := host.stop(t); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "vault.key")); err != nil {
		t.Fatal(err)
	}
	if said := fails(t, exitError, "dev", "--dir", dir, "--listen", "127.0.0.1:0"); !strings.Contains(said, "is gone") {
		t.Errorf("it says:\n%s", said)
	}
	if _, err := os.Stat(filepath.Join(dir, "vault.key")); !os.IsNotExist(err) {
		t.Error("dev made a new key")
	}
}

// TestLostTokenIsMadeAnew: dev's folder always has a token that works.
func TestLostTokenIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	host := startDev(t, dir)
	if err := host.stop(t); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "admin.token")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	again := startDev(t, dir)
	t.Logf("a second start took %s", time.Since(began))
	again.must(t, "token", "list")
	info, err := os.Stat(filepath.Join(dir, "admin.token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v; want mode 0600", info, err)
	}
}
