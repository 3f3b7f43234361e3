package ssh_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// sshExec calls ssh_exec in a session.
func sshExec(t *testing.T, p *ssh.Pool, s *hostfuncs.Session, request string) (ssh.ExecResult, *hostfuncs.Error) {
	t.Helper()
	var env struct {
		OK    ssh.ExecResult
		Error *hostfuncs.Error
	}
	if err := json.Unmarshal(ssh.Functions(p)[0].Invoke(t.Context(), s, []byte(request)), &env); err != nil {
		t.Fatal(err)
	}
	return env.OK, env.Error
}

// onFake returns a session on a fake server with a password.
func onFake(f *sshtest.Fake, password string) (*hostfuncs.Session, *hostfunctest.Broker) {
	target := hostfuncs.Target{Name: "fake1", Address: f.Host, Port: f.Port, Protocol: "ssh", HostKeys: []string{f.HostKey}, Credential: "pass"}
	b := &hostfunctest.Broker{
		Functions: []string{"ssh_exec"}, Targets: map[string]hostfuncs.Target{"fake1": target, "other": target},
		Credentials: map[string]hostfuncs.Credential{"pass": {Name: "pass", Version: 1, Kind: "password", Username: "tester", Password: secret(password)}},
	}
	return &hostfuncs.Session{Tenant: "default", Target: &target, Broker: b, MaxOutput: 1 << 16}, b
}

func TestFunctionResult(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	p := pool(t, ssh.Options{})
	s, _ := onFake(f, sshtest.Password)
	for name, tc := range map[string]struct {
		request, stdout, raw, stderr string
		code                         int
		truncated                    bool
	}{
		"argv":        {request: `{"argv":["printf","%s","a b"]}`, stdout: "a b"},
		"script":      {request: `{"script":"printf %s \"$1\" >&2; exit 3","args":["-n"]}`, stderr: "-n", code: 3},
		"interpreter": {request: `{"script":"printf %s \"$0\"","interpreter":["sh"]}`, stdout: "sh"},
		"stdin":       {request: `{"argv":["cat"],"stdin":"é\u0000"}`, stdout: "é\x00"},
		"base64":      {request: `{"argv":["cat"],"stdin_base64":"/wA="}`, raw: "\xff\x00"},
		"env":         {request: `{"argv":["printenv","A"],"env":{"A":"b c"}}`, stdout: "b c\n"},
		"cap":         {request: `{"argv":["printf","ééé"],"max_output_bytes":3}`, stdout: "é", truncated: true},
		"own cap":     {request: `{"argv":["sh","-c","yes | head -c 100000"],"max_output_bytes":1000000}`, stdout: strings.Repeat("y\n", 1<<15), truncated: true},
		"named":       {request: `{"target":"fake1","credential":"pass","argv":["true"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := sshExec(t, p, s, tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if r.Stdout != tc.stdout || string(r.StdoutBase64) != tc.raw || r.Stderr != tc.stderr || r.StdoutTruncated != tc.truncated {
				t.Errorf("stdout %.80q %.80q truncated %t stderr %.80q, want %.80q %.80q %t %.80q", r.Stdout, r.StdoutBase64, r.StdoutTruncated, r.Stderr, tc.stdout, tc.raw, tc.truncated, tc.stderr)
			}
			if r.ExitCode == nil || *r.ExitCode != tc.code || r.Signal != "" || r.Target != "fake1" {
				t.Errorf("exit code %v signal %q target %q, want %d, none, fake1", r.ExitCode, r.Signal, r.Target, tc.code)
			}
		})
	}
	r, err := sshExec(t, p, s, `{"argv":["sh","-c","kill -s TERM $$"]}`)
	if err != nil || r.Signal != "TERM" || r.ExitCode != nil {
		t.Errorf("signal %q exit code %v (%v), want TERM and none", r.Signal, r.ExitCode, err)
	}
}

// Each stream has a cap, a count and a word of its own.
func TestFunctionStreams(t *testing.T) {
	t.Parallel()
	p := pool(t, ssh.Options{})
	s, _ := onFake(fake(t, sshtest.FakeConfig{}), sshtest.Password)
	for request, want := range map[string]ssh.ExecResult{
		`{"argv":["sh","-c","printf 12345; printf 123456789012345 >&2"],"max_output_bytes":10}`: {Stdout: "12345", StdoutBytes: 5, Stderr: "1234567890", StderrBytes: 15, StderrTruncated: true},
		`{"argv":["sh","-c","printf 123456789012345; printf 12345 >&2"],"max_output_bytes":10}`: {Stdout: "1234567890", StdoutBytes: 15, StdoutTruncated: true, Stderr: "12345", StderrBytes: 5},
		`{"argv":["sh","-c","printf 12345; printf '\\377' >&2"]}`:                               {Stdout: "12345", StdoutBytes: 5, StderrBase64: []byte("\xff"), StderrBytes: 1},
	} {
		got, err := sshExec(t, p, s, request)
		want.Target, want.ExitCode, want.DurationMS = "fake1", new(0), got.DurationMS
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", request, err, d)
		}
	}
}

func TestFunctionBadRequest(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	s, _ := onFake(f, sshtest.Password)
	p := pool(t, ssh.Options{})
	for request, word := range map[string]string{
		`{}`:                          "exactly one",
		`{"argv":[]}`:                 "exactly one",
		`{"argv":["a"],"script":"b"}`: "exactly one",
		`{"argv":["a"],"args":["b"]}`: "belong to script",
		`{"script":"a","stdin":"b"}`:  "belongs to argv",
		`{"argv":["a"],"stdin":"b","stdin_base64":"YQ=="}`: "one of stdin",
		`{"argv":["a\u0000b"]}`:                            "NUL",
		`{"script":"a\u0000b"}`:                            "NUL",
		`{"argv":["a"],"env":{"A":"\u0000"}}`:              "NUL",
		`{"argv":["a"],"env":{"1A":"x"}}`:                  "not a name",
		`{"argv":["a"],"env":{"A;id":"x"}}`:                "not a name",
		`{"argv":["a"],"env":{"PPID":"1"}}`:                "belongs to the shell",
		`{"argv":["-x"]}`:                                  "hyphen",
		`{"argv":[""]}`:                                    "no program",
		`{"argv":["a"],"timeout_ms":-1}`:                   "timeout_ms",
		`{"argv":["a"],"timeout_ms":86400001}`:             "timeout_ms",
		`{"argv":["a"],"max_output_bytes":67108865}`:       "max_output_bytes",
		`{"argv":["a"],"idle_timeout_ms":-1}`:              "idle_timeout_ms",
		`{"argv":["a"],"rows":5}`:                          "belong to pty",
		`{"argv":["a"],"pty":true,"cols":10001}`:           "rows or columns",
		`{"argv":["a"],"pty":true,"stdin":"\u0000"}`:       "NUL character",
		`{"argv":["a"],"become":{"method":"runas"}}`:       "not one of sudo, doas, su",
		`{"argv":["a"],"become":{"user":"-x"}}`:            "not a user's name",
		`{"argv":["a"],"become":{"user":"a;id"}}`:          "not a user's name",
		`{"argv":["a"],"become":{"user":"a","x":1}}`:       "JSON of the schema",
	} {
		if _, err := sshExec(t, p, s, request); err == nil || err.Code != hostfuncs.BadRequest || !strings.Contains(err.Message, word) {
			t.Errorf("%s: %v, want bad_request with %q", request, err, word)
		}
	}
	if n := f.Accepted(); n != 0 {
		t.Errorf("%d connections were opened for bad requests", n)
	}
}

// The intent is committed when all is ready and before anything is sent; when it
// fails nothing is.
func TestFunctionIntent(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	s, b := onFake(f, sshtest.Password)
	p := pool(t, ssh.Options{})
	var hashes []string
	fail := errors.New("the lease is over")
	s.Intent = func(_ context.Context, hash string) error {
		hashes = append(hashes, hash)
		if len(f.Passwords()) != 1 || f.Execs() != 0 {
			t.Errorf("at the intent: %d logins, %d commands; want 1, 0", len(f.Passwords()), f.Execs())
		}
		return fail
	}
	_, err := sshExec(t, p, s, `{"argv":["true"]}`)
	if err == nil || err.Code != hostfuncs.Cancelled || err.Phase != hostfuncs.Before || f.Execs() != 0 {
		t.Errorf("%v, %d commands; want cancelled, before, and none", err, f.Execs())
	}
	fail = nil
	for range 2 {
		if _, err := sshExec(t, p, s, `{"argv":["true"]}`); err != nil {
			t.Error(err)
		}
	}
	if len(hashes) != 2 || len(hashes[0]) != 64 || f.Execs() != 2 {
		t.Errorf("intents %v, %d commands; want 2 and 2", hashes, f.Execs())
	}
	if r := b.Records(); len(r) != 3 || r[2].Target != "fake1" || r[2].Command != hashes[0] {
		t.Errorf("audit records %+v, want three with target and command", r)
	}
	// What fails before, fails without an intent.
	s, _ = onFake(f, "wrong")
	s.Broker.(*hostfunctest.Broker).Credentials["pass"] = hostfuncs.Credential{Name: "pass", Version: 2, Username: "tester", Password: secret("wrong")} //nolint:forcetypeassert // made above
	s.Intent = func(context.Context, string) error { t.Error("an intent for what cannot connect"); return nil }
	if _, err := sshExec(t, p, s, `{"argv":["true"]}`); err == nil || err.Code != hostfuncs.AuthFailed {
		t.Errorf("wrong password: %v", err)
	}
}

// A secret is taken out of both streams, in whatever form, also across the cut;
// and one that was opened earlier in the session too.
func TestFunctionRedaction(t *testing.T) {
	t.Parallel()
	const password = "correct horse battery"
	f := fake(t, sshtest.FakeConfig{Password: password})
	s, _ := onFake(f, password)
	p := pool(t, ssh.Options{})
	for name, text := range map[string]string{
		"raw": `printf %s "$1"`, "stderr": `printf %s "$1" >&2`, "base64": `printf %s "xx$1" | base64 -w0`, "hex": `printf %s "$1" | od -An -v -tx1 | tr -d ' \n'`,
		"binary": `printf '\377%s' "$1"`, "among": `printf '%s,%s;' "$1" "$1"`,
	} {
		argv, _ := json.Marshal([]string{"sh", "-c", text, "sh", password})
		for cut := 1; cut < 60; cut += 7 {
			b, _ := json.Marshal(map[string]any{"argv": json.RawMessage(argv), "max_output_bytes": cut})
			r, err := sshExec(t, p, s, string(b))
			if err != nil {
				t.Fatal(err)
			}
			all := r.Stdout + string(r.StdoutBase64) + r.Stderr
			for _, part := range []string{"corr", "horse", "Y29ycmVjdCBob3", "jb3JyZW", "636f7272656374"} {
				if strings.Contains(all, part) {
					t.Errorf("%s, cut at %d: %q is in %q", name, cut, part, all)
				}
			}
		}
	}
}

// A credential is used on the targets that it is bound to, and on no other
// (attacks.md, row 12): the other server does not even see a connection.
func TestFunctionCredentialMatrix(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c"}
	targets, creds, bound := map[string]hostfuncs.Target{}, map[string]hostfuncs.Credential{}, map[string][]string{}
	servers := map[string]*sshtest.Fake{}
	for _, n := range names {
		f := fake(t, sshtest.FakeConfig{Password: "password of " + n})
		servers[n] = f
		targets[n] = hostfuncs.Target{Name: n, Address: f.Host, Port: f.Port, HostKeys: []string{f.HostKey}, Credential: n}
		creds[n] = hostfuncs.Credential{Name: n, Version: 1, Username: "tester", Password: secret("password of " + n)}
		bound[n] = []string{n}
	}
	s := &hostfuncs.Session{Broker: &hostfunctest.Broker{Functions: []string{"ssh_exec"}, Targets: targets, Credentials: creds, Bound: bound}}
	p := pool(t, ssh.Options{})
	for _, target := range names {
		for _, cred := range names {
			_, err := sshExec(t, p, s, `{"target":"`+target+`","credential":"`+cred+`","argv":["true"]}`)
			if target == cred && err != nil || target != cred && (err == nil || err.Code != hostfuncs.Denied) {
				t.Errorf("credential %s on target %s: %v", cred, target, err)
			}
		}
	}
	for n, f := range servers {
		if got := f.Passwords(); len(got) != 1 || got[0] != "password of "+n {
			t.Errorf("server %s saw %q", n, got)
		}
	}
	if _, err := sshExec(t, p, s, `{"target":"nobody","argv":["true"]}`); err == nil || err.Code != hostfuncs.Denied {
		t.Errorf("a target that is not granted: %v", err)
	}
}

func TestFunctionOtherProtocol(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	s, b := onFake(f, sshtest.Password)
	win := b.Targets["fake1"]
	win.Protocol = "winrm"
	b.Targets["win1"] = win
	if _, err := sshExec(t, pool(t, ssh.Options{}), s, `{"target":"win1","argv":["true"]}`); err == nil || err.Code != hostfuncs.BadRequest || !strings.Contains(err.Message, "speaks winrm") {
		t.Errorf("%v, want bad_request", err)
	}
}
