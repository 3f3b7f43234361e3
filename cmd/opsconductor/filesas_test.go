package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// TestFilesAsRoot: a workflow writes, reads and removes what root alone may touch,
// over a real sshd, by an account with sudo and a password; a wrong password fails
// the item with become_failed, and nothing is there.
func TestFilesAsRoot(t *testing.T) {
	t.Parallel()
	a := sshtest.User(t, "/bin/sh", "$USER ALL=(ALL) ALL")
	key := secretFile(t, sshtest.NewKey())
	srv := sshtest.Serve(t, sshtest.Config{Options: []string{
		"AuthorizedKeysCommand /bin/echo " + tool(t, "", "ssh-keygen", "-y", "-f", key), "AuthorizedKeysCommandUser root", "AuthorizedKeysFile none",
	}})
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	for name, password := range map[string]string{"right": a.Password, "wrong": "not this one"} {
		host.must(t, "credential", "create", name, "--username", a.Name, "--key-file", key, "--password-file", secretFile(t, password), "--asset", "*")
		host.addAsset(t, target{name, srv.Host, srv.Port, srv.HostKeys}, name)
	}
	dir := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	run := runID(t, host.must(t, "run", "submit", write(t, `
schema: opsconductor/v1
name: files
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: folder, uses: files.folder@1, on_failure: continue, for_each: {in: targets}, with: {path: "`+dir+`/${{ asset.name }}", mode: "0700", become: {}}}
  - {id: put, uses: files.put@1, on_failure: continue, needs: [folder], for_each: {in: targets}, with: {path: "`+dir+`/${{ asset.name }}/f", content: "hi", mode: "0600", become: {method: sudo, user: root}}}
  - {id: get, uses: files.get@1, on_failure: continue, needs: [put], for_each: {in: targets}, with: {path: "`+dir+`/${{ asset.name }}/f", become: {}}}
  - {id: plain, uses: files.get@1, on_failure: continue, needs: [get], for_each: {in: targets}, with: {path: "`+dir+`/${{ asset.name }}/f"}}
`), "--output", "json"))
	host.call(t, "run", "wait", run)
	items := host.items(t, run)
	put := decode[struct {
		Changed, Atomic bool
		Mode            string
		UID             *int
	}](t, string(items["put/right"].Output))
	if !put.Changed || !put.Atomic || put.Mode != "0600" || put.UID == nil || *put.UID != 0 {
		t.Errorf("put: %+v %+v; want an atomic change of root's with mode 0600", put, items["put/right"].Error)
	}
	if got := decode[struct{ Content string }](t, string(items["get/right"].Output)); got.Content != "hi" {
		t.Errorf("get: %+v %+v", got, items["get/right"].Error)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "right", "f")); err != nil || string(b) != "hi" {
		t.Errorf("on disk: %q, %v", b, err)
	}
	for _, name := range []string{"folder/wrong", "put/wrong", "get/wrong"} {
		if e := items[name].Error; e == nil || e.Code != "become_failed" || !strings.Contains(e.Message, "wrong password") {
			t.Errorf("%s: %s, %+v; want become_failed", name, items[name].State, e)
		}
	}
	if e := items["plain/right"].Error; e == nil || e.Code == "become_failed" {
		t.Errorf("without become: %s, %+v; want it to be refused", items["plain/right"].State, e)
	}
	if _, err := os.Stat(filepath.Join(dir, "wrong")); err == nil {
		t.Error("with a wrong password a folder was made")
	}
	if out := host.must(t, "run", "items", run, "--output", "json"); strings.Contains(out, a.Password) || strings.Contains(out, "not this one") {
		t.Error("a password came out")
	}
}
