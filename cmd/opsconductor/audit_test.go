package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAudit(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		host.must(t, "asset", "create", name, "--address", "10.0.0.1")
	}
	type entry struct {
		Seq    int64
		Action string
	}
	all := decode[[]entry](t, host.must(t, "audit", "list", "--last", "0", "--output", "json"))
	last := decode[[]entry](t, host.must(t, "audit", "list", "--last", "2", "--output", "json"))
	if len(all) < 4 || len(last) != 2 || last[1] != all[len(all)-1] || last[1].Action != "asset.create" {
		t.Errorf("got %+v, of which the last two are %+v", all, last)
	}
	verdict := decode[struct {
		Intact  bool
		Entries int
		Head    string
	}](t, host.must(t, "audit", "verify", "--output", "json"))
	if !verdict.Intact || verdict.Entries != len(all) || len(verdict.Head) != 64 {
		t.Errorf("got %+v; want an intact log of %d entries", verdict, len(all))
	}
	if got := host.call(t, "audit", "list", "--last", "-1"); got.code != exitUsage {
		t.Errorf("--last -1: got exit code %d, want %d", got.code, exitUsage)
	}
}

// TestCredentialUpdate: an update changes what it names, from the version that it names.
func TestCredentialUpdate(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host.mustWith(t, "first\n", "credential", "create", "root", "--username", "root", "--password-stdin", "--asset", "web-1", "--tag", "web")
	type credential struct {
		Username string
		Version  int
		Scope    struct{ Protocols, Assets, Tags []string }
	}
	update := func(stdin string, args ...string) credential {
		t.Helper()
		out := host.mustWith(t, stdin, append([]string{"credential", "update", "root", "--output", "json"}, args...)...)
		if strings.Contains(out, "second") {
			t.Errorf("the secret is shown: %s", out)
		}
		return decode[credential](t, out)
	}
	got := update("second\n", "--password-stdin", "--if-match", "1")
	if got.Version != 2 || got.Username != "root" || len(got.Scope.Assets) != 1 || len(got.Scope.Tags) != 1 {
		t.Errorf("a new secret: got %+v; want the rest as it was", got)
	}
	got = update("", "--username", "admin", "--asset", "web-2", "--asset", "web-3")
	if got.Version != 3 || got.Username != "admin" || len(got.Scope.Assets) != 2 || len(got.Scope.Tags) != 1 || len(got.Scope.Protocols) != 1 {
		t.Errorf("another scope: got %+v", got)
	}
	changed := 0
	for _, e := range decode[[]struct {
		Action string
		Detail struct {
			SecretChanged bool `json:"secret_changed"`
		}
	}](t, host.must(t, "audit", "list", "--output", "json")) {
		if e.Action == "credential.update" && e.Detail.SecretChanged {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("the audit log tells of %d new secrets, want 1", changed)
	}
	for want, args := range map[string][]string{
		"does not have the version": {"root", "--username", "x", "--if-match", "2"},
		"has no such secret":        {"root", "--key-file", file},
		"kind password has no such": {"root", "--passphrase-file", file},
		"has one secret":            {"root", "--password-stdin", "--key-file", "-"},
		"no such":                   {"nothing", "--username", "x"},
	} {
		if got := host.call(t, append([]string{"credential", "update"}, args...)...); got.code == exitOK || !strings.Contains(got.err, want) {
			t.Errorf("%q: exit code %d\n%s\nwant %s", args, got.code, got.err, want)
		}
	}
}
