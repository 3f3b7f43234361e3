package inventory_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
	"opsconductor.dev/host/store/sqlite"
)

// Lines by ssh-keygen itself, hashed and not, with patterns and ports.
func TestKnownHosts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := func(name string) string {
		file := filepath.Join(dir, name)
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
		b, err := os.ReadFile(file + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(b))[:2], " ")
	}
	a, b := key("a"), key("b")
	hashed := func(text string) string {
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-H", "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen -H: %v\n%s", err, out)
		}
		out, _ := os.ReadFile(file)
		return string(out)
	}
	for name, tc := range map[string]struct {
		address string
		port    int
		text    string
		want    []string // pinned; nil: an error
	}{
		"plain":            {"web.test", 22, "web.test " + a + "\n", []string{a}},
		"another case":     {"Web.test", 22, "wEB.test " + a + "\n", []string{a}},
		"hashed":           {"web.test", 22, hashed("web.test " + a + "\nother.test " + b + "\n"), []string{a}},
		"hashed, a port":   {"web.test", 2222, hashed("web.test " + b + "\n[web.test]:2222 " + a + "\n"), []string{a}},
		"a port":           {"10.0.0.1", 2222, "10.0.0.1 " + b + "\n[10.0.0.1]:2222 " + a + "\n", []string{a}},
		"port 22 named":    {"10.0.0.1", 22, "[10.0.0.1]:22 " + a + "\n", []string{a}},
		"pattern":          {"web7.test", 22, "web?.test,!web8.test " + a + "\n", []string{a}},
		"excluded":         {"web8.test", 22, "web?.test,!web8.test " + a + "\n", nil},
		"a list, a v6":     {"2001:db8::1", 22, "x,2001:db8::1 " + a + " c\n", []string{a}},
		"two keys":         {"web.test", 22, "web.test " + a + "\nweb.test " + b + "\nweb.test " + a + "\n", []string{a, b}},
		"no brackets here": {"w", 22, "[w] " + a + "\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, problems := inventory.AddKnownHosts(automation.Asset{Address: tc.address, Port: tc.port}, tc.text)
			if (problems == nil) != (tc.want != nil) || tc.want != nil && !slices.Equal(got.HostKeys, tc.want) {
				t.Errorf("got %q, %v; want %q", got.HostKeys, problems, tc.want)
			}
		})
	}
}

// Of two first keys at a time one wins, on whichever host; what the asset does not
// allow is denied; each change is in the audit log.
func TestLearnHostKeys(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ops.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	now := time.Now()
	act := automation.Act{Tenant: "t", By: "me", Action: "asset.create", At: now}
	a := automation.Asset{ID: "a1", Tenant: "t", Name: "web", Protocol: automation.ProtocolSSH, Version: 1, Created: now, Updated: now}
	a.SSH.FirstUse = new(true)
	if _, _, err := st.CreateAsset(t.Context(), a, act); err != nil {
		t.Fatal(err)
	}
	l := inventory.NewLearner(st, automation.FirstUseRefuse, nil)
	line := func(n int) string { return keyLine("ssh-ed25519", "ssh-ed25519", 36+n) }
	var wg sync.WaitGroup
	got := make([][]string, 8)
	for i := range got {
		wg.Go(func() {
			var err error
			got[i], err = l.LearnHostKeys(t.Context(), "t", automation.LearnedKeys{Asset: "a1", Run: "r1", Keys: []string{line(i)}, First: true})
			if err != nil {
				t.Errorf("first use %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range got {
		if len(got[i]) != 1 || !slices.Equal(got[i], got[0]) {
			t.Fatalf("first uses disagree: %q and %q", got[i], got[0])
		}
	}
	_, err = l.LearnHostKeys(t.Context(), "t", automation.LearnedKeys{Asset: "a1", Run: "r1", Keys: []string{line(9)}})
	var ae *automation.Error
	if !errors.As(err, &ae) || ae.Code != automation.CodeDenied || !strings.Contains(ae.Message, "does not allow") {
		t.Errorf("a rotation that is not allowed: %v", err)
	}
	entries, err := st.Audit(t.Context(), "t", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(entries); n != 2 || entries[1].Action != "asset.first_host_key" || entries[1].By != "run r1" || !strings.Contains(string(entries[1].Detail), got[0][0]) {
		t.Errorf("the audit log has %+v", entries)
	}
}

// The deployment's setting is for assets that do not say it, and the audit log says
// which of the two it was.
func TestFirstUseOfTheDeployment(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ops.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	now, line := time.Now(), keyLine("ssh-ed25519", "ssh-ed25519", 36)
	n := 0
	for name, tc := range map[string]struct {
		deployment automation.FirstUse
		asset      *bool
		authority  bool
		by         string // "": refused
	}{
		"nobody":                    {"", nil, false, ""},
		"refused":                   {automation.FirstUseRefuse, nil, false, ""},
		"allowed":                   {automation.FirstUseAllow, nil, false, "deployment"},
		"allowed, the asset too":    {automation.FirstUseAllow, new(true), false, "asset"},
		"allowed, not by the asset": {automation.FirstUseAllow, new(false), false, ""},
		"refused, the asset allows": {automation.FirstUseRefuse, new(true), false, "asset"},
		"allowed, with authorities": {automation.FirstUseAllow, nil, true, ""},
	} {
		n++
		a := automation.Asset{ID: automation.AssetID(fmt.Sprint("a", n)), Tenant: "t", Name: fmt.Sprint("web", n), Protocol: automation.ProtocolSSH, Version: 1, Created: now, Updated: now}
		a.SSH.FirstUse = tc.asset
		if tc.authority {
			a.SSH.Authorities = []string{line}
		}
		if _, _, err := st.CreateAsset(t.Context(), a, automation.Act{Tenant: "t", By: "me", Action: "asset.create", At: now}); err != nil {
			t.Fatal(err)
		}
		got, err := inventory.NewLearner(st, tc.deployment, nil).LearnHostKeys(t.Context(), "t", automation.LearnedKeys{Asset: a.ID, Run: "r1", Keys: []string{line}, First: true})
		if (err == nil) != (tc.by != "") || len(got) > 0 != (tc.by != "") {
			t.Errorf("%s: pinned %q, %v; want it allowed by %q", name, got, err, tc.by)
		}
		entries, err := st.Audit(t.Context(), "t", 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		if last := entries[len(entries)-1]; tc.by != "" && !strings.Contains(string(last.Detail), `"allowed_by":"`+tc.by+`"`) {
			t.Errorf("%s: the audit log says %s, want allowed by %s", name, last.Detail, tc.by)
		}
	}
}
