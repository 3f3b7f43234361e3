package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokenBootstrap: whoever has the database and its key gets a token when none
// is left, and nobody else does.
func TestTokenBootstrap(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "host")
	database, key := filepath.Join(dir, "opsconductor.db"), filepath.Join(dir, "vault.key")
	host := startDev(t, dir)
	if a := host.callWith(t, "secret", "credential", "create", "c", "--username", "u", "--password-stdin", "--asset", "*"); a.code != exitOK {
		t.Fatal(a.err)
	}
	bootstrap := func(database, key string) answer {
		return command(t, nil, "", "token", "bootstrap", "rescue", "--database-url", database, "--key-file", key, "--output", "json")
	}
	if a := bootstrap(database, key); a.code != exitError || !strings.Contains(a.err, "has this database open") || a.out != "" {
		t.Errorf("while a host has the database: exit code %d, stdout %q\n%s", a.code, a.out, a.err)
	}
	other := filepath.Join(t.TempDir(), "other.key")
	if err := os.WriteFile(other, []byte(strings.Repeat("QUJD", 10)+"QUI=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := host.stop(t); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing.db")
	for _, c := range []struct{ name, database, key, want string }{
		{"another's key", database, other, "sealed under key"},
		{"no key", database, filepath.Join(dir, "none"), "key file"},
		{"no database", missing, key, "there is no database"},
	} {
		if a := bootstrap(c.database, c.key); a.code != exitError || !strings.Contains(a.err, c.want) || a.out != "" {
			t.Errorf("%s: exit code %d, stdout %q\n%s", c.name, a.code, a.out, a.err)
		}
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Error("it made a database")
	}

	a := bootstrap(database, key)
	if a.code != exitOK {
		t.Fatalf("exit code %d\n%s", a.code, a.err)
	}
	token := decode[struct{ Role, Secret string }](t, a.out)
	again := startDev(t, dir)
	got := command(t, map[string]string{"OPSCONDUCTOR_URL": again.url, "OPSCONDUCTOR_TOKEN": token.Secret}, "", "token", "list")
	if token.Role != "admin" || got.code != exitOK || strings.Count(got.out, "rescue") != 1 {
		t.Errorf("the token of role %q: exit code %d\n%s%s", token.Role, got.code, got.out, got.err)
	}
}
