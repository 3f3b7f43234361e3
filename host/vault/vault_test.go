package vault_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/vault"
)

const canary = "canary-pa55w0rd"

func newKey(t *testing.T) vault.Key {
	t.Helper()
	k, err := vault.CreateKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newVault(t *testing.T) *vault.Vault {
	t.Helper()
	v, err := vault.New(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func credential() automation.Credential {
	return automation.Credential{
		ID: automation.NewID[automation.CredentialID](), Tenant: "default", Name: "web", Kind: automation.CredentialPassword,
		Username: "root", Version: 1,
		Scope: automation.CredentialScope{
			Protocols: []automation.Protocol{automation.ProtocolSSH, automation.ProtocolWinRM}, Assets: []string{"web-1", "web-2"}, Tags: []string{"x"},
		},
	}
}

func sealed(t *testing.T, v *vault.Vault) automation.Credential {
	t.Helper()
	c := credential()
	m := vault.Material{
		Password: automation.NewSecret([]byte(canary)), PrivateKey: automation.NewSecret([]byte("pem\x00\xff")), Passphrase: automation.NewSecret([]byte("pp")),
	}
	if err := v.Seal(&c, m); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSealOpens(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	c := sealed(t, v)
	if c.KeyID != v.KeyID() || len(c.KeyID) != 16 {
		t.Errorf("got key id %q; want the vault's %q", c.KeyID, v.KeyID())
	}
	m, err := v.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{string(m.Password.Reveal()), string(m.PrivateKey.Reveal()), string(m.Passphrase.Reveal())}
	if got[0] != canary || got[1] != "pem\x00\xff" || got[2] != "pp" {
		t.Errorf("got other secrets than were sealed")
	}
	m.Wipe()
	if bytes.Contains(m.Password.Reveal(), []byte("canary")) {
		t.Error("Wipe left the password")
	}
	again := sealed(t, v)
	if bytes.Equal(again.Sealed[1:13], c.Sealed[1:13]) {
		t.Error("two seals have the same nonce")
	}
	if bytes.Contains(c.Sealed, []byte(canary)) || bytes.Contains(c.Sealed, []byte(base64.StdEncoding.EncodeToString([]byte(canary)))) {
		t.Error("the seal shows the secret")
	}
	// The order of a scope's lists means nothing.
	c.Scope.Assets = []string{"web-2", "web-1"}
	if _, err := v.Open(c); err != nil {
		t.Errorf("scope in another order: got %v; want it to open", err)
	}
}

// TestOpenRefusesChange changes each field that the seal binds, and each byte of
// the seal itself.
func TestOpenRefusesChange(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	changes := map[string]func(*automation.Credential){
		"tenant":         func(c *automation.Credential) { c.Tenant = "other" },
		"id":             func(c *automation.Credential) { c.ID = automation.NewID[automation.CredentialID]() },
		"version":        func(c *automation.Credential) { c.Version++ },
		"kind":           func(c *automation.Credential) { c.Kind = automation.CredentialSSHKey },
		"username":       func(c *automation.Credential) { c.Username = "toor" },
		"scope wider":    func(c *automation.Credential) { c.Scope.Assets = []string{"*"} },
		"scope asset":    func(c *automation.Credential) { c.Scope.Assets = append(c.Scope.Assets, "db-1") },
		"scope tag":      func(c *automation.Credential) { c.Scope.Tags = []string{"x", "y"} },
		"scope protocol": func(c *automation.Credential) { c.Scope.Protocols = c.Scope.Protocols[:1] },
		"asset to tag": func(c *automation.Credential) {
			c.Scope.Assets, c.Scope.Tags = []string{"web-1"}, []string{"web-2", "x"}
		},
		"split elsewhere": func(c *automation.Credential) { c.Scope.Assets = []string{"web-1web-2"} },
		"kind+username":   func(c *automation.Credential) { c.Kind, c.Username = c.Kind+"r", "oot" },
		"tenant+id": func(c *automation.Credential) {
			c.Tenant, c.ID = c.Tenant+automation.TenantID(c.ID[:1]), c.ID[1:]
		},
		"truncated": func(c *automation.Credential) { c.Sealed = c.Sealed[:len(c.Sealed)-1] },
		"empty":     func(c *automation.Credential) { c.Sealed = nil },
		"one byte":  func(c *automation.Credential) { c.Sealed = c.Sealed[:1] },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sealed(t, v)
			change(&c)
			checkRefused(t, v, c)
		})
	}
	t.Run("every byte", func(t *testing.T) {
		t.Parallel()
		for i := range sealed(t, v).Sealed {
			c := sealed(t, v)
			c.Sealed[i] ^= 1
			checkRefused(t, v, c)
		}
	})
}

func checkRefused(t *testing.T, v *vault.Vault, c automation.Credential) {
	t.Helper()
	m, err := v.Open(c)
	if automation.CodeOf(err) != automation.CodeInternal || !m.Password.Empty() {
		t.Errorf("got %v; want an internal error and no material", err)
	}
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestOpenWithAnotherKey(t *testing.T) {
	t.Parallel()
	v, other := newVault(t), newVault(t)
	c := sealed(t, v)
	_, err := other.Open(c)
	var e *automation.Error
	if !errors.As(err, &e) || e.Code != automation.CodeUnavailable || !strings.Contains(e.Message, v.KeyID()) || !strings.Contains(e.Message, other.KeyID()) || e.Suggestion == "" {
		t.Fatalf("got %v; want unavailable, naming both keys and what to do", err)
	}
	c.KeyID = other.KeyID() // the row claims the other key: the seal still decides
	checkRefused(t, other, c)
	c.KeyID = "<script>"
	if _, err := v.Open(c); err == nil || strings.Contains(err.Error(), "<script>") {
		t.Errorf("got %v; want an error that does not repeat a malformed key id", err)
	}
}

func TestSealNeedsItsPlace(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	for name, c := range map[string]automation.Credential{
		"no tenant":  {ID: "x", Version: 1},
		"no id":      {Tenant: "x", Version: 1},
		"no version": {Tenant: "x", ID: "x"},
	} {
		if err := v.Seal(&c, vault.Material{}); err == nil || c.Sealed != nil {
			t.Errorf("%s: got %v; want an error and no seal", name, err)
		}
	}
}

func TestNewRefusesNoKey(t *testing.T) {
	t.Parallel()
	if v, err := vault.New(vault.Key{}); err == nil || v != nil {
		t.Errorf("got %v, %v; want no vault without a key", v, err)
	}
}

func TestCreateAndLoadKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	made, err := vault.CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v; want 0600", info.Mode(), err)
	}
	loaded, err := vault.LoadKey(path)
	if err != nil || loaded.ID() != made.ID() {
		t.Errorf("got key %s, %v; want %s", loaded.ID(), err, made.ID())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.CreateKey(path); !errors.Is(err, fs.ErrExist) || automation.CodeOf(err) != automation.CodeConflict {
		t.Errorf("create again: got %v; want a conflict that is fs.ErrExist", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, text) {
		t.Error("create again touched the key that was there")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if shown := fmt.Sprintf(verb, loaded); strings.Contains(shown, strings.TrimSpace(string(text))) {
			t.Errorf("%s shows the key", verb)
		}
	}
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	v, err := vault.New(loaded)
	if err != nil {
		t.Fatal(err)
	}
	bytesOf := strings.Trim(fmt.Sprint(raw[:8]), "[]")
	if shown := fmt.Sprintf("%v %+v %v %+v %v", loaded, struct{ K vault.Key }{loaded}, v, v, *v); strings.Contains(shown, bytesOf) {
		t.Error("the key is printed as bytes")
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"group may read", good, 0o640, "chmod 600"},
		{"others may read", good, 0o604, "chmod 600"},
		{"group may write", good, 0o620, "chmod 600"},
		{"empty", "", 0o600, "is empty"},
		{"blanks", " \n\n", 0o600, "is empty"},
		{"short", base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")), 0o600, "16 bytes"},
		{"long", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 33)), 0o600, "33 bytes"},
		{"very long", strings.Repeat("A", 4096), 0o600, "too long"},
		{"no base64", "correct horse battery staple", 0o600, "base64"},
		{"a private key", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----", 0o600, "base64"},
		{"two lines", good + "\n" + good, 0o600, "base64"},
		{"zeros", base64.StdEncoding.EncodeToString(make([]byte, 32)), 0o600, "zeros"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			k, err := vault.LoadKey(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || k.ID() != "" {
				t.Errorf("got %v; want an error with %q and the path", err, c.want)
			}
			if err != nil && len(c.text) > 8 && strings.Contains(err.Error(), c.text[:8]) {
				t.Errorf("the error shows what the file holds: %v", err)
			}
		})
	}
	if _, err := vault.LoadKey(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v; want fs.ErrNotExist", err)
	}
	if _, err := vault.LoadKey(t.TempDir()); err == nil {
		t.Error("a folder: got no error")
	}
}

func TestFingerprintNeedsTheKey(t *testing.T) {
	t.Parallel()
	v, other := newVault(t), newVault(t)
	a := v.Fingerprint([]byte(canary))
	if a != v.Fingerprint([]byte(canary)) || a == v.Fingerprint([]byte("x")) || a == other.Fingerprint([]byte(canary)) {
		t.Error("want the same for the same bytes and key, another for others")
	}
}
