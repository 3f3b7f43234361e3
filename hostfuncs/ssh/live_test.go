package ssh_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// Lines come while the command runs, each once, of both streams.
func TestLive(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	got := make(chan string, 100)
	first := make(chan time.Time, 1)
	c := ssh.Command{
		Argv: []string{"sh", "-c", `echo one; echo two >&2; sleep 1; printf 'three\r\n\377\nrest'`},
		Live: &ssh.Live{Line: func(stream, text string) {
			select {
			case first <- time.Now():
			default:
			}
			got <- stream + " " + text
		}},
	}
	r := run(t, pool(t, quick()), e, c)
	if early := time.Since(<-first); early < 900*time.Millisecond {
		t.Errorf("the first line came %s before the end, want a second", early)
	}
	close(got)
	seen := map[string]int{}
	for l := range got {
		seen[l]++
	}
	for _, want := range []string{"stdout one", "stderr two", "stdout three", "stdout \uFFFD", "stdout rest"} {
		if seen[want] != 1 || len(seen) != 5 {
			t.Errorf("%q came %d times, of %v", want, seen[want], seen)
		}
	}
	if want := "one\nthree\r\n\xff\nrest"; string(r.Stdout.Bytes) != want {
		t.Errorf("stdout %q, want %q", r.Stdout.Bytes, want)
	}
}

// A secret that comes in parts is taken out whole, also one with a line break.
func TestLiveRedacts(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"canary-secret", "ab\ncd", "abcabcabd"} {
		text := "x" + secret + "y\nabca" + secret + "\nabca\nend " + secret
		for size := 1; size < 12; size++ {
			s := &hostfuncs.Session{}
			s.Opened(hostfunctest.Secret(secret))
			var lines []string
			var parts [][]byte
			for b := []byte(text); len(b) > 0; b = b[min(size, len(b)):] {
				parts = append(parts, b[:min(size, len(b))])
			}
			ssh.PassOn(ssh.Live{Line: func(_, l string) { lines = append(lines, l) }, Unfinished: s.Unfinished}, s.Redact, parts...)
			if got, want := strings.Join(lines, "\n"), s.RedactString(text); got != want {
				t.Errorf("%q in parts of %d: %q, want %q", secret, size, got, want)
			}
		}
	}
}

// What is passed on is bounded, in lines a second and in bytes, and says so.
func TestLiveBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		to := ssh.Live{Line: func(stream, l string) { lines = append(lines, stream+" "+l) }}
		ssh.PassOn(to, nil, []byte(strings.Repeat("y\n", 1000)))
		if n := len(lines); n != 101 || !strings.Contains(lines[100], "900 lines are left out here (the end)") {
			t.Errorf("%d lines, the last %q; want 100 and one that says so", n, lines[n-1])
		}
		lines = nil
		var parts [][]byte
		for range 100 {
			parts = append(parts, []byte(strings.Repeat("z", 8000)))
		}
		ssh.PassOn(to, nil, parts...)
		total := 0
		for _, l := range lines {
			if len(l) > 5000 {
				t.Errorf("a line of %d bytes", len(l))
			}
			total += len(l)
		}
		if total > 140<<10 || total < 120<<10 {
			t.Errorf("%d bytes passed on, want about 128 KiB", total)
		}
	})
}

// A long line comes in parts, also when it comes whole; what was left out is said once,
// where lines go on.
func TestLiveGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		l := ssh.NewPassing(ssh.Live{Line: func(stream, l string) { lines = append(lines, stream+" "+l) }}, nil)
		long := "x" + strings.Repeat("é", 3000)
		l.Write("stdout", long+"\n")
		if len(lines) != 2 || len(lines[0]) > 4096+len("stdout ") || lines[0]+strings.TrimPrefix(lines[1], "stdout ") != "stdout "+long {
			t.Errorf("%d lines, the first of %d bytes; want two that are whole characters", len(lines), len(lines[0]))
		}
		<-time.After(time.Second)
		lines = nil
		l.Write("stdout", strings.Repeat("y\n", 150))
		<-time.After(time.Second)
		l.Write("stdout", strings.Repeat("z\n", 10))
		l.End()
		l.Write("stdout", "after the end\n")
		if len(lines) != 111 || !strings.Contains(lines[100], "50 lines are left out here (more follows)") || lines[101] != "stdout z" || lines[110] != "stdout z" {
			t.Errorf("%d lines, from the hundredth %q; want 100, a word about 50, and 10", len(lines), lines[min(100, len(lines)):])
		}
	})
}

// Parts of lines of the two streams do not mix, and what stands at the end of a stream
// is redacted too, where it could have become another secret.
func TestLiveEnds(t *testing.T) {
	t.Parallel()
	s := &hostfuncs.Session{}
	s.Opened(secret("abcdefghij"), secret("bcdefg"))
	var lines []string
	l := ssh.NewPassing(ssh.Live{Line: func(stream, l string) { lines = append(lines, stream+" "+l) }, Unfinished: s.Unfinished}, s.Redact)
	l.Write("stdout", "one")
	l.Write("stderr", "two\n")
	l.Write("stdout", ".\nxabcdefg")
	l.End()
	if want := []string{"stderr two", "stdout one.", "stdout xa[redacted]"}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
}

// The requests of ssh_exec reach the terminal, the other user and the log.
func TestFunctionBecome(t *testing.T) {
	t.Parallel()
	needs(t, "sudo", "su")
	srv := accountServer(t)
	user, other := newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL")
	target := hostfuncs.Target{Name: "web1", Address: srv.Host, Port: srv.Port, HostKeys: srv.HostKeys, Credential: "key"}
	b := &hostfunctest.Broker{
		Functions: []string{"ssh_exec"}, Targets: map[string]hostfuncs.Target{"web1": target},
		Credentials: map[string]hostfuncs.Credential{
			"key":    {Name: "key", Version: 1, Username: user.name, PrivateKey: secret(srv.ClientKey)},
			"root":   {Name: "root", Version: 1, Password: secret(user.password)},
			"other":  {Name: "other", Version: 1, Password: secret(other.password)},
			"wrong":  {Name: "wrong", Version: 1, Password: secret("canary-wrong")},
			"barred": {Name: "barred", Version: 1, Password: secret(user.password)},
			"nopass": {Name: "nopass", Version: 1, PrivateKey: secret(srv.ClientKey)},
		},
		Bound: map[string][]string{"barred": {"elsewhere"}},
	}
	var mu sync.Mutex
	var log bytes.Buffer
	s := &hostfuncs.Session{Tenant: "default", Target: &target, Broker: b, MaxOutput: 1 << 16, Log: func(level, m string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&log, level, m)
	}}
	p := pool(t, quick())
	echo, _ := json.Marshal("id -un; echo " + ssh.Quote(user.password) + "; " + "echo " + ssh.Quote(other.password) + " >&2")
	for name, tc := range map[string]struct {
		request, stdout string
		pty             bool
		code            hostfuncs.Code
	}{
		"sudo":               {request: `{"script":` + string(echo) + `,"become":{"credential":"root"},"stream":true}`, stdout: "root\n[redacted]\n"},
		"su":                 {request: `{"script":` + string(echo) + `,"become":{"method":"su","user":"` + other.name + `","credential":"other"},"stream":true}`, stdout: other.name + "\n[redacted]\n[redacted]\n", pty: true},
		"terminal":           {request: `{"argv":["sh","-c","stty size >&2; tty >/dev/null && echo yes"],"pty":true,"rows":7,"cols":9}`, stdout: "7 9\nyes\n", pty: true},
		"no password":        {request: `{"argv":["true"],"become":{}}`, code: hostfuncs.BecomeFailed},
		"wrong password":     {request: `{"argv":["true"],"become":{"credential":"wrong"}}`, code: hostfuncs.BecomeFailed},
		"not bound":          {request: `{"argv":["true"],"become":{"credential":"barred"}}`, code: hostfuncs.Denied},
		"without a password": {request: `{"argv":["true"],"become":{"credential":"nopass"}}`, code: hostfuncs.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			// The two passwords have to be known before their echoes are judged.
			s.Opened(secret(user.password), secret(other.password))
			r, err := sshExec(t, p, s, tc.request)
			if tc.code != "" {
				if err == nil || err.Code != tc.code || err.Phase != hostfuncs.Before || strings.Contains(err.Message, "canary-") {
					t.Errorf("%+v, want %s", err, tc.code)
				}
				return
			}
			if err != nil || r.Stdout != tc.stdout || r.PTY != tc.pty {
				t.Errorf("stdout %q pty %t (%v), want %q %t", r.Stdout, r.PTY, err, tc.stdout, tc.pty)
			}
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if text := log.String(); strings.Contains(text, "canary-") || !strings.Contains(text, "info stdout: root\n") || !strings.Contains(text, "info stdout: [redacted]\n") || !strings.Contains(text, "info stderr: [redacted]\n") {
		t.Errorf("the log is %q", text)
	}
	for _, r := range b.Records() {
		if strings.Contains(fmt.Sprintf("%+v", r), "canary-") {
			t.Error("an audit record has a password")
		}
	}
}
