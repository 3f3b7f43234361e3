package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// TestFiles: a file is written, read, looked at and removed on a real target, twice,
// and the second time there is nothing to do; and over scp where there is no SFTP.
func TestFiles(t *testing.T) {
	t.Parallel()
	onBoth(t, testFiles)
}

func testFiles(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
	srv, err := sshtest.Start(context.WithoutCancel(t.Context()), sshtest.Config{Dir: t.TempDir(), Options: []string{"Subsystem sftp internal-sftp"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Stop() })
	host.addCredential(t, "key", srv.User, srv.ClientKey)
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "key")
	bare := sshd(t)
	host.addCredential(t, "bare", bare.User, bare.ClientKey)
	host.addAsset(t, target{"bare", bare.Host, bare.Port, bare.HostKeys}, "bare")
	dir := t.TempDir()
	file := write(t, `
schema: opsconductor/v1
name: files
targets: {select: "asset.name == 'one'"}
steps:
  - {id: folder, uses: files.folder@1, for_each: {in: targets}, with: {path: "`+dir+`/a/b", parents: true, mode: "0700"}}
  - {id: put, uses: files.put@1, needs: [folder], for_each: {in: targets}, with: {path: "`+dir+`/a/b/f", content: "hi\n", mode: "0600"}}
  - {id: get, uses: files.get@1, needs: [put], for_each: {in: targets}, with: {path: "`+dir+`/a/b/f"}}
  - {id: mode, uses: files.mode@1, needs: [get], for_each: {in: targets}, with: {path: "`+dir+`/a/b", mode: "0700"}}
  - {id: list, uses: files.list@1, needs: [mode], for_each: {in: targets}, with: {path: "`+dir+`/a"}}
  - {id: stat, uses: files.stat@1, needs: [list], for_each: {in: targets}, with: {path: "`+dir+`/a/b/f"}}
`)
	submit := func(file string) map[string]item {
		t.Helper()
		run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
		host.must(t, "run", "wait", run)
		return host.items(t, run)
	}
	for _, changed := range []bool{true, false} {
		items := submit(file)
		for name, want := range map[string]bool{"folder/one": changed, "put/one": changed, "mode/one": false} {
			if got := decode[struct{ Changed bool }](t, string(items[name].Output)); items[name].State != "succeeded" || got.Changed != want {
				t.Errorf("%s: %s, changed %t (%+v), want %t", name, items[name].State, got.Changed, items[name].Error, want)
			}
		}
		got := decode[struct{ Content, Mode string }](t, string(items["get/one"].Output))
		if got.Content != "hi\n" || got.Mode != "0600" {
			t.Errorf("got %+v, want hi with mode 0600", got)
		}
		stat := decode[struct {
			Exists bool
			Type   string
			Size   int
		}](t, string(items["stat/one"].Output))
		if !stat.Exists || stat.Type != "file" || stat.Size != 3 {
			t.Errorf("stat says %+v", stat)
		}
	}
	rest := submit(write(t, `
schema: opsconductor/v1
name: rest
targets: {select: "asset.name in ['one', 'bare']"}
steps:
  - {id: put, uses: files.put@1, for_each: {in: targets}, with: {path: "`+dir+`/${{ asset.name }}", content: "x"}}
  - {id: remove, uses: files.remove@1, needs: [put], for_each: {in: targets}, on_failure: continue, with: {path: "`+dir+`/a", recursive: true}}
`))
	for _, name := range []string{"put/one", "put/bare", "remove/one"} {
		if rest[name].State != "succeeded" {
			t.Errorf("%s: %s, %+v", name, rest[name].State, rest[name].Error)
		}
	}
	if got := rest["remove/bare"]; got.State != "failed" || got.Error == nil || got.Error.Code != "protocol" {
		t.Errorf("remove without SFTP: got %s, %+v, want it to fail with protocol", got.State, got.Error)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !os.IsNotExist(err) {
		t.Errorf("the folder is there: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "bare")); err != nil || string(b) != "x" {
		t.Errorf("over scp: %q %v", b, err)
	}
}
