package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// remains stops the server and returns what it has logged, and what stands in the
// files of its folder.
func (s *server) remains(t *testing.T) string {
	t.Helper()
	if err := s.stop(t); err != nil {
		t.Fatal(err)
	}
	out := s.log.String()
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			out += string(b)
		}
	}
	return out
}

// read gets a path of the API with the admin's token.
func (s *server) read(t *testing.T, path string) string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v: %s", path, res.Status, err, b)
	}
	return string(b)
}

// TestBecome: a step runs as root by sudo with the password of a credential of its
// own; with a wrong one, and with one that is not bound to the target, its item fails
// and says why. No password is in what the API, the command line, the log and the
// files of the host have.
func TestBecome(t *testing.T) {
	t.Parallel()
	onBoth(t, testBecome)
}

func testBecome(t *testing.T, start func(...string) *server) {
	t.Helper()
	a, wrong := sshtest.User(t, "/bin/bash", "$USER ALL=(ALL) ALL"), "canary-4712-wrong"
	key := secretFile(t, sshtest.NewKey())
	srv := sshtest.Serve(t, sshtest.Config{Options: []string{
		"AuthorizedKeysCommand /bin/echo " + tool(t, "", "ssh-keygen", "-y", "-f", key), "AuthorizedKeysCommandUser root", "AuthorizedKeysFile none",
	}})
	host := start("--log-level", "debug")
	host.must(t, "credential", "create", "login", "--username", a.Name, "--key-file", key, "--asset", "*")
	host.addAsset(t, target{"one", srv.Host, srv.Port, srv.HostKeys}, "login")
	for name, password := range map[string]string{"root": a.Password, "wrong": wrong} {
		host.must(t, "credential", "create", name, "--username", a.Name, "--password-file", secretFile(t, password), "--asset", "*")
	}
	host.must(t, "credential", "create", "elsewhere", "--username", a.Name, "--password-file", secretFile(t, a.Password), "--asset", "another")
	host.must(t, "credential", "create", "ungranted", "--username", a.Name, "--password-file", secretFile(t, a.Password), "--asset", "*")
	host.must(t, "plugin", "activate", "linux@1.0.0", "--grant", "ssh_exec:targets=one;credentials=login,root,wrong,elsewhere")
	run := runID(t, host.must(t, "run", "submit", write(t, `
schema: opsconductor/v1
name: becomes
targets: {select: "asset.name == 'one'"}
steps:
  - {id: plain, uses: linux.command@1, for_each: {in: targets}, with: {argv: ["id", "-un"]}}
  - {id: root, uses: linux.command@1, for_each: {in: targets}, with: {argv: ["sh", "-c", "id -un; cat; echo $A"], stdin: "in\n", env: {A: "it's"}, stream: true, become: {credential: root}}}
  - {id: script, uses: linux.script@1, for_each: {in: targets}, with: {script: "id -un; echo $1", args: ["a b"], become: {user: root, method: sudo, credential: root}}}
  - {id: wrong, uses: linux.command@1, for_each: {in: targets}, on_failure: continue, with: {argv: ["id"], become: {credential: wrong}}}
  - {id: none, uses: linux.command@1, for_each: {in: targets}, on_failure: continue, with: {argv: ["id"], become: {}}}
  - {id: elsewhere, uses: linux.command@1, for_each: {in: targets}, on_failure: continue, with: {argv: ["id"], become: {credential: elsewhere}}}
  - {id: ungranted, uses: linux.command@1, for_each: {in: targets}, on_failure: continue, with: {argv: ["id"], become: {credential: ungranted}}}
`), "--output", "json"))
	host.call(t, "run", "wait", run)
	items := host.items(t, run)
	for step, want := range map[string]string{"plain": a.Name + "\n", "root": "root\nin\nit's\n", "script": "root\na b\n"} {
		got := items[step+"/one"]
		if got.State != "succeeded" {
			t.Errorf("%s: %s, %+v", step, got.State, got.Error)
			continue
		}
		if out := decode[struct{ Stdout string }](t, string(got.Output)).Stdout; got.State != "succeeded" || out != want {
			t.Errorf("%s: %s, %q, %+v; want %q", step, got.State, out, got.Error, want)
		}
	}
	for step, want := range map[string][2]string{
		"wrong": {"become_failed", "wrong password"}, "none": {"become_failed", "password required"}, "elsewhere": {"denied", "elsewhere"}, "ungranted": {"denied", "not granted"},
	} {
		got := items[step+"/one"]
		if got.State != "failed" || got.Error == nil || got.Error.Code != want[0] || !strings.Contains(got.Error.Message, want[1]) || got.Attempt != 1 {
			t.Errorf("%s: %s after %d attempts, %+v; want %q at the first", step, got.State, got.Attempt, got.Error, want)
		}
	}
	out := host.read(t, "/v1/runs/"+run+"/items") + host.read(t, "/v1/runs/"+run+"/logs") + host.read(t, "/v1/runs/"+run) +
		host.must(t, "run", "logs", run) + host.must(t, "audit", "list", "--output", "json")
	if !strings.Contains(out, "become_failed") || !strings.Contains(out, "stdout: root") {
		t.Errorf("the API does not say what happened: %s", out)
	}
	out += host.remains(t)
	for _, secret := range []string{a.Password, wrong} {
		if strings.Contains(out, secret) {
			t.Errorf("a password came out: %.300q", out[strings.Index(out, secret)-100:])
		}
	}
}
